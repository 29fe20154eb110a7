"""Answer one batch: every job gets exactly one outcome, and a bad job never fails its neighbours.

The steps of every batch task: decode the batch, decode and answer each job, send one reply.  What a
job *means* is a function from job to result, handed in by the task.
"""

import logging
from collections.abc import Callable

import msgspec

from persona_system.errors import InvalidInput
from workers.contract.payloads import SCHEMA_VERSION, Batch, Job, Outcome, Problem, Reply, Status
from workers.contract.wire import Unreadable, compress, decompress
from workers.errors import Unanswerable
from workers.observability.bugs import ReportBug
from workers.runtime import Runtime

logger = logging.getLogger(__name__)


class _JobId(msgspec.Struct):
    id: str = ""


class _Envelope(msgspec.Struct):
    """The part of a batch that every schema version keeps, to refuse a version politely."""

    v: int
    id: str = ""
    reply_to: str = ""
    jobs: list[_JobId] = []


_encode = msgspec.msgpack.Encoder().encode
_decode_batch = msgspec.msgpack.Decoder(Batch).decode
_decode_job = msgspec.msgpack.Decoder(Job).decode
_decode_id = msgspec.msgpack.Decoder(_JobId).decode
_decode_envelope = msgspec.msgpack.Decoder(_Envelope).decode


def answer_batch(payload: bytes, runtime: Runtime, answer: Callable[[Job], object]) -> None:
    """Answer the packed batch *payload*, job by job with *answer*, and send its one reply.

    A message of an unknown schema version, or one that is no batch at all, is kept with the dead
    letters as it came.  Raises Unavailable when the reply or the dead letter cannot be stored: then
    nothing was answered, and the message is to be tried again.
    """
    taken_up_ms = runtime.now_ms()
    try:
        batch = _open(payload)
    except Unanswerable as error:
        _refuse(payload, runtime, error)
        return
    report_bug = runtime.report_bug
    outcomes = [_answer_job(packed, taken_up_ms, answer, report_bug) for packed in batch.jobs]
    reply = Reply(
        batch_id=batch.id,
        queued_ms=max(0.0, taken_up_ms - batch.sent_ms),
        worked_ms=runtime.now_ms() - taken_up_ms,
        outcomes=outcomes,
    )
    runtime.replies.send(batch.reply_to, compress(_encode(reply)))


def _open(payload: bytes) -> Batch:
    try:
        payload = decompress(payload)
    except Unreadable as error:
        fix = "send it as the contract's wire module does"
        raise Unanswerable("UNREADABLE", "batch", str(error), fix) from None
    try:
        batch = _decode_batch(payload)
    except msgspec.MsgspecError as error:
        _check_version(payload)  # a newer version may well have another shape
        fix = "send the batch that the contract names"
        raise Unanswerable("MALFORMED_BATCH", "batch", str(error), fix) from None
    if batch.v != SCHEMA_VERSION:
        raise _unknown_version(batch.v)
    return batch


def _check_version(payload: bytes) -> None:
    try:
        envelope = _decode_envelope(payload)
    except msgspec.MsgspecError:
        return
    if envelope.v != SCHEMA_VERSION:
        raise _unknown_version(envelope.v)


def _unknown_version(version: int) -> Unanswerable:
    return Unanswerable(
        "UNKNOWN_SCHEMA_VERSION",
        "schema_version",
        f"schema version {version} is not known here",
        f"send version {SCHEMA_VERSION}, or update the workers first",
    )


def _refuse(payload: bytes, runtime: Runtime, error: Unanswerable) -> None:
    runtime.dead_letters.keep(payload, error)
    logger.error("message kept as a dead letter: %s", error)
    try:
        envelope = _decode_envelope(decompress(payload))
    except (msgspec.MsgspecError, Unreadable):
        return  # nobody to tell
    if envelope.reply_to:
        problem = Problem(error.code, error.problem, error.field, error.fix)
        outcomes = [Outcome(job.id, Status.DEAD, problem=problem) for job in envelope.jobs]
        reply = Reply(batch_id=envelope.id, queued_ms=0.0, worked_ms=0.0, outcomes=outcomes)
        runtime.replies.send(envelope.reply_to, _encode(reply))


def _answer_job(
    packed: msgspec.Raw, now_ms: float, answer: Callable[[Job], object], report_bug: ReportBug
) -> Outcome:
    job_id = ""
    try:
        job = _decode_job(packed)
        job_id = job.id
        if job.deadline_ms is not None and now_ms > job.deadline_ms:
            return Outcome(job_id, Status.EXPIRED)
        return Outcome(job_id, Status.OK, msgspec.Raw(_encode(answer(job))))
    except InvalidInput as error:
        problem = Problem(error.code, error.problem, error.field, error.fix)
    except (msgspec.MsgspecError, RecursionError) as error:
        job_id = _id_of(packed)
        message, _, path = str(error).partition(" - at ")
        problem = Problem(
            "INVALID_INPUT", message, path.strip("`$.") or "job", "send what the contract names"
        )
    except Exception as error:  # noqa: BLE001 - a bug in one answer must not take its neighbours with it
        report_bug("answering a job", error)
        return Outcome(
            job_id, Status.FAILED, problem=Problem("INTERNAL", f"an internal error ({type(error).__name__})")
        )
    return Outcome(job_id, Status.REJECTED, problem=problem)


def _id_of(packed: msgspec.Raw) -> str:
    try:
        return _decode_id(packed).id
    except (msgspec.MsgspecError, RecursionError):
        return ""
