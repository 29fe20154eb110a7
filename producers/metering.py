"""Counts how a client's jobs end: each in one place, many at a time.

=============  ==============================================================================================
answered       REQUESTS and RESPONSE_TIME, from the call to the outcome's arrival in this process
rejected       the same and REJECTED; without a time, if the client refused it before anything was done
our fault      the same and ERRORS: failed, dead, expired, or not known to have been sent (Unavailable)
not accepted   REFUSED alone: the fleet was full (``overloaded``) or away (``unavailable``)
held back      nothing: the caller's own rate limit was reached, or the caller closed the client
=============  ==============================================================================================

What the process answers from its own memory takes 10 us: so it is only noted, and measured later.

Units: seconds of a monotonic clock in, milliseconds out.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from persona_system.errors import InvalidInput
from producers.batching import Lane
from producers.errors import ClientClosed, Overloaded, Rationed, Unavailable
from producers.requests import Settled
from workers.contract.names import BULK
from workers.contract.payloads import Outcome, Status
from workers.contract.refs import RECOMMEND
from workers.monitoring.metrics import (
    ERRORS,
    REFUSED,
    REJECTED,
    REQUESTS,
    RESPONSE_TIME,
    TASKS,
)
from workers.monitoring.recorder import NullRecorder, Recorder

_NOTES = 256  # of answers from memory, before they are measured by whoever comes

_HELD_BACK = (Rationed, ClientClosed)
_OUR_FAULT = frozenset({Status.FAILED, Status.EXPIRED, Status.DEAD})


class Taken:
    """Jobs that a caller handed over at once, at *at_s*, for one *endpoint*; equal to itself only."""

    __slots__ = ("at_s", "endpoint")

    def __init__(self, endpoint: str, at_s: float) -> None:
        self.endpoint, self.at_s = endpoint, at_s


class JobMeter:
    """Counts for one client, into *recorder*.  Safe to use from many threads."""

    def __init__(self, recorder: Recorder | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._recorder: Recorder = NullRecorder() if recorder is None else recorder
        self._on = recorder is not None
        self._clock = clock
        self._noted: deque[tuple[str, float, int]] = deque()  # endpoint, ms, jobs
        self._measuring = threading.Lock()

    def taken(self, lane: Lane) -> Taken:
        """Return what stands for jobs of *lane* that are handed over now."""
        return Taken(_endpoint(lane), self._clock())

    def saw(self, user_id: str) -> None:
        """Take note of who asks."""
        self._recorder.saw(user_id)

    def here(self, taken: Taken, jobs: int = 1) -> None:
        """Count *jobs* that this process answered from its memory, at once."""
        if self._on:
            self._noted.append((taken.endpoint, (self._clock() - taken.at_s) * 1000, jobs))
            if len(self._noted) >= _NOTES:
                self.measure()

    def measure(self) -> None:
        """Measure what was noted."""
        by_endpoint: dict[str, list[float]] = {}
        with self._measuring:  # one at a time takes from the left; callers add at the right
            noted = [self._noted.popleft() for _ in range(len(self._noted))]
        for endpoint, took_ms, jobs in noted:
            by_endpoint.setdefault(endpoint, []).extend([took_ms] * jobs)
        for endpoint, times in by_endpoint.items():
            self._recorder.count(REQUESTS, len(times), (endpoint,))
            self._recorder.measure_all(RESPONSE_TIME, times, (endpoint,))

    def refused(self, taken: Taken, jobs: int, error: Exception) -> None:
        """Count *jobs* that were not accepted, for *error*: the caller's own fault, or the fleet's state."""
        if isinstance(error, InvalidInput):
            self._recorder.count(REQUESTS, jobs, (taken.endpoint,))
            self._recorder.count(REJECTED, jobs, (taken.endpoint,))
        elif not isinstance(error, _HELD_BACK):
            reason = "overloaded" if isinstance(error, Overloaded) else "unavailable"
            self._recorder.count(REFUSED, jobs, (taken.endpoint, reason))

    def sent(self, task: str) -> None:
        """Count a message on its way."""
        self._recorder.count(TASKS, 1, (task, "sent"))

    def ended(self, jobs: Sequence[tuple[Taken | None, Settled]]) -> None:
        """Count accepted jobs by how they ended; None: one of nobody."""
        if not self._on or not jobs:
            return
        now_s = self._clock()
        times: dict[str, list[float]] = {}
        # Jobs of a batch come together and end alike, so runs of them are counted at once.
        before: Taken | None = None
        ended_before: object = None
        run = 0
        for taken, settled in jobs:
            how = settled.status if isinstance(settled, Outcome) else settled
            if taken is before and how is ended_before:
                run += 1
                continue
            if before is not None:
                self._count(before, ended_before, run, now_s, times)
            before, ended_before, run = taken, how, 1
        if before is not None:
            self._count(before, ended_before, run, now_s, times)
        for endpoint, values in times.items():
            self._recorder.count(REQUESTS, len(values), (endpoint,))
            self._recorder.measure_all(RESPONSE_TIME, values, (endpoint,))

    def _count(
        self, taken: Taken, ended: object, jobs: int, now_s: float, times: dict[str, list[float]]
    ) -> None:
        """Count a run of jobs that ended alike; those that end one by one are put into *times*."""
        place = (taken.endpoint,)
        if isinstance(ended, Overloaded | ClientClosed):
            self.refused(taken, jobs, ended)
            return
        if ended is Status.REJECTED or isinstance(ended, InvalidInput):
            self._recorder.count(REJECTED, jobs, place)
        elif ended in _OUR_FAULT or isinstance(ended, Unavailable):
            self._recorder.count(ERRORS, jobs, place)
        took_ms = (now_s - taken.at_s) * 1000
        if jobs == 1:
            times.setdefault(taken.endpoint, []).append(took_ms)
        else:
            self._recorder.count(REQUESTS, jobs, place)
            self._recorder.measure(RESPONSE_TIME, took_ms, jobs, place)


def _endpoint(lane: Lane) -> str:
    ref, queue = lane
    if ref is RECOMMEND:
        return "recommend"
    return "bulk_process" if queue == BULK else "process"
