"""A dashboard as a page: for a gateway, with links and live figures, or as one file that stands alone.

The templates escape all that they are given, and hold no styles or scripts in place, so that a page can be
served with the strictest Content-Security-Policy.  Only the file that stands alone brings its style along.
"""

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from workers.monitoring.dashboards import charts, words
from workers.monitoring.dashboards.ahead import WINDOWS_S
from workers.monitoring.dashboards.definitions import DASHBOARDS
from workers.monitoring.dashboards.model import (
    AlertsPanel,
    ChartPanel,
    Dashboard,
    Panel,
    SharesPanel,
    StatPanel,
    TablePanel,
)

ASSETS = Path(__file__).with_name("assets")
STALE_S = 60.0  # figures older than that are said to be stale: reports come each five seconds

_KINDS: Mapping[type[Panel], str] = {
    ChartPanel: "chart",
    SharesPanel: "shares",
    TablePanel: "table",
    AlertsPanel: "alerts",
}


@dataclass(frozen=True, slots=True)
class Links:
    """Where the gateway has the pages, and their style, script and icon, which are of *version*."""

    pages: str
    assets: str
    version: str


def page(board: Dashboard, links: Links | None = None) -> str:
    """Return *board* as an HTML document; without *links*, one that needs nothing else."""
    return (
        _environment()
        .get_template("page.html")
        .render(
            board=board,
            boards=DASHBOARDS.values(),
            windows=WINDOWS_S,
            window=next((name for name, s in WINDOWS_S.items() if s == board.window_s), ""),
            groups=_groups(board.panels),
            state=state_of(board),
            links=links,
            style=Markup("") if links else Markup(_style()),  # noqa: S704 - it is our own file
        )
    )


def apology(title: str, said: str, links: Links, *, again: bool) -> str:
    """Return a page instead of a dashboard, *said* why; *again*: browsers try again by themselves."""
    return (
        _environment().get_template("apology.html").render(title=title, said=said, links=links, again=again)
    )


def state_of(board: Dashboard) -> str:
    """Return in a sentence how new the figures are."""
    at = f"at {words.clock(board.at_s)}:{int(board.at_s) % 60:02d} UTC"
    if board.age_s is None:
        return f"No data: nothing was measured in the last {words.span(board.window_s)}, {at}."
    if board.age_s > STALE_S:
        return f"Stale: the newest figure is {words.age(board.age_s)}, {at}."
    return f"The newest figure is {words.age(board.age_s)}, {at}."


@dataclass(frozen=True, slots=True)
class _LegendRow:
    label: str
    latest: str
    lowest: str
    highest: str


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A panel that is no stat, with what its template needs besides."""

    kind: str
    it: Any
    wide: bool
    basis: str = ""
    step: str = ""
    unit: str = ""
    lines: str = ""
    rows: tuple[_LegendRow, ...] = ()


@dataclass(frozen=True, slots=True)
class _Group:
    """Panels that stand together: stats in rows of some *columns*, others in two."""

    stats: bool
    panels: tuple[tuple[str, Any], ...]

    @property
    def columns(self) -> int:
        """How many stats make a row, so that the last row is full or nearly so."""
        return {5: 5, 6: 3, 9: 3, 10: 5}.get(len(self.panels), 4)


def _groups(panels: Sequence[Panel]) -> list[_Group]:
    keyed = [(f"p{number}", panel) for number, panel in enumerate(panels)]
    grouped = groupby(keyed, key=lambda pair: isinstance(pair[1], StatPanel))
    return [
        _Group(
            stats,
            tuple((key, panel if isinstance(panel, StatPanel) else _drawn(panel)) for key, panel in group),
        )
        for stats, group in grouped
    ]


def _drawn(panel: Panel) -> Any:
    if isinstance(panel, StatPanel):
        return panel
    kind = _KINDS[type(panel)]
    if not isinstance(panel, ChartPanel):
        return _Drawn(kind, panel, panel.wide)
    step = words.made([trace.subject.how for trace in panel.traces], panel.step_s) if panel.traces else ""
    return _Drawn(
        kind,
        panel,
        panel.wide,
        f"{step}, {words.age(panel.age_s)}" if step else words.NO_DATA,
        step,
        words.common_unit([trace.subject.unit for trace in panel.traces]),
        json.dumps(
            [[trace.label, *_told(trace.values, panel.unit)] for trace in panel.traces], ensure_ascii=False
        ),
        tuple(_LegendRow(trace.label, *words.ends(trace, words.short)) for trace in panel.traces),
    )


def _told(values: Iterable[float | None], unit: str) -> list[str]:
    return ["" if value is None else words.spoken(value, unit) for value in values]


def _unescaped(draw: Callable[..., str]) -> Callable[..., Markup]:
    return lambda *given: Markup(draw(*given))  # noqa: S704 - charts escape the texts in them


@functools.cache
def _style() -> str:
    return (ASSETS / "dashboards.css").read_text(encoding="utf-8")


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        span=words.span,
        age=words.age,
        since=lambda seconds: f"for {words.span(max(0.0, seconds))}",
        said=words.spoken,
        percent=lambda share: words.spoken(share, "%"),
    )
    made.globals.update(
        written=words.written,
        basis_of=words.basis,
        limit_words=words.limit_words,
        alert_state=words.alert_state,
        judged=words.judged,
        chart=_unescaped(charts.chart),
        spark=_unescaped(charts.spark),
        colours=charts.COLOURS,
    )
    return made
