"""What was measured in the past, and the figures that people and rules ask of it.

A gap is a gap: where nothing was measured there is None, never zero.  A window of up to six hours is read by
the minute, a longer one by the hour, and then begins with a full hour.

Units:   seconds since the Unix epoch; seconds of windows and steps; values in the unit of their collection.
Errors:  what the history raises (StoreError, for the one in the database).
"""

from collections.abc import Collection as Some
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from workers.monitoring.figures import Collection, How, Part
from workers.monitoring.metrics import METRICS, Kind
from workers.monitoring.samples import Sample, Series

MINUTE_S, HOUR_S = 60, 3_600
FINE_S = 6 * HOUR_S  # windows up to here are read by the minute


class Row(NamedTuple):
    """One series' sample of the minute or hour that begins at *start_s*."""

    series: Series
    start_s: int
    sample: Sample


class History(Protocol):
    """Keeps samples: by the minute for 72 hours, by the hour for 90 days."""

    def rows(self, metrics: Some[str], start_s: int, end_s: int, width_s: int) -> Iterable[Row]:
        """Return what is known of *metrics* in [start_s, end_s), in any order.

        *width_s*: by minute (60) or by hour (3,600).  Hours hold all of their minutes, the present one those
        so far.
        """


Labels = tuple[str, ...]
"""Values of those labels along which a figure is told apart, in the order that was asked for."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure: *value* over the last *window_s*, out of *count* measurements, the latest *age_s* ago.

    ``None``: nothing was measured.
    """

    value: float | None
    unit: str
    window_s: int
    count: float = 0
    age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A figure over time: *values* of steps of *step_s*, the first of which begins at *start_s*."""

    start_s: int
    step_s: int
    values: tuple[float | None, ...]
    unit: str


@dataclass(slots=True)
class _Merged:
    """The samples of one group in one span: what a figure is made of, and what it is a share of."""

    of: Sample
    per: Sample


@dataclass(frozen=True, slots=True)
class Reader:
    """Answers questions to *history*."""

    history: History

    def value(
        self, collection: Collection, now_s: float, window_s: int, *, how: How | None = None
    ) -> Reading:
        """Return the figure over the window that ends at *now_s*; *how*: not the collection's own way."""
        return self.by(collection, now_s, window_s, (), how=how).get(
            (), Reading(None, collection.unit, window_s)
        )

    def by(
        self,
        collection: Collection,
        now_s: float,
        window_s: int,
        labels: Labels,
        *,
        how: How | None = None,
    ) -> dict[Labels, Reading]:
        """Return the figure for each group of *labels* (such as ``("region",)``) that was measured at all."""
        end_s = int(now_s) // MINUTE_S * MINUTE_S + MINUTE_S
        start_s = (end_s - window_s) // _width(window_s) * _width(window_s)
        merged: dict[Labels, _Merged] = {}
        for group, _, is_per, sample in self._read(collection, start_s, end_s, window_s, labels):
            into = merged.setdefault(group, _Merged(Sample(), Sample()))
            (into.per if is_per else into.of).merge(sample)
        how = collection.how if how is None else how
        span_s = max(1.0, now_s - start_s)  # of a minute or hour that has just begun, only what has passed
        return {
            group: _reading(collection, both, how, window_s, now_s, span_s) for group, both in merged.items()
        }

    def line(
        self,
        collection: Collection,
        now_s: float,
        window_s: int,
        step_s: int,
        *,
        how: How | None = None,
    ) -> Line:
        """Return the figure for each step of the window, oldest first."""
        return self.lines(collection, now_s, window_s, step_s, (), how=how).get(
            (), self._line(collection, now_s, window_s, step_s, {}, how)
        )

    def lines(
        self,
        collection: Collection,
        now_s: float,
        window_s: int,
        step_s: int,
        labels: Labels,
        *,
        how: How | None = None,
    ) -> dict[Labels, Line]:
        """Return a line for each group of *labels*.

        *step_s* is a whole number of minutes, or of hours for windows beyond six of them.
        """
        start_s, end_s = _grid(now_s, window_s, step_s)
        found: dict[Labels, dict[int, _Merged]] = {}
        for group, at_s, is_per, sample in self._read(collection, start_s, end_s, window_s, labels):
            steps = found.setdefault(group, {})
            into = steps.setdefault((at_s - start_s) // step_s, _Merged(Sample(), Sample()))
            (into.per if is_per else into.of).merge(sample)
        return {
            group: self._line(collection, now_s, window_s, step_s, steps, how)
            for group, steps in found.items()
        }

    def _line(
        self,
        collection: Collection,
        now_s: float,
        window_s: int,
        step_s: int,
        steps: Mapping[int, _Merged],
        how: How | None,
    ) -> Line:
        start_s, end_s = _grid(now_s, window_s, step_s)
        how = collection.how if how is None else how
        values = tuple(
            _figure(collection, both, how, step_s) if (both := steps.get(place)) is not None else None
            for place in range((end_s - start_s) // step_s)
        )
        return Line(start_s, step_s, values, collection.unit)

    def _read(
        self, collection: Collection, start_s: int, end_s: int, window_s: int, labels: Labels
    ) -> Iterator[tuple[Labels, int, bool, Sample]]:
        """Yield what the figure is made of: each sample's group, when, and whether it is divided by."""
        parts = [(part, False) for part in collection.of] + [(part, True) for part in collection.per]
        names = {part.metric.name for part, _ in parts}
        for row in self.history.rows(names, start_s, end_s, _width(window_s)):
            if collection.region is not None and row.series.region != collection.region:
                continue
            for part, is_per in parts:
                if part.metric.name == row.series.metric and _fits(part, row.series):
                    yield _group(row.series, labels), row.start_s, is_per, row.sample


def _width(window_s: int) -> int:
    return MINUTE_S if window_s <= FINE_S else HOUR_S


def _grid(now_s: float, window_s: int, step_s: int) -> tuple[int, int]:
    """Return from when to when the steps of a window go; the last one holds *now_s*."""
    end_s = int(now_s) // step_s * step_s + step_s
    return end_s - -(-window_s // step_s) * step_s, end_s


def _fits(part: Part, series: Series) -> bool:
    names, labels = part.metric.labels, series.labels
    return all(labels[names.index(name)] == value for name, value in part.where.items()) and all(
        labels[names.index(name)] != value for name, value in part.unless.items()
    )


def _group(series: Series, labels: Labels) -> Labels:
    names = METRICS[series.metric].labels
    return tuple(
        series.region if name == "region" else series.labels[names.index(name)] if name in names else ""
        for name in labels
    )


def _reading(
    collection: Collection, both: _Merged, how: How, window_s: int, now_s: float, span_s: float
) -> Reading:
    latest_s = max(both.of.at_s, both.per.at_s)
    count = both.per.total if how in ("share", "rest") else _measured(collection, both.of)
    age_s = max(0.0, now_s - latest_s) if latest_s else None
    return Reading(_figure(collection, both, how, span_s), collection.unit, window_s, count, age_s)


def _measured(collection: Collection, sample: Sample) -> float:
    return sample.total if collection.of[0].metric.kind is Kind.COUNT else sample.count


def _figure(collection: Collection, both: _Merged, how: How, span_s: float) -> float | None:
    figure = _unscaled(both, how, span_s)
    return None if figure is None else figure * collection.scale


def _unscaled(both: _Merged, how: How, span_s: float) -> float | None:
    sample = both.of
    match how:
        case "share" | "rest":
            if not both.per.total:
                return None
            share = 100 * sample.total / both.per.total
            return share if how == "share" else 100 - share
        case _ if not sample.count:
            return None
        case "sum":
            return sample.total
        case "rate":
            return sample.total / span_s
        case "avg":
            return sample.average
        case "high":
            return sample.high
        case _:
            return None if sample.sketch is None else sample.sketch.quantile(int(how[1:]) / 100)
