"""What dashboards are made of, as data: panels, each of which names figures of collections.

Errors:  KeyError for a collection that is not in the table, when its figure is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from workers.monitoring.figures import COLLECTIONS, Collection, How

RECENT_S = 300  # the window of "now": the one that alert rules judge by


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a collection; *how*: not in the collection's own way; *label*: what it is called here.

    *over*: labels whose groups are added up, since the workers of all regions are their sum, not their mean.
    """

    collection: str
    label: str = ""
    how: How | None = None
    over: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what it names."""
        unknown = set(self.over) - set(self.source.by)
        if unknown:
            raise ValueError(f"{self.collection} cannot be told apart by {', '.join(sorted(unknown))}")

    @property
    def source(self) -> Collection:
        """The collection."""
        return COLLECTIONS[self.collection]

    @property
    def way(self) -> How:
        """How the number is made."""
        return self.source.how if self.how is None else self.how

    @property
    def metrics(self) -> frozenset[str]:
        """The names of the metrics that it is made of."""
        return frozenset(part.metric.name for part in (*self.source.of, *self.source.per))

    @property
    def is_count(self) -> bool:
        """Whether it tells how much was counted, in all or a second, so that nothing counted is 0."""
        return self.way in ("sum", "rate")


@dataclass(frozen=True, slots=True)
class Stat:
    """One number, large, with its course over the dashboard's window.

    *recent*: it is that of the last five minutes; else of the dashboard's window.
    """

    title: str
    figure: Figure
    recent: bool = True


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the dashboard's window: one for each figure, or for each value of the label *by*."""

    title: str
    figures: tuple[Figure, ...]
    by: str | None = None
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Shares:
    """What each figure, or each value of *by*, is of all of them together, over the dashboard's window."""

    title: str
    figures: tuple[Figure, ...]
    by: str | None = None
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A row for each value of *by*, a column for each figure, over the dashboard's window."""

    title: str
    by: str
    figures: tuple[Figure, ...]
    wide: bool = True


@dataclass(frozen=True, slots=True)
class Firing:
    """The alerts that are open."""

    title: str
    wide: bool = True


Part = Stat | Chart | Shares | Table | Firing


@dataclass(frozen=True, slots=True)
class Definition:
    """A dashboard: *about* says what question it answers."""

    name: str
    title: str
    about: str
    parts: tuple[Part, ...]

    def figures(self) -> Iterator[Figure]:
        """Yield every figure that is shown."""
        for part in self.parts:
            match part:
                case Stat():
                    yield part.figure
                case Chart() | Shares() | Table():
                    yield from part.figures

    @property
    def metrics(self) -> frozenset[str]:
        """The names of all metrics that it is made of."""
        return frozenset().union(*(figure.metrics for figure in self.figures()))

    @property
    def shows_alerts(self) -> bool:
        """Whether open alerts are among its parts."""
        return any(isinstance(part, Firing) for part in self.parts)
