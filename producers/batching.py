"""Gather jobs into batches: the coalescer, as a value that is told the time.

A lane is one kind of message (task and queue).  When nothing of the client is under way, a job leaves
at once, so a lone caller never waits for company.  Otherwise jobs gather until the lane holds
``max_jobs`` or ``max_bytes``, or its first job has waited for the linger (Nagle's rule, with a clock).
Of several batches that may leave, the one of the first class goes first (``names.QUEUES``), so that a
pipeline's batches are never in the way of a person's.

Units: seconds of a monotonic clock, bytes.
"""

from collections import deque
from collections.abc import Container
from dataclasses import dataclass, field
from typing import NamedTuple

from workers.contract.names import QUEUES
from workers.contract.refs import TaskRef
from workers.contract.wire import MAX_MESSAGE_BYTES, MAX_MESSAGE_JOBS

Lane = tuple[TaskRef[object], str]  # the task, and the queue it goes to
PackedJob = tuple[str, bytes, bytes | None]
"""A job's id; packed; and, if it is durable, what tells its request from others under the same id."""


class Leaving(NamedTuple):
    """A batch that is to leave now; *note* is what operators see of it beside its size."""

    lane: Lane
    jobs: list[PackedJob]
    note: str = ""


_RANK = {queue: rank for rank, queue in enumerate(QUEUES)}
_LAST = len(QUEUES)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How long and how much a lane gathers."""

    linger_s: float
    max_jobs: int
    max_bytes: int


@dataclass(slots=True)
class _Gathering:
    since: float
    size: int = 0
    jobs: list[PackedJob] = field(default_factory=list)


class Coalescer:
    """Open batches by lane, and those that are ready to leave.  Not thread-safe: the caller locks."""

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._open: dict[Lane, _Gathering] = {}
        self._ready: tuple[deque[Leaving], ...] = tuple(deque() for _ in range(_LAST + 1))  # by class

    def add(self, lane: Lane, job: PackedJob, now: float) -> bool:
        """Add a job; return whether the sender has something new to do (a first job or a full batch)."""
        gathering = self._open.get(lane)
        size = len(job[1])
        first = gathering is None
        if gathering is None:
            gathering = self._open[lane] = _Gathering(now)
        elif gathering.size + size > self._limits.max_bytes:
            self._is_ready(Leaving(lane, gathering.jobs))
            gathering = self._open[lane] = _Gathering(now)
            first = True
        gathering.jobs.append(job)
        gathering.size += size
        if len(gathering.jobs) >= self._limits.max_jobs:
            self._is_ready(Leaving(lane, gathering.jobs))
            del self._open[lane]
            return True
        return first

    def add_batch(self, lane: Lane, jobs: list[PackedJob], note: str = "") -> None:
        """Add jobs that are to travel together: as one message, unless the contract's limits cut it."""
        start, size = 0, 0
        for end, (_, packed, _) in enumerate(jobs):
            size += len(packed)
            if end > start and (size > MAX_MESSAGE_BYTES or end - start == MAX_MESSAGE_JOBS):
                self._is_ready(Leaving(lane, jobs[start:end], note))
                start, size = end, len(packed)
        self._is_ready(Leaving(lane, jobs[start:], note))

    def take(self, now: float, busy: Container[str] = ()) -> Leaving | None:
        """Return a batch that is to leave now, or None.  *busy*: queues that the client has batches on."""
        due, best = None, _LAST + 1
        for lane, gathering in self._open.items():
            rank = _RANK.get(lane[1], _LAST)
            if rank < best and (lane[1] not in busy or now - gathering.since >= self._limits.linger_s):
                due, best = lane, rank
        for ready in self._ready[: best + 1]:
            if ready:
                return ready.popleft()
        return None if due is None else Leaving(due, self._open.pop(due).jobs)

    def wait_s(self, now: float) -> float | None:
        """Return how long until a gathering batch is to leave; None when there is none."""
        if not self._open:
            return None
        first = min(gathering.since for gathering in self._open.values())
        return max(0.0, first + self._limits.linger_s - now)

    def take_all(self) -> list[PackedJob]:
        """Empty it and return every job that has not left."""
        jobs = [job for ready in self._ready for leaving in ready for job in leaving.jobs]
        jobs += [job for gathering in self._open.values() for job in gathering.jobs]
        for ready in self._ready:
            ready.clear()
        self._open.clear()
        return jobs

    def _is_ready(self, leaving: Leaving) -> None:
        self._ready[_RANK.get(leaving.lane[1], _LAST)].append(leaving)
