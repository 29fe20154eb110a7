"""Open a message, or refuse it politely: kept as it came, and its producer told."""

import logging

import msgspec

from workers.contract.dead_letters import DeadLetter, Reason, letter_id
from workers.contract.payloads import SCHEMA_VERSION, Batch, Outcome, Problem, Reply, Status
from workers.contract.wire import Unreadable, decompress
from workers.delivery import Delivery
from workers.errors import Unanswerable
from workers.runtime import Runtime
from workers.settling import DONE

logger = logging.getLogger(__name__)

_REASONS = {
    "UNKNOWN_SCHEMA_VERSION": Reason.UNKNOWN_VERSION,
    "UNDELIVERABLE": Reason.UNDELIVERABLE,
    "INTERNAL": Reason.INTERNAL,
}


class _JobId(msgspec.Struct):
    id: str = ""
    durable: bool = False


class _Envelope(msgspec.Struct):
    """The part of a batch that every schema version keeps, to refuse a version politely."""

    v: int
    id: str = ""
    reply_to: str = ""
    jobs: list[_JobId] = []


_encode = msgspec.msgpack.Encoder().encode
_decode_batch = msgspec.msgpack.Decoder(Batch).decode
_decode_envelope = msgspec.msgpack.Decoder(_Envelope).decode
_decode_id = msgspec.msgpack.Decoder(_JobId).decode


def open_batch(payload: bytes) -> Batch:
    """Return the batch; raise Unanswerable for anything that is none of this version."""
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


def refuse(payload: bytes, delivery: Delivery, runtime: Runtime, error: Unanswerable) -> None:
    """Keep the message as a dead letter and tell its producer, if it names one; raise Unavailable."""
    letter = letter_of(payload, delivery, error, int(runtime.now_ms()))
    runtime.dead_letters.keep(letter)
    logger.error("message kept as a dead letter: %s", error)
    try:
        envelope = _decode_envelope(decompress(payload))
    except (msgspec.MsgspecError, Unreadable):
        return  # nobody to tell
    if envelope.reply_to:
        problem = Problem(error.code, error.problem, error.field, error.fix)
        outcomes = [Outcome(job.id, Status.DEAD, problem=problem) for job in envelope.jobs]
        durable = [end for job, end in zip(envelope.jobs, outcomes, strict=True) if job.durable]
        if durable:
            runtime.settlements.record(durable)
        reply = Reply(batch_id=envelope.id, queued_ms=0.0, worked_ms=0.0, outcomes=outcomes)
        batch_id = envelope.id if envelope.id else letter.id
        runtime.settlements.settle(envelope.reply_to, batch_id, DONE, _encode(reply))


def letter_of(payload: bytes, delivery: Delivery, error: Unanswerable, now_ms: int) -> DeadLetter:
    """Return the dead letter that keeps *payload*, as it came; the same one for the same payload."""
    letter = letter_keeping(payload, _REASONS.get(error.code, Reason.MALFORMED), delivery, error, now_ms)
    try:
        job_ids = [job.id for job in _decode_envelope(decompress(payload)).jobs]
    except (msgspec.MsgspecError, Unreadable):
        return letter
    return msgspec.structs.replace(letter, job_ids=job_ids)


def letter_keeping(
    kept: bytes, reason: Reason, delivery: Delivery, error: Unanswerable, now_ms: int
) -> DeadLetter:
    """Return a dead letter of *kept*, which nobody looks into; the same one for the same bytes."""
    return DeadLetter(
        id=letter_id(kept),
        reason=reason,
        code=error.code,
        problem=error.problem,
        fix=error.fix,
        field=error.field,
        at_ms=now_ms,
        queue=delivery.queue,
        task=delivery.task,
        deliveries=delivery.lost + 1,
        size_bytes=len(kept),
        payload=kept,
        story=list(delivery.story),
    )


def id_of(packed: msgspec.Raw) -> str:
    """Return the id of a job that cannot be unpacked otherwise; empty when there is none to be found."""
    try:
        return _decode_id(packed).id
    except (msgspec.MsgspecError, RecursionError):
        return ""
