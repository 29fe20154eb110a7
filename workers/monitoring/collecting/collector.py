"""Bring what processes have measured from the inbox into the database.

Reports are deleted from the inbox when the database has them, and not before.  Whatever ends a collector in
between, the next one takes the same reports again, and the database knows which of them it has.  Several
collectors at once do the same work twice, and nothing worse.

Errors:  those of the inbox (redis.RedisError, OSError) and of the database (StoreUnavailable): the reports
         wait where they are.
"""

from collections.abc import Sequence
from typing import Protocol

from workers.monitoring.collecting.inbox import Taken
from workers.monitoring.collecting.intake import CORRUPT, Measured, read
from workers.monitoring.metrics import DISCARDED, REPORTS
from workers.monitoring.recorder import Recorder
from workers.observability.bugs import ReportBug
from workers.store.errors import StoreError

_MOST_ROUNDS = 20  # in one go, after an outage


class Inbox(Protocol):
    """Where reports wait; see ``ReportInbox``."""

    def take(self) -> Taken:
        """Take the oldest reports."""

    def delete(self, taken: Taken) -> None:
        """Delete what was taken."""


class Added(Protocol):
    """What came of adding: *reports* that were news, and series that were one too many (*crowded*)."""

    @property
    def reports(self) -> Sequence[Measured]:
        """Those that were news."""

    @property
    def crowded(self) -> int:
        """How many samples had to go under the label ``other``."""


class Book(Protocol):
    """Keeps what was measured; see ``MetricStore``."""

    def add(self, measured: Sequence[Measured], now_s: float) -> Added:
        """Add what is new of *measured*, all of it or nothing."""


class Collector:
    """Brings reports from *inbox* into *book*; what it counts itself goes to *recorder*."""

    def __init__(self, inbox: Inbox, book: Book, recorder: Recorder, report_bug: ReportBug) -> None:
        self._inbox, self._book = inbox, book
        self._recorder, self._report_bug = recorder, report_bug

    def collect(self) -> float:
        """Take in what waits, or a good part of it; return the time by the inbox's clock."""
        for _ in range(_MOST_ROUNDS):
            taken = self._inbox.take()
            if taken.dropped:
                self._recorder.count(DISCARDED, taken.dropped, ("overflow",))
            if taken.reports:
                self._add([read(packed, taken.now_s) for packed in taken.reports], taken.now_s)
                self._inbox.delete(taken)
            if not taken.waiting:
                break
        return taken.now_s

    def _add(self, measured: Sequence[Measured], now_s: float) -> None:
        try:
            added = self._book.add(measured, now_s)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - one that cannot be added must not keep back all others
            if len(measured) > 1:
                for one in measured:
                    self._add([one], now_s)
                return
            self._report_bug("taking in a report", error)
            self._recorder.count(DISCARDED, labels=(CORRUPT,))
            return
        if added.reports:
            self._recorder.count(REPORTS, len(added.reports))
        if added.crowded:
            self._recorder.count(DISCARDED, added.crowded, ("labels",))
        for one in added.reports:
            for reason, count in one.discarded.items():
                self._recorder.count(DISCARDED, count, (reason,))
