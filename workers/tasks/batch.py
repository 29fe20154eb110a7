"""Answer one batch: every job gets exactly one outcome, and a bad job never fails its neighbours.

The steps of every batch task: open the batch, unpack its jobs, look them up in the cache, compute what is
not there, send one reply, keep what was computed.  What a job *means* is a ``Kind``, given by the task.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from persona_system.cache.answers import BULK, CachePolicy
from persona_system.errors import InvalidInput
from workers.answers import Plan, RequestId
from workers.contract.payloads import Job, Outcome, Problem, Reply, Status, with_metadata
from workers.contract.wire import compress
from workers.delivery import Delivery
from workers.errors import Unanswerable
from workers.runtime import Runtime
from workers.tasks.opening import id_of, open_batch, refuse

logger = logging.getLogger(__name__)

_ASKED_JUST_NOW_MS = 100.0  # since the producer looked; beyond it another worker may have the answer

_encode = msgspec.msgpack.Encoder().encode
_decode_job = msgspec.msgpack.Decoder(Job).decode


@dataclass(frozen=True, slots=True)
class Kind:
    """What a task's jobs are: how one is answered and by whom, and what its answer depends on."""

    policy: CachePolicy
    request_id: RequestId
    answer: Callable[[Job], Any]
    persona_of: Callable[[Any], str]


def answer_batch(payload: bytes, delivery: Delivery, runtime: Runtime, kind: Kind) -> None:
    """Answer the packed batch *payload*, job by job as *kind* says, and send its one reply.

    A message of an unknown schema version, or one that is no batch at all, is kept with the dead
    letters as it came.  Raises Unavailable when the reply or the dead letter cannot be stored: then
    nothing was answered, and the message is to be tried again.
    """
    taken_up_ms = runtime.now_ms()
    try:
        batch = open_batch(payload)
    except Unanswerable as error:
        refuse(payload, delivery, runtime, error)
        return
    queued_ms = max(0.0, taken_up_ms - batch.sent_ms)
    jobs = [_unpack(packed, taken_up_ms) for packed in batch.jobs]
    plan = runtime.answers.begin(
        BULK if batch.bulk is True and kind.policy.endpoint == "process" else kind.policy,
        kind.request_id,
        [job if isinstance(job, Job) else None for job in jobs],
        ask_store=batch.looked_up is not True or queued_ms > _ASKED_JUST_NOW_MS,
    )
    outcomes = [
        _answer(job, place, plan, kind, runtime) if isinstance(job, Job) else job
        for place, job in enumerate(jobs)
    ]
    reply = Reply(
        batch_id=batch.id,
        queued_ms=queued_ms,
        worked_ms=runtime.now_ms() - taken_up_ms,
        outcomes=outcomes,
    )
    runtime.replies.send(batch.reply_to, compress(_encode(reply)))
    runtime.answers.finish(plan)


def _unpack(packed: msgspec.Raw, now_ms: float) -> Job | Outcome:
    """Return the job, or how it has ended already."""
    try:
        job = _decode_job(packed)
    except (msgspec.MsgspecError, RecursionError) as error:
        message, _, path = str(error).partition(" - at ")
        problem = Problem(
            "INVALID_INPUT", message, path.strip("`$.") or "job", "send what the contract names"
        )
        return Outcome(id_of(packed), Status.REJECTED, problem=problem)
    if job.deadline_ms is not None and now_ms > job.deadline_ms:
        return Outcome(job.id, Status.EXPIRED)
    return job


def _answer(job: Job, place: int, plan: Plan, kind: Kind, runtime: Runtime) -> Outcome:
    known = plan.keys[place] is not None
    value = plan.ready(place) if known else None
    cached = value is not None
    if value is None:
        try:
            if known:
                value, cached = _compute(job, place, plan, kind, runtime)
            else:
                value = _encode(kind.answer(job))
        except InvalidInput as error:
            problem = Problem(error.code, error.problem, error.field, error.fix)
            return Outcome(job.id, Status.REJECTED, problem=problem)
        except Exception as error:  # noqa: BLE001 - a bug in one answer must not take its neighbours with it
            runtime.report_bug("answering a job", error)
            value, cached = plan.old(place), True
            if value is None:
                problem = Problem("INTERNAL", f"an internal error ({type(error).__name__})")
                return Outcome(job.id, Status.FAILED, problem=problem)
    if job.metadata is not None:
        value = with_metadata(value, job.metadata)
    return Outcome(job.id, Status.OK, msgspec.Raw(value), cached=cached)


def _compute(job: Job, place: int, plan: Plan, kind: Kind, runtime: Runtime) -> tuple[bytes, bool]:
    """Return the packed answer, and whether it was another's: the cache may know a process that is at it."""

    def make() -> tuple[bytes, str]:
        result = kind.answer(job)
        return _encode(result), kind.persona_of(result)

    value, computed = runtime.answers.compute(plan, place, make)
    return value, not computed
