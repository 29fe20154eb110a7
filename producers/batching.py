"""Gather jobs into batches: the coalescer, as a value that is told the time.

A lane is one kind of message (task and queue).  When nothing of the client is under way, a job leaves
at once, so a lone caller never waits for company.  Otherwise jobs gather until the lane holds
``max_jobs`` or ``max_bytes``, or its first job has waited for the linger (Nagle's rule, with a clock).

Units: seconds of a monotonic clock, bytes.
"""

from collections import deque
from dataclasses import dataclass, field

from workers.contract.refs import TaskRef
from workers.contract.wire import MAX_MESSAGE_BYTES, MAX_MESSAGE_JOBS

Lane = tuple[TaskRef[object], str]  # the task, and the queue it goes to
PackedJob = tuple[str, bytes]  # job id, packed job


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
        self._ready: deque[tuple[Lane, list[PackedJob]]] = deque()

    def add(self, lane: Lane, job_id: str, packed: bytes, now: float) -> bool:
        """Add a job; return whether the sender has something new to do (a first job or a full batch)."""
        gathering = self._open.get(lane)
        first = gathering is None
        if gathering is None:
            gathering = self._open[lane] = _Gathering(now)
        elif gathering.size + len(packed) > self._limits.max_bytes:
            self._ready.append((lane, gathering.jobs))
            gathering = self._open[lane] = _Gathering(now)
            first = True
        gathering.jobs.append((job_id, packed))
        gathering.size += len(packed)
        if len(gathering.jobs) >= self._limits.max_jobs:
            self._ready.append((lane, gathering.jobs))
            del self._open[lane]
            return True
        return first

    def add_batch(self, lane: Lane, jobs: list[PackedJob]) -> None:
        """Add jobs that are to travel together: as one message, unless the contract's limits cut it."""
        start, size = 0, 0
        for end, (_, packed) in enumerate(jobs):
            size += len(packed)
            if end > start and (size > MAX_MESSAGE_BYTES or end - start == MAX_MESSAGE_JOBS):
                self._ready.append((lane, jobs[start:end]))
                start, size = end, len(packed)
        self._ready.append((lane, jobs[start:]))

    def take(self, now: float, *, idle: bool) -> tuple[Lane, list[PackedJob]] | None:
        """Return a batch that is to leave now, or None.  *idle*: nothing of the client is under way."""
        if self._ready:
            return self._ready.popleft()
        for lane, gathering in self._open.items():
            if idle or now - gathering.since >= self._limits.linger_s:
                del self._open[lane]
                return lane, gathering.jobs
        return None

    def wait_s(self, now: float) -> float | None:
        """Return how long until a gathering batch is to leave; None when there is none."""
        if not self._open:
            return None
        first = min(gathering.since for gathering in self._open.values())
        return max(0.0, first + self._limits.linger_s - now)

    def take_all(self) -> list[PackedJob]:
        """Empty it and return every job that has not left."""
        jobs = [job for _, batch in self._ready for job in batch]
        jobs += [job for gathering in self._open.values() for job in gathering.jobs]
        self._ready.clear()
        self._open.clear()
        return jobs
