"""What a dashboard needs of the history, read with two questions and kept while it is built.

A dashboard asks for the same samples some thirty times: for each figure, for its course, by label.  So they
are read once, and minutes are added up to the steps of the dashboard's lines first.

Units:  seconds since the Unix epoch; seconds.
"""

from collections import defaultdict
from collections.abc import Collection as Some
from collections.abc import Iterable, Iterator

from workers.monitoring.history import FINE_S, HOUR_S, MINUTE_S, History, Row
from workers.monitoring.metrics import REPORTS
from workers.monitoring.samples import Sample, Series

WINDOWS_S = {"1h": HOUR_S, "6h": 6 * HOUR_S, "24h": 24 * HOUR_S, "72h": 72 * HOUR_S}
"""The windows that a dashboard can be seen over, as they are called."""


def step_of(window_s: int) -> int:
    """Return the step of lines over *window_s*: between 24 and 72 of them."""
    if window_s > FINE_S:
        return HOUR_S
    return MINUTE_S if window_s <= HOUR_S else 5 * MINUTE_S


def grid_of(now_s: float, window_s: int) -> tuple[int, int]:
    """Return when the first step of a line over *window_s* begins, and how many steps there are."""
    step_s = step_of(window_s)
    count = -(-window_s // step_s)
    return int(now_s) // step_s * step_s + step_s - count * step_s, count


class Ahead:
    """A History of *metrics*, as it is at *now_s*, for the dashboard's window and the last *recent_s*."""

    def __init__(
        self, history: History, metrics: Some[str], now_s: float, window_s: int, recent_s: int
    ) -> None:
        self._step_s = step_of(window_s)
        width_s = HOUR_S if window_s > FINE_S else MINUTE_S
        end_s = int(now_s) // MINUTE_S * MINUTE_S + MINUTE_S
        self._recent_s = end_s - recent_s
        rows = list(history.rows(metrics, (end_s - window_s) // self._step_s * self._step_s, end_s, width_s))
        if width_s == MINUTE_S:
            recent = [row for row in rows if row.start_s >= self._recent_s]
        else:
            recent = list(history.rows(metrics, self._recent_s, end_s, MINUTE_S))
        self._recent = _by_metric(recent)
        self._steps = _by_metric(rows if width_s == self._step_s else _added_up(rows, self._step_s))

    def rows(self, metrics: Some[str], start_s: int, end_s: int, width_s: int) -> Iterator[Row]:
        """Yield what was read of *metrics* in [start_s, end_s).

        Where minutes were added up to steps, a span that begins within a step holds all of that step.
        """
        if width_s == MINUTE_S and start_s >= self._recent_s:
            found, at_least_s = self._recent, start_s
        else:
            found, at_least_s = self._steps, start_s - self._step_s + 1
        for metric in metrics:
            for row in found.get(metric, ()):
                if at_least_s <= row.start_s < end_s:
                    yield row

    def latest_s(self, metrics: Some[str]) -> float | None:
        """Return when the newest measurement of *metrics* was made; None: there is none."""
        found = [row.sample.at_s for name in metrics for row in self._steps.get(name, ())]
        return max(found, default=None)

    def reported(self, now_s: float, window_s: int) -> "frozenset[int]":
        """Return in which steps of the window processes reported at all: there, what nobody counted is 0."""
        start_s, _ = grid_of(now_s, window_s)
        return frozenset((row.start_s - start_s) // self._step_s for row in self._steps.get(REPORTS.name, ()))


def _by_metric(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.series.metric].append(row)
    return found


def _added_up(rows: Iterable[Row], step_s: int) -> list[Row]:
    merged: dict[tuple[Series, int], Sample] = {}
    for row in rows:
        merged.setdefault((row.series, row.start_s // step_s * step_s), Sample()).merge(row.sample)
    return [Row(series, start_s, sample) for (series, start_s), sample in merged.items()]
