"""What one process measures, added up in memory until it is reported.

Recording takes one lock and about a microsecond, and never raises for what it is given: labels too many or
too long go under ``other``, what is no number is left out, and both are counted.  Safe to use from many
threads.

Units:  those of the metric; seconds since the Unix epoch.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from workers.monitoring.metrics import DISCARDED, MOST_SERIES, OTHER, Kind, Metric
from workers.monitoring.samples import Sample, Series
from workers.monitoring.sketch import Sketch

REPORT_VERSION = 1
MOST_USERS = 10_000  # different people in one report; USERS is too low beyond
_ENDLESS = 1e15  # no value of ours is near it, and sums of what is below stay numbers
_LONGEST_LABEL = 100  # characters
_LONGEST_SPAN_S = 120.0  # between two reports; what seems longer is a clock that was set


class Recorder(Protocol):
    """Takes measurements."""

    def count(self, metric: Metric, rise: float = 1, labels: tuple[str, ...] = ()) -> None:
        """Add to a count."""

    def measure(self, metric: Metric, value: float, times: int = 1, labels: tuple[str, ...] = ()) -> None:
        """Take a value of a gauge or a distribution, as often as it occurred."""

    def measure_all(self, metric: Metric, values: Iterable[float], labels: tuple[str, ...] = ()) -> None:
        """Take many values, at the price of one lock."""

    def saw(self, user_id: str) -> None:
        """Take note of a person; what leaves the process is a digest."""


class NullRecorder:
    """Measures nothing."""

    def count(self, metric: Metric, rise: float = 1, labels: tuple[str, ...] = ()) -> None:
        """Do nothing."""

    def measure(self, metric: Metric, value: float, times: int = 1, labels: tuple[str, ...] = ()) -> None:
        """Do nothing."""

    def measure_all(self, metric: Metric, values: Iterable[float], labels: tuple[str, ...] = ()) -> None:
        """Do nothing."""

    def saw(self, user_id: str) -> None:
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
        self._users: set[str] = set()
        self._since_s = now_s()

    def count(self, metric: Metric, rise: float = 1, labels: tuple[str, ...] = ()) -> None:
        """Add to a count."""
        with self._lock:
            sample = self._sample(metric, labels)
            if _is_number(rise):
                _add(sample, rise, 1)
            else:
                self._discard("number")

    def measure(self, metric: Metric, value: float, times: int = 1, labels: tuple[str, ...] = ()) -> None:
        """Take a value of a gauge or a distribution, as often as it occurred."""
        with self._lock:
            self._measure(self._sample(metric, labels), value, times)

    def measure_all(self, metric: Metric, values: Iterable[float], labels: tuple[str, ...] = ()) -> None:
        """Take many values, at the price of one lock."""
        with self._lock:
            sample = self._sample(metric, labels)
            for value in values:
                self._measure(sample, value, 1)

    def saw(self, user_id: str) -> None:
        """Take note of a person; without a lock, since nothing is lost if two do so at once."""
        users = self._users
        if len(users) < MOST_USERS:
            users.add(user_id)

    def take(self) -> Report:
        """Return what came since the last time, and begin anew."""
        with self._lock:
            taken, self._samples = self._samples, {}
            users, self._users = self._users, set()
            since_s, until_s = self._since_s, self._now_s()
            self._since_s = until_s
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
            if sample.count
        ]
        span_s = until_s - since_s
        middle_s = until_s - span_s / 2 if 0 <= span_s <= _LONGEST_SPAN_S else until_s
        return Report(
            source=self._source,
            region=self._region,
            at_ms=int(middle_s * 1000),
            cells=cells,
            users=[digest_of(user_id) for user_id in list(users)],
        )

    def _measure(self, sample: Sample, value: float, times: int) -> None:
        """Take a value; called under the lock."""
        if not _is_number(value):
            self._discard("number")
            return
        _add(sample, value, times)
        if sample.sketch is not None:
            sample.sketch.add(value, times)

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
        fit = len(labels) == len(metric.labels) and all(len(label) <= _LONGEST_LABEL for label in labels)
        if fit and self._known.get(metric.name, 0) < MOST_SERIES:
            self._known[metric.name] = self._known.get(metric.name, 0) + 1
            self._series.add((metric.name, labels))
            return labels
        self._discard("labels")
        return (OTHER,) * len(metric.labels)

    def _discard(self, reason: str) -> None:
        """Count what had to be left out; called under the lock."""
        _add(self._samples.setdefault((DISCARDED, (reason,)), Sample()), 1, 1)


def digest_of(user_id: str) -> bytes:
    """Return what stands for a person in reports: the same everywhere, and no way back to the id."""
    return hashlib.blake2b(user_id.encode(errors="replace"), digest_size=8, person=b"ion users").digest()


def _is_number(value: float) -> bool:
    return -_ENDLESS < value < _ENDLESS  # which NaN is not, either


def _add(sample: Sample, value: float, times: int) -> None:
    sample.count += times
    sample.total += value * times
    if value < sample.low:  # noqa: PLR1730 - min() takes three times as long
        sample.low = value
    if value > sample.high:  # noqa: PLR1730 - likewise
        sample.high = value


def series_of(report: Report, cell: Cell) -> Series:
    """Return whose values *cell* of *report* holds."""
    return Series(report.region, cell.metric, cell.labels)
