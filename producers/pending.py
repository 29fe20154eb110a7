"""The jobs that wait for their end, and who is woken when it comes.  Not thread-safe: the caller locks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from producers.errors import conflict
from producers.metering import Taken
from producers.requests import UNPACKABLE, Settled, bad_metadata
from workers.contract.payloads import Outcome, Status, with_metadata


class Asked(NamedTuple):
    """What the cache needs to answer a job: its request, and what goes back to the caller untouched.

    *sighting*: who asked what, as digests, when it may tell what this person asks next.
    """

    request: bytes
    metadata: dict[str, Any] | None
    sighting: tuple[bytes, bytes] | None = None


@dataclass(slots=True)
class Gathered:
    """Collects the outcomes of jobs that are awaited together; *waiter* is woken with the full list.

    *taken*: since when their caller waits, for the metrics.
    """

    waiter: Any
    outcomes: list[Settled | None]
    missing: int
    taken: Taken | None = None


Woken = tuple[Any, Settled | list[Settled | None] | None]
"""A waiter and what it is woken with: one outcome; all of a Gathered (then none of them is None); or None,
for one that only waited for the broker to have its job."""


Gone = tuple[Taken | None, Settled]
"""A job that has ended: when and for what it was taken, and how it ended."""


class PendingJobs:
    """Jobs by id; each leaves when it is settled, and only then."""

    def __init__(self) -> None:
        # waiter, its place in a Gathered or -1, deadline, what the cache needs, the digest of a durable
        # job's request, when and for what it was taken; a tuple is quickly made
        self._jobs: dict[str, tuple[Any, int, float, Asked | None, bytes | None, Taken | None]] = {}
        self._joined: dict[str, list[tuple[Any, int]]] = {}  # who else waits for a job: waiter and place
        self._sent: set[str] = set()  # durable jobs that the broker has
        self._to_tell: dict[str, list[Any]] = {}  # who waits for the broker to have a job
        self._joiners = 0

    def __len__(self) -> int:
        return len(self._jobs) + self._joiners

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._jobs

    def add(
        self,
        job_id: str,
        waiter: Any,
        place: int,
        deadline: float,
        asked: Asked | None,
        digest: bytes | None = None,
        taken: Taken | None = None,
    ) -> None:
        """Take a job whose id is free; *place* is where its outcome goes in a Gathered waiter, else -1."""
        self._jobs[job_id] = (waiter, place, deadline, asked, digest, taken)

    def join(self, job_id: str, waiter: Any, place: int, digest: bytes | None) -> None:
        """Let *waiter* wait for a job that is on the table, too; raise IdempotencyConflict if it is another.

        The job keeps the deadline that it has.
        """
        if digest is None or self._jobs[job_id][4] != digest:
            raise conflict()
        self._joined.setdefault(job_id, []).append((waiter, place))
        self._joiners += 1

    def tell_sent(self, job_id: str, waiter: Any) -> bool:
        """Let *waiter* wait until the broker has a durable job; True: it has, so nobody will be woken."""
        if job_id in self._sent:
            return True
        self._to_tell.setdefault(job_id, []).append(waiter)
        return False

    def sent(self, job_ids: Sequence[str]) -> list[Woken]:
        """Take note that the broker has these durable jobs; return who is to be woken, with None."""
        woken: list[Woken] = []
        for job_id in job_ids:
            if job_id in self._jobs:
                self._sent.add(job_id)
                woken.extend((waiter, None) for waiter in self._to_tell.pop(job_id, ()))
        return woken

    def asked(self, job_id: str) -> Asked | None:
        """Return what the cache needs to answer a job; None: it has no part in it, or the job has ended."""
        job = self._jobs.get(job_id)
        return None if job is None else job[3]

    def overdue(self, now: float) -> list[str]:
        """Return the jobs whose deadline has passed."""
        return [job_id for job_id, (_, _, deadline, *_) in self._jobs.items() if deadline < now]

    def settle(self, ended: Sequence[tuple[str, Settled]]) -> tuple[list[Woken], list[Gone]]:
        """Take jobs off the table; return who is to be woken, and what is to be counted.

        An outcome of an unknown job is a duplicate delivery or came after the deadline: it is dropped.
        """
        woken: list[Woken] = []
        gone: list[Gone] = []
        for job_id, settled in ended:
            found = self._jobs.pop(job_id, None)
            if found is None:
                continue
            gone.append((found[5], settled))
            _settle(found[0], found[1], settled, woken)
            if found[4] is not None:  # a durable one
                self._sent.discard(job_id)
                woken.extend((waiter, settled) for waiter in self._to_tell.pop(job_id, ()))
            if self._joined and (joined := self._joined.pop(job_id, None)) is not None:
                self._joiners -= len(joined)
                for waiter, place in joined:
                    _settle(waiter, place, settled, woken)
        return woken, gone


def _settle(waiter: Any, place: int, settled: Settled, woken: list[Woken]) -> None:
    if place < 0:
        woken.append((waiter, settled))
        return
    waiter.outcomes[place] = settled
    waiter.missing -= 1
    if waiter.missing == 0:
        woken.append((waiter.waiter, waiter.outcomes))


def cached_outcome(job_id: str, value: bytes, asked: Asked) -> Outcome:
    """Return how a job ends that the cache answers with the packed *value*; raise InvalidInput."""
    if asked.metadata is not None:
        try:
            value = with_metadata(value, asked.metadata)
        except UNPACKABLE as error:
            raise bad_metadata(error) from None
    return Outcome(job_id, Status.OK, msgspec.Raw(value), cached=True)
