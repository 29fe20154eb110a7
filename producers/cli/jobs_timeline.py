"""What became of one job, put together from what its client, its workers and the database noted: pure.

Units:  milliseconds since the Unix epoch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workers.contract.payloads import Outcome
from workers.contract.trail import Accepted, BatchTrail, client_of, covers

if TYPE_CHECKING:
    from workers.store.bulk_runs import BulkRun
    from workers.store.letters import KeptLetter

UNKNOWN, UNDER_WAY = "unknown", "under way"
_OK = "ok"


@dataclass(frozen=True, slots=True)
class Facts:
    """What could be found of *job_id*.

    *trails* are those of batches that it was in, oldest first; *waiting* is how many messages its queue
    holds, and for how many s the oldest has waited; *at_work*: a worker has written its batch into the
    journal; *missing* says what could not be asked, and why.
    """

    job_id: str
    claimed: bool = False
    accepted: Accepted | None = None
    outcome: Outcome | None = None
    trails: Sequence[BatchTrail] = ()
    letters: "Sequence[KeptLetter]" = ()
    run: "BulkRun | None" = None
    waiting: tuple[int, float | None] | None = None
    at_work: bool = False
    missing: Sequence[str] = ()

    @property
    def known(self) -> bool:
        """Whether anything is known of the job."""
        return bool(self.claimed or self.accepted or self.outcome or self.trails or self.letters)


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a timeline."""

    at_ms: int
    what: str
    told: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A job's way, and where it stands: one of the five outcomes, under way, or unknown."""

    job_id: str
    status: str
    moments: list[Moment]
    notes: list[str]
    trace_id: str | None = None
    request_id: str | None = None


def timeline_of(facts: Facts) -> Timeline:
    """Return the way of the job that *facts* tell of."""
    trace_ids = [trail.trace_id for trail in facts.trails if trail.trace_id is not None]
    status = _status(facts)
    return Timeline(
        facts.job_id,
        status,
        sorted(_moments(facts), key=lambda moment: moment.at_ms),
        list(_notes(facts, status)),
        trace_ids[-1] if trace_ids else None,
        None if facts.accepted is None else facts.accepted.request_id,
    )


def _status(facts: Facts) -> str:
    if facts.outcome is not None:
        return str(facts.outcome.status)
    for trail in reversed(facts.trails):
        ended = ending(trail, facts.job_id)
        if ended is not None:
            return ended.split()[0]
    if facts.letters:
        return "dead"
    return UNDER_WAY if facts.claimed or facts.accepted else UNKNOWN


def ending(trail: BatchTrail, job_id: str) -> str | None:
    """Return how the job ended in the batch that left *trail*; None: it does not say, or not there."""
    if job_id in trail.named:
        return trail.named[job_id]
    if not covers(trail, job_id):
        return None if len(trail.ended) != 1 or trail.jobs != 1 else next(iter(trail.ended))
    others = sum(count for status, count in trail.ended.items() if status != _OK)
    return _OK if others == len(trail.named) and trail.ended.get(_OK) else None


def _moments(facts: Facts) -> Iterator[Moment]:
    accepted = facts.accepted
    if accepted is not None:
        asked = "" if accepted.request_id is None else f", in request {accepted.request_id}"
        yield Moment(
            accepted.at_ms, "accepted", f"by client {accepted.client}{asked}", {"client": accepted.client}
        )
        if not any(trail.batch_id == accepted.batch_id for trail in facts.trails):
            told = f"in batch {accepted.batch_id} on queue {accepted.queue}"
            yield Moment(accepted.at_ms, "sent", told, {"batch_id": accepted.batch_id})
    for trail in facts.trails:
        yield from _of_batch(trail, facts.job_id)
    for letter in facts.letters:
        for seen in letter.story:
            at = f", at {seen.worker}" if seen.worker else ""
            yield Moment(seen.at_ms, "dead letter", f"{letter.id}: {seen.what}{at}", {"letter": letter.id})


def _of_batch(trail: BatchTrail, job_id: str) -> Iterator[Moment]:
    shown = trail.shown or f"{trail.jobs} jobs"
    ids = {"batch_id": trail.batch_id, "queue": trail.queue, "client": trail.client}
    yield Moment(trail.sent_ms, "sent", f"in batch {trail.batch_id} on queue {trail.queue} ({shown})", ids)
    taken_ms = trail.sent_ms + trail.queued_ms
    lost = f", after it was lost with {trail.lost}" if trail.lost else ""
    yield Moment(
        int(taken_ms),
        "taken",
        f"by {trail.worker or 'a worker'} after {trail.queued_ms:,.1f} ms{lost}",
        {"worker": trail.worker, "queued_ms": trail.queued_ms, "lost": trail.lost},
    )
    ended = ending(trail, job_id)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(trail.ended.items()))
    told = ended or counts or "nothing yet"
    left = f"; the rest went on in {', '.join(trail.left)}" if trail.left else ""
    yield Moment(
        int(taken_ms + trail.worked_ms),
        "settled",
        f"{told}, {trail.worked_ms:,.1f} ms at work{left}",
        {"worked_ms": trail.worked_ms, "ended": trail.ended, "left": trail.left},
    )


def _notes(facts: Facts, status: str) -> Iterator[str]:
    problem = None if facts.outcome is None else facts.outcome.problem
    if problem is not None:
        yield f"{problem.code}: {problem.field} {problem.message}".replace("  ", " ")
    if facts.outcome is not None and facts.outcome.tries > 1:
        yield f"it was tried {facts.outcome.tries} times"
    if facts.run is not None:
        run = facts.run
        yield f"it belongs to bulk run {run.id}, which is {run.state}; `ion bulk show {run.id}`"
    if status == UNDER_WAY:
        if facts.at_work:
            yield "a worker that answers carefully has it, since workers were lost with its batch"
        if facts.waiting is not None:
            length, age_s = facts.waiting
            oldest = "" if age_s is None else f", the oldest for {age_s:,.1f} s"
            yield f"its queue holds {length:,} messages{oldest}; `ion doctor` tells of workers"
    if facts.known and facts.outcome is None and not facts.trails and status != UNDER_WAY:
        yield "its batches are no longer on its client's trail"
    yield from facts.missing
    if not facts.known:
        yield from _why_unknown(facts.job_id)


def _why_unknown(job_id: str) -> Iterator[str]:
    yield "durable jobs (those with an id of their own, and what is sent) are known for an hour"
    if client_of(job_id) is not None:
        yield "of other jobs, the latest 1,000 batches of their client, for an hour after the last one"
    else:
        yield "this id was chosen by its sender, and such a job is always durable"
    yield "an answer from the cache reaches no worker and leaves no trail; with ION_TRAIL=false nothing does"
