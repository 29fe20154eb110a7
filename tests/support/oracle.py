"""Who says whether jobs were lost or done twice: a record of its own, which no fault touches.

``Oracle`` is the harness's side: which jobs were accepted, and which outcomes came, when.  ``Witness`` is
the worker's side: it notes each run in a Valkey that is not the system's, at the moment the job begins.

    lost   accepted jobs without an outcome
    twice  jobs with more than one outcome: a second effect that nobody stopped
    reruns jobs that began more than once: allowed, since delivery is at least once

Units: seconds of this process's monotonic clock.
"""

import bisect
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import redis

_RUNS, _WORKING, _OUTCOMES = "runs", "working", "outcomes"


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the jobs.  *unsure*: their publishing failed, so they may or may not have run."""

    accepted: int
    lost: int
    twice: int
    unsure: int
    statuses: Mapping[str, int]


class Oracle:
    """What was accepted and how it ended; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accepted: dict[str, float] = {}
        self._unsure: set[str] = set()
        self._ends: dict[str, list[tuple[float, str]]] = {}
        self._arrivals: list[float] = []  # in order

    def accept(self, job_ids: Iterable[str]) -> None:
        """Note that the system has taken these jobs upon itself."""
        now = time.monotonic()
        with self._lock:
            self._accepted.update(dict.fromkeys(job_ids, now))

    def doubt(self, job_ids: Iterable[str]) -> None:
        """Note that it is unknown whether these jobs were taken."""
        with self._lock:
            self._unsure.update(job_ids)

    def end(self, ended: Sequence[tuple[str, str]]) -> None:
        """Note outcomes, as (job id, status), that came just now."""
        now = time.monotonic()
        with self._lock:
            for job_id, status in ended:
                self._ends.setdefault(job_id, []).append((now, status))
            self._arrivals.append(now)

    def ended_at(self, job_id: str) -> float | None:
        """Return when the job's first outcome came; None: it has none yet."""
        with self._lock:
            ends = self._ends.get(job_id)
            return ends[0][0] if ends else None

    def accepted_at(self, job_id: str) -> float | None:
        """Return when the job was accepted."""
        with self._lock:
            return self._accepted.get(job_id)

    def first_end_after(self, moment: float) -> float | None:
        """Return when the first outcome after *moment* came."""
        with self._lock:
            place = bisect.bisect_right(self._arrivals, moment)
            return self._arrivals[place] if place < len(self._arrivals) else None

    def missing(self) -> list[str]:
        """Return the accepted jobs without an outcome."""
        with self._lock:
            return [job_id for job_id in self._accepted if job_id not in self._ends]

    def open_jobs(self) -> int:
        """Return how many accepted jobs have no outcome yet, quickly; unsure jobs that ended offset some."""
        with self._lock:
            return len(self._accepted) - len(self._ends)

    def endings(self) -> int:
        """Return how many outcomes came, duplicates among them."""
        with self._lock:
            return sum(map(len, self._ends.values()))

    def accepted(self) -> int:
        """Return how many jobs were accepted."""
        with self._lock:
            return len(self._accepted)

    def wait_s(self, prefix: str) -> list[float]:
        """Return how long each ended job whose id begins with *prefix* took."""
        with self._lock:
            return [
                ends[0][0] - self._accepted[job_id]
                for job_id, ends in self._ends.items()
                if job_id.startswith(prefix) and job_id in self._accepted
            ]

    def statuses_of(self, job_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return every status with which each of these jobs ended."""
        with self._lock:
            return {job_id: tuple(status for _, status in self._ends.get(job_id, [])) for job_id in job_ids}

    def tally(self) -> Tally:
        """Return the account."""
        missing = len(self.missing())
        with self._lock:
            return Tally(
                accepted=len(self._accepted),
                lost=missing,
                twice=sum(len(ends) > 1 for ends in self._ends.values()),
                unsure=len(self._unsure),
                statuses=dict(Counter(ends[0][1] for ends in self._ends.values())),
            )


class Witness:
    """The worker's side: notes in the Valkey at *url* what the worker called *name* begins and ends."""

    def __init__(self, url: str, name: str = "") -> None:
        self._client: redis.Redis = redis.Redis.from_url(url, decode_responses=True)
        self._name = name

    def begins(self, job_id: str) -> None:
        """Note that a run of the job begins here."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hincrby(_RUNS, job_id, 1)
            pipe.hset(_WORKING, self._name, job_id)
            pipe.execute()

    def ends(self, job_id: str) -> None:
        """Note the job's effect; for systems whose outcome is not a message that the harness can read."""
        self._client.rpush(_OUTCOMES, job_id)

    # -- the harness's side --------------------------------------------------------------------------

    def ended(self, most: int = 10_000) -> list[str]:
        """Return, and forget, the jobs whose effects were noted."""
        return [str(job_id) for job_id in self._client.lpop(_OUTCOMES, most) or []]

    def working_on(self, name: str) -> str | None:
        """Return the job that the worker *name* began last, since it was forgotten."""
        job_id = self._client.hget(_WORKING, name)
        return None if job_id is None else str(job_id)

    def forget(self, name: str) -> None:
        """Forget what *name* was working on, as it is gone."""
        self._client.hdel(_WORKING, name)

    def runs(self, job_id: str) -> int:
        """Return how often the job was begun."""
        return int(self._client.hget(_RUNS, job_id) or 0)

    def reruns(self) -> int:
        """Return how many jobs were begun more than once."""
        return sum(int(runs) > 1 for runs in self._client.hvals(_RUNS))

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()
