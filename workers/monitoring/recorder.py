"""What one process measures, added up in memory until it is reported.

Recording takes one lock and less than a microsecond, and never raises for what it is given: a label too many
goes under ``other``, and that is counted.  Safe to use from many threads.

Units:  those of the metric; seconds since the Unix epoch.
"""

import threading
from collections.abc import Callable
from typing import Protocol

import msgspec

from workers.monitoring.metrics import DISCARDED, MOST_SERIES, OTHER, Kind, Metric
from workers.monitoring.samples import Sample, Series
from workers.monitoring.sketch import Sketch

REPORT_VERSION = 1


class Recorder(Protocol):
    """Takes measurements."""

    def count(self, metric: Metric, rise: float = 1, labels: tuple[str, ...] = ()) -> None:
        """Add to a count."""

    def measure(self, metric: Metric, value: float, times: int = 1, labels: tuple[str, ...] = ()) -> None:
        """Take a value of a gauge or a distribution, as often as it occurred."""


class NullRecorder:
    """Measures nothing."""

    def count(self, metric: Metric, rise: float = 1, labels: tuple[str, ...] = ()) -> None:
        """Do nothing."""

    def measure(self, metric: Metric, value: float, times: int = 1, labels: tuple[str, ...] = ()) -> None:
        """Do nothing."""


class Cell(msgspec.Struct, array_like=True):
    """One series in a report: as a Sample, with its sketch packed."""

    metric: str
    labels: tuple[str, ...]
    count: int
    total: float
    low: float
    high: float
    sketch: bytes | None = None


class Report(msgspec.Struct, kw_only=True):
    """What one process measured between two reports; *at_ms* is the middle of that span.

    *users*: digests of the different user ids that were seen, never the ids.
    """

    v: int = REPORT_VERSION
    source: str
    region: str
    at_ms: int
    cells: list[Cell]
    users: list[bytes] = []


class MemoryRecorder:
    """Keeps what it is given until ``take``; *now_s* reads the wall clock."""

    def __init__(self, region: str, source: str, now_s: Callable[[], float]) -> None:
        self._region, self._source, self._now_s = region, source, now_s
        self._lock = threading.Lock()
        self._samples: dict[tuple[Metric, tuple[str, ...]], Sample] = {}
        self._known: dict[str, int] = {}  # metric -> how many series since the start
        self._series: set[tuple[str, tuple[str, ...]]] = set()
        self._since_s = now_s()

    def count(self, metric: Metric, rise: float = 1, labels: tuple[str, ...] = ()) -> None:
        """Add to a count."""
        with self._lock:
            sample = self._sample(metric, labels)
            sample.count += 1
            sample.total += rise
            sample.low, sample.high = min(sample.low, rise), max(sample.high, rise)

    def measure(self, metric: Metric, value: float, times: int = 1, labels: tuple[str, ...] = ()) -> None:
        """Take a value of a gauge or a distribution, as often as it occurred."""
        with self._lock:
            sample = self._sample(metric, labels)
            sample.count += times
            sample.total += value * times
            sample.low, sample.high = min(sample.low, value), max(sample.high, value)
            if sample.sketch is not None:
                sample.sketch.add(value, times)

    def take(self) -> Report:
        """Return what came since the last time, and begin anew."""
        with self._lock:
            taken, self._samples = self._samples, {}
            since_s, self._since_s = self._since_s, self._now_s()
            until_s = self._since_s
        cells = [
            Cell(
                metric.name,
                labels,
                sample.count,
                sample.total,
                sample.low,
                sample.high,
                None if sample.sketch is None else sample.sketch.pack(),
            )
            for (metric, labels), sample in taken.items()
        ]
        at_ms = int((since_s + until_s) / 2 * 1000)
        return Report(source=self._source, region=self._region, at_ms=at_ms, cells=cells)

    def _sample(self, metric: Metric, labels: tuple[str, ...]) -> Sample:
        """Return where to count; called under the lock."""
        sample = self._samples.get((metric, labels))
        if sample is None:
            labels = self._bounded(metric, labels)
            sample = self._samples.get((metric, labels))
        if sample is None:
            sample = Sample(sketch=Sketch() if metric.kind is Kind.DISTRIBUTION else None)
            self._samples[metric, labels] = sample
        return sample

    def _bounded(self, metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Return *labels*, or ``other`` in place of all when the metric has as many series as it may."""
        if (metric.name, labels) in self._series:
            return labels
        if self._known.get(metric.name, 0) < MOST_SERIES:
            self._known[metric.name] = self._known.get(metric.name, 0) + 1
            self._series.add((metric.name, labels))
            return labels
        discarded = self._samples.setdefault((DISCARDED, ("labels",)), Sample())
        discarded.count += 1
        discarded.total += 1
        discarded.low = discarded.high = 1.0
        return (OTHER,) * len(metric.labels)


def series_of(report: Report, cell: Cell) -> Series:
    """Return whose values *cell* of *report* holds."""
    return Series(report.region, cell.metric, cell.labels)
