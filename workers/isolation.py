"""Find the job that ends its workers, and leave its neighbours out of it.

A worker that dies says nothing; what is known is how many workers were lost with a message, and, from the
second delivery on, which job the last one was at (its journal).  So:

* The first delivery is answered as ever; so nothing is paid for what hardly ever happens.
* After a loss, a batch is answered carefully: one job after the other, each noted before it is begun.
* After a loss at a noted job, that job goes on alone, and the others without it.
* A job that stands alone and takes a third worker with it is buried: kept as a dead letter.

A poisonous job so runs three times at most.  A job that was only near when a worker was lost, in a batch or
in another thread, is answered: only a worker lost *at* it counts against it.

Decisions only; ``workers.tasks.batch`` acts on them.
"""

import hashlib
from dataclasses import dataclass

from workers.settling import Journal, Part

LOSSES = 3  # workers that a job may cost
_LONGEST_ID = 120  # characters of an id that shows its parents; a longer one is hashed


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the batch; *carefully*: one job after the other, each noted before it is begun."""

    carefully: bool


@dataclass(frozen=True, slots=True)
class Split:
    """Answer the batch's jobs in these parts, which take the batch's place."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Bury:
    """Give up the batch's only job; *hung*: its workers did not crash, they were stuck."""

    hung: bool


Decision = Answer | Split | Bury


def decide(jobs: int, lost: int, before: int, journal: Journal) -> Decision:
    """Return what to do with a batch of so many *jobs*.

    *lost*: how many workers were lost with this message; *before*: with its jobs, when they were part of
    other batches.  A *journal* tells of the latest loss only if the worker that was lost last wrote it.
    """
    if lost + before == 0:
        return Answer(carefully=False)
    if lost == 0 or jobs == 0 or journal.at is None or journal.lost != lost - 1:
        return Answer(carefully=True)
    if jobs == 1:
        return Bury(journal.hung) if lost + before >= LOSSES else Answer(carefully=True)
    at = journal.at
    if at >= jobs:  # it was past the jobs: none is more suspect than another
        half = jobs // 2
        return Split((Part("a", list(range(half)), 1), Part("b", list(range(half, jobs)), 1)))
    others = [place for place in range(jobs) if place != at]
    return Split((Part("suspect", [at], min(lost, LOSSES - 1)), Part("rest", others, 1)))


def part_id(batch_id: str, name: str) -> str:
    """Return the id of a batch's part: always the same one, and never too long for a message's id."""
    told = f"{batch_id}.{name}"
    if len(told) <= _LONGEST_ID:
        return told
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
