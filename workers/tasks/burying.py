"""Give up a job that took its workers with it: kept as a dead letter, its sender told."""

import logging

import msgspec

from persona_system.errors import InvalidInput
from workers.contract.dead_letters import DeadLetter, Reason, Sighting, letter_id
from workers.contract.payloads import Batch, Job, Outcome, Problem, Status
from workers.contract.wire import compress
from workers.delivery import Delivery
from workers.isolation import part_id
from workers.runtime import Runtime
from workers.tasks.answering import unpack
from workers.tasks.parting import story_of

logger = logging.getLogger(__name__)

_encode = msgspec.msgpack.Encoder().encode


def bury(batch: Batch, lost: int, delivery: Delivery, runtime: Runtime, *, hung: bool) -> Outcome:
    """Keep the only job of *batch*, which *lost* workers were lost with; return its end.

    Raises Unavailable when the broker does not take the letter: then nothing has happened yet.
    """
    job = unpack(batch.jobs[0])
    reason = Reason.HUNG if hung else Reason.CRASHED
    how = "hung in" if hung else "crashed at"
    problem = f"{lost} workers {how} this job"
    payload = _alone(batch)
    letter = DeadLetter(
        id=letter_id(job.id.encode()),
        reason=reason,
        code=reason.name,
        problem=problem,
        fix="mend what it meets in the worker, then send it again with ion dead retry",
        at_ms=int(runtime.now_ms()),
        queue=delivery.queue,
        task=delivery.task,
        persona=_persona_of(job, runtime),
        job_ids=[job.id],
        deliveries=lost,
        size_bytes=len(payload),
        payload=payload,
        story=[
            *story_of(batch, delivery),
            Sighting(int(runtime.now_ms()), f"given up: {problem}", delivery.worker),
        ],
    )
    runtime.dead_letters.keep(letter)
    logger.error("a job of batch %s is kept as dead letter %s: %s", batch.id, letter.id, problem)
    told = Problem(reason.name, problem, fix=f"operators find it as dead letter {letter.id}")
    return Outcome(job.id, Status.DEAD, problem=told, tries=lost)


def _alone(batch: Batch) -> bytes:
    """Return the packed batch without its history, under an id that is not settled."""
    fresh = msgspec.structs.replace(
        batch, id=part_id(batch.id, "dead"), lost=msgspec.UNSET, story=msgspec.UNSET
    )
    return compress(_encode(fresh))


def _persona_of(job: Job | Outcome, runtime: Runtime) -> str:
    """Return who answers the job, if that is known without looking at its text."""
    if not isinstance(job, Job) or job.key is None:
        return ""
    try:
        return runtime.pipeline.catalogue.router.resolve(job.key)[1].primary
    except InvalidInput:
        return ""
