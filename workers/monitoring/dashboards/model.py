"""A dashboard as it is at one moment: numbers, and what is known of each.  Renderers draw this.

Units:  seconds since the Unix epoch; seconds of windows, steps and ages; values in the unit beside them.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from workers.monitoring.alerts.alert import Alert, Comparison
from workers.monitoring.figures import How
from workers.monitoring.history import Line, Reading

Tone = Literal["unknown", "plain", "medium", "high", "critical"]
"""How bad a figure is: by the strictest rule that it breaks; *plain*: it breaks none; *unknown*: no data."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A figure is bad, as *tone* says, when it is *comparison* *value*; *rule* is the alert rule's name."""

    tone: Tone
    comparison: Comparison
    value: float
    rule: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What a number is: *how* it is made of which *collection*, in which *unit*."""

    collection: str
    how: How
    unit: str
    about: str


@dataclass(frozen=True, slots=True)
class StatPanel:
    """One number, its course, and how it is to be judged."""

    title: str
    subject: Subject
    reading: Reading
    tone: Tone
    limits: tuple[Limit, ...]
    line: Line


@dataclass(frozen=True, slots=True)
class Trace:
    """One line of a chart."""

    label: str
    subject: Subject
    values: tuple[float | None, ...]

    @property
    def ends(self) -> tuple[float, float, float] | None:
        """The latest, the lowest and the highest value; None: there is none."""
        known = [value for value in self.values if value is not None]
        return (known[-1], min(known), max(known)) if known else None


@dataclass(frozen=True, slots=True)
class ChartPanel:
    """Lines over one grid of time: steps of *step_s*, the first of which begins at *start_s*."""

    title: str
    unit: str
    start_s: int
    step_s: int
    window_s: int
    traces: tuple[Trace, ...]
    age_s: float | None
    limits: tuple[Limit, ...]
    wide: bool


@dataclass(frozen=True, slots=True)
class Share:
    """One of several that make a whole: *value*, and what it is of all of them, in per cent."""

    label: str
    subject: Subject
    reading: Reading
    percent: float | None


@dataclass(frozen=True, slots=True)
class SharesPanel:
    """Parts of a whole, over *window_s*."""

    title: str
    unit: str
    window_s: int
    shares: tuple[Share, ...]
    age_s: float | None
    wide: bool


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    label: str
    subject: Subject
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: a reading for each column, and its tone."""

    label: str
    cells: tuple[tuple[Reading, Tone], ...]


@dataclass(frozen=True, slots=True)
class TablePanel:
    """Figures told apart by the label *by*, over *window_s*."""

    title: str
    by: str
    window_s: int
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    age_s: float | None
    wide: bool


@dataclass(frozen=True, slots=True)
class AlertsPanel:
    """The open alerts, the gravest first, as of *age_s* ago; None: rules have never been judged here."""

    title: str
    alerts: tuple[Alert, ...]
    age_s: float | None
    wide: bool


Panel = StatPanel | ChartPanel | SharesPanel | TablePanel | AlertsPanel


@dataclass(frozen=True, slots=True)
class Dashboard:
    """All that is shown; *age_s* is that of the newest measurement of all, None: there is none."""

    name: str
    title: str
    about: str
    at_s: float
    window_s: int
    step_s: int
    age_s: float | None
    panels: tuple[Panel, ...]


class Alerts(Protocol):
    """Knows the open alerts (``workers.store.alerts.AlertStore``)."""

    def open_alerts(self) -> list[Alert]:
        """Return them, in any order."""

    def evaluated_s(self) -> float | None:
        """Return when rules were last judged; None: never."""


class NoAlerts:
    """The Null of Alerts: nobody judges here."""

    def open_alerts(self) -> list[Alert]:
        """Return none."""
        return []

    def evaluated_s(self) -> float | None:
        """Return that rules were never judged."""
        return None
