"""A recorder that keeps what it is given, and inboxes and outlets that can be told to be away."""

from collections.abc import Iterable, Sequence

from workers.monitoring.events import Event
from workers.monitoring.metrics import Metric
from workers.monitoring.recorder import Report


class ListRecorder:
    """Keeps each measurement as (metric, labels, value), a value as often as it occurred."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, tuple[str, ...], float]] = []
        self.users: list[str] = []

    def count(self, metric: Metric, rise: float = 1, labels: tuple[str, ...] = ()) -> None:
        """Keep a rise."""
        self.taken.append((metric.name, labels, rise))

    def measure(self, metric: Metric, value: float, times: int = 1, labels: tuple[str, ...] = ()) -> None:
        """Keep a value."""
        self.taken += [(metric.name, labels, value)] * times

    def measure_all(self, metric: Metric, values: Iterable[float], labels: tuple[str, ...] = ()) -> None:
        """Keep values."""
        self.taken += [(metric.name, labels, value) for value in values]

    def saw(self, user_id: str) -> None:
        """Keep a person."""
        self.users.append(user_id)

    def total(self, name: str, *labels: str) -> float:
        """Return the sum of what was taken of the metric *name*, with *labels* if there are any."""
        return sum(value for metric, of, value in self.taken if metric == name and labels in ((), of))

    def values(self, name: str) -> list[float]:
        """Return what was taken of the metric *name*."""
        return [value for metric, _, value in self.taken if metric == name]


class MemoryInbox:
    """Keeps reports, unless it is *away*."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.away = False
        self.tries = 0

    def push(self, report: Report) -> None:
        """Keep *report*."""
        self.tries += 1
        if self.away:
            raise ConnectionError("told to be away, at an address")
        self.reports.append(report)

    def total(self, name: str, *labels: str) -> float:
        """Return the sum of a metric over all reports, with *labels* if there are any."""
        return sum(
            cell.total
            for report in self.reports
            for cell in report.cells
            if cell.metric == name and labels in ((), cell.labels)
        )


class MemoryOutlet:
    """Keeps events, unless it is *away*; *unread* is what subscribers have left."""

    def __init__(self) -> None:
        self.sent: list[Event] = []
        self.away = False
        self.unread = 0
        self.closed = False

    def send(self, events: Sequence[Event]) -> int:
        """Keep *events*."""
        if self.away:
            raise ConnectionError("told to be away, at an address")
        self.sent += events
        return self.unread

    def close(self, unsent: Sequence[Event] = ()) -> None:
        """Keep *unsent*, too."""
        self.sent += unsent
        self.closed = True
