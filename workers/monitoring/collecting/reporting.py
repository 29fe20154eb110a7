"""Hands on what a process measures, from a thread of its own: a report every 5 seconds, events each second.

Nobody waits for this thread, and it needs nobody: while the reply store is away, what is measured adds up in
memory, by the minute, and waits; the oldest of more than a quarter of an hour is dropped.  A report that may
have arrived is sent again as it was, never added to another, so that the inbox can tell that it has it.

Units: seconds.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from workers.monitoring.events import Event
from workers.monitoring.metrics import DISCARDED
from workers.monitoring.recorder import MemoryRecorder, Recorder, Report
from workers.monitoring.telling import EventBuffer

logger = logging.getLogger(__name__)

TELL_EVERY_S = 1.0
REPORT_EVERY_S = 5.0
MOST_WAITING = 15  # reports, of a minute each while the store is away
_MINUTE_S = 60
_PATIENCE_S = 1.0  # of whoever closes it

Look = Callable[[Recorder], None]
"""Measures what is to be looked at once a report, such as the machine's load."""


class Inbox(Protocol):
    """Takes reports."""

    def push(self, report: Report) -> None:
        """Take *report*; raise whatever is in the way."""


class Outlet(Protocol):
    """Takes events to those who subscribed."""

    def send(self, events: Sequence[Event]) -> int:
        """Send *events*; return how many messages had to go for them, of subscribers who do not read.

        Raises whatever is in the way.
        """

    def close(self, unsent: Sequence[Event] = ()) -> None:
        """Send *unsent*, if that takes no new connection, and give connections back."""


class NoOutlet:
    """Nobody subscribes."""

    def send(self, events: Sequence[Event]) -> int:  # noqa: ARG002 - the protocol's signature
        """Do nothing."""
        return 0

    def close(self, unsent: Sequence[Event] = ()) -> None:
        """Do nothing."""


class Reporter:
    """Hands on what *recorder* and *buffer* hold; ``looks`` measure more, just before.

    Made, started and closed in one process: a forked child makes its own.  *closing* is called at the end.
    """

    def __init__(
        self,
        recorder: MemoryRecorder,
        buffer: EventBuffer,
        inbox: Inbox,
        outlet: Outlet,
        closing: Callable[[], object] = tuple,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._recorder, self._buffer = recorder, buffer
        self._inbox, self._outlet = inbox, outlet
        self._closing, self._now_s = closing, now_s
        self.looks: list[Look] = []
        self._waiting: deque[Report] = deque()
        self._taken_minute = -1
        self._lost = 0  # reports
        self._failing: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ion-reporter", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, patience_s: float = _PATIENCE_S) -> None:
        """Hand on the last report, and give connections back; wait up to *patience_s* for that."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(patience_s)

    def tell(self) -> None:
        """Send the events that wait; those that cannot go out are counted, and gone."""
        events, dropped = self._buffer.take()
        if events:
            try:
                unread = self._outlet.send(events)
            except Exception as error:  # noqa: BLE001 - nobody but this thread is to know of it
                dropped += len(events)
                self._trouble("sending events", error)
            else:
                self._failing.discard("sending events")
                if unread:
                    self._recorder.count(DISCARDED, unread, ("unread",))
        if dropped:
            self._recorder.count(DISCARDED, dropped, ("events",))

    def report(self) -> None:
        """Push a report of what was measured, and those that waited."""
        for look in list(self.looks):
            try:
                look(self._recorder)
            except Exception as error:  # noqa: BLE001 - what cannot be looked at is a gap, and the rest goes on
                self._trouble("looking at the process", error)
        minute = int(self._now_s()) // _MINUTE_S
        if not self._waiting or minute != self._taken_minute:
            self._take(minute)
        self._push()

    def _run(self) -> None:
        due_s = time.monotonic() + REPORT_EVERY_S
        while not self._stop.wait(TELL_EVERY_S):
            self.tell()
            if time.monotonic() >= due_s:
                self.report()
                due_s = time.monotonic() + REPORT_EVERY_S
        self._end()

    def _end(self) -> None:
        self._taken_minute = -1
        self.report()
        try:
            self._outlet.close(self._buffer.take()[0])
            self._closing()
        except Exception as error:  # noqa: BLE001 - it ends either way
            self._trouble("closing a connection", error)

    def _take(self, minute: int) -> None:
        report = self._recorder.take()
        self._taken_minute = minute
        if not report.cells and not report.users:
            return
        self._waiting.append(report)
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            self._lost += 1

    def _push(self) -> None:
        while self._waiting:
            try:
                self._inbox.push(self._waiting[0])
            except Exception as error:  # noqa: BLE001 - whatever it is, the report waits
                self._trouble("reporting what was measured", error)
                return
            self._waiting.popleft()
        if self._lost:  # told when somebody listens, lest the telling be lost as well
            self._recorder.count(DISCARDED, self._lost, ("overflow",))
            self._lost = 0
        if "reporting what was measured" in self._failing:
            self._failing.discard("reporting what was measured")
            logger.warning("reporting what was measured works again")

    def _trouble(self, doing: str, error: Exception) -> None:
        """Log the first failure of each kind until it works again; errors' texts may quote addresses."""
        if doing not in self._failing:
            self._failing.add(doing)
            logger.warning("%s failed: %s; jobs are answered all the same", doing, type(error).__name__)
