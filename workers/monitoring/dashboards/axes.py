"""Where the lines of a chart lie: round limits for its values, round moments below it.

Units:  those of the values; seconds since the Unix epoch.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from workers.monitoring.dashboards.model import ChartPanel, Limit, StatPanel
from workers.monitoring.history import HOUR_S, MINUTE_S

_PARTS = 4  # between the lowest and the highest line of the grid
_ROUND = (1, 2, 4, 6, 8, 10)
_MOMENTS_S = (5 * MINUTE_S, 10 * MINUTE_S, 15 * MINUTE_S, HOUR_S, 4 * HOUR_S, 12 * HOUR_S)
_MOST_MOMENTS = 7
_LEAST = 1e-9  # nothing that is measured is smaller, and an axis needs room
_NEAR = 1.6  # a limit is drawn if the axis need not grow by more than that for it


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from *low* to *high*."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """Return where *value* lies: 0 at the low end, 1 at the high one, and never beyond."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def ticks(self) -> tuple[float, ...]:
        """Return the values of the grid's lines, the lowest first."""
        return tuple(self.low + (self.high - self.low) * part / _PARTS for part in range(_PARTS + 1))

    def holds(self, value: float) -> bool:
        """Tell whether *value* lies on it."""
        return self.low <= value <= self.high


def scale_of(courses: Iterable[Sequence[float | None]], limits: Sequence[Limit], unit: str) -> Scale:
    """Return an axis for *courses* that shows those *limits* that are near them.

    It begins at 0; shares that are all nearly 100 % are told apart by one that ends there.
    """
    values = [value for course in courses for value in course if value is not None]
    if not values:
        return Scale(0.0, 1.0)
    low, high = min(values), max(values)
    if unit == "%" and low >= 90 and high <= 100:
        missing = 100 - min([low, *(one.value for one in limits if 90 <= one.value < 100)])
        return Scale(100 - _round_up(max(missing, 0.04)), 100.0)
    near = [one.value for one in limits if 0 < one.value <= high * _NEAR]
    top = _round_up(max([high, *near]))
    if unit == "%" and high <= 100:
        top = min(top, 100.0)
    return Scale(0.0 if low >= 0 else -_round_up(-low), top)


def scale_of_chart(panel: ChartPanel) -> Scale:
    """Return the axis that the lines of *panel* share."""
    return scale_of([trace.values for trace in panel.traces], panel.limits, panel.unit)


def scale_of_stat(panel: StatPanel) -> Scale:
    """Return the axis of the course of *panel*."""
    return scale_of([panel.line.values], (), panel.subject.unit)


def moments(start_s: int, end_s: int) -> Iterator[int]:
    """Yield a few round moments within [start_s, end_s], in UTC."""
    span_s = end_s - start_s
    every_s = next((one for one in _MOMENTS_S if span_s / one <= _MOST_MOMENTS), 24 * HOUR_S)
    yield from range(-(-start_s // every_s) * every_s, end_s + 1, every_s)


def runs(values: Sequence[float | None]) -> Iterator[list[tuple[int, float]]]:
    """Yield the unbroken stretches of *values*, each as places and values: a gap is a gap."""
    run: list[tuple[int, float]] = []
    for place, value in enumerate(values):
        if value is not None:
            run.append((place, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _round_up(value: float) -> float:
    """Return the next round number that is not below *value*; 1 for nothing."""
    if value <= 0:
        return 1.0
    value = max(value, _LEAST)
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (*_ROUND, 20) if step * power >= value * (1 - 1e-9))
