"""What a dead letter holds: a batch that can be sent again, or bytes that are none."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from producers.errors import ProducerError
from workers.contract.dead_letters import Reason, letter_id
from workers.contract.payloads import SCHEMA_VERSION, Batch, Job
from workers.contract.wire import Unreadable, compress, decompress

_encode = msgspec.msgpack.Encoder().encode
_decode_batch = msgspec.msgpack.Decoder(Batch).decode
_decode_job = msgspec.msgpack.Decoder(Job).decode
_decode_any = msgspec.msgpack.Decoder().decode


class NotRetryable(ProducerError):
    """The letter holds nothing that could be sent again: *problem* says why."""

    code = "NOT_RETRYABLE"

    def __init__(self, letter: str, problem: str, fix: str) -> None:
        super().__init__(letter, problem, fix)
        self.letter, self.problem, self.fix = letter, problem, fix

    def __str__(self) -> str:
        return f"letter {self.letter} cannot be sent again: {self.problem}; {self.fix}"


@dataclass(frozen=True, slots=True)
class Content:
    """People's words: *jobs* of a batch, or else *raw* bytes."""

    jobs: tuple[dict[str, Any], ...] | None
    raw: bytes = b""

    def as_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        if self.jobs is not None:
            return {"jobs": list(self.jobs)}
        return {"base64": base64.b64encode(self.raw).decode()}

    def lines(self) -> Iterator[str]:
        """Yield it for people, who must not be fooled by what it holds: see ``printable``."""
        if self.jobs is None:
            yield from printable(self.raw.decode(errors="replace"), keep="\n").split("\n")
            return
        for job in self.jobs:
            yield f"{printable(str(job.get('id', '')))}: {printable(str(job.get('text', '')))}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A letter on its way again: a new batch, and the *ids* that it would die under."""

    batch_id: str
    payload: bytes
    jobs: int
    ids: tuple[str, ...]


def content_of(payload: bytes) -> Content:
    """Return what *payload* holds."""
    try:
        batch = _decode_batch(decompress(payload))
        jobs = tuple(msgspec.to_builtins(_decode_any(job)) for job in batch.jobs)
    except (msgspec.MsgspecError, Unreadable, RecursionError, TypeError):
        return Content(None, payload)
    if not all(isinstance(job, dict) for job in jobs):
        return Content(None, payload)
    return Content(jobs)


def packed_again(
    letter: str, reason: Reason, payload: bytes, batch_id: str, now_ms: int, deadline_ms: int
) -> Delivery:
    """Return the batch in *payload* as a new one; raise NotRetryable.

    Its id is new, so that it is not taken for a duplicate of the one that ended; jobs keep theirs.  Each
    has until *deadline_ms* and all its tries again, and its outcome is kept under its id, since nobody
    waits for it.  A job that does not decode goes as it is, and will be rejected.
    """
    if reason is Reason.MALFORMED:
        raise NotRetryable(letter, "it is no message of ours", "look at it with --payload, then purge it")
    try:
        batch = _decode_batch(decompress(payload))
    except (msgspec.MsgspecError, Unreadable, RecursionError):
        raise _of_another_version(letter) from None
    if batch.v != SCHEMA_VERSION:
        raise _of_another_version(letter)
    jobs = [_renewed(job, deadline_ms) for job in batch.jobs]
    again = Batch(
        id=batch_id,
        reply_to=f"retry-{batch_id}",  # nobody reads it
        sent_ms=now_ms,
        jobs=[packed for packed, _ in jobs],
        bulk=batch.bulk,
    )
    sent = compress(_encode(again))
    ids = [letter_id(sent)]
    if len(jobs) == 1:  # a job that ends its worker is known by its own id
        ids.append(letter_id(jobs[0][1].encode()))
    return Delivery(batch_id, sent, len(jobs), tuple(ids))


def printable(text: str, keep: str = "") -> str:
    """Return *text* without what a terminal would obey, such as escape codes; *keep* names exceptions."""
    return "".join(one if one.isprintable() or one in keep else "\ufffd" for one in text)


def _renewed(packed: msgspec.Raw, deadline_ms: int) -> tuple[msgspec.Raw, str]:
    """Return the job with a new deadline, and its id."""
    try:
        job = _decode_job(packed)
    except (msgspec.MsgspecError, RecursionError):
        return packed, ""
    renewed = msgspec.structs.replace(job, deadline_ms=deadline_ms, durable=True, tries=0)
    return msgspec.Raw(_encode(renewed)), job.id


def _of_another_version(letter: str) -> NotRetryable:
    fix = "retry it with the version of ion that its producer has"
    return NotRetryable(letter, f"it is no batch of schema version {SCHEMA_VERSION}", fix)
