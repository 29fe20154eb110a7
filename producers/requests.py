"""What a caller asks for, checked and packed; and what it gets back."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, TypeVar

import msgspec

from persona_system.context import check_context
from persona_system.errors import InvalidInput, shorten
from persona_system.models import Context
from persona_system.text import MAX_TEXT_CHARS, check_text
from persona_system.vocabulary import ResonanceKey, make_key, parse_key
from producers.errors import DeadlineExceeded, JobDead, JobFailed, ProducerError
from workers.contract.payloads import Job, Outcome, Status
from workers.contract.wire import MAX_JOB_BYTES

ResultT = TypeVar("ResultT")

Settled = Outcome | ProducerError | InvalidInput
"""What a waiter is woken with: a worker's outcome, or why there is none."""

UNPACKABLE = (TypeError, ValueError, OverflowError, RecursionError)
"""What MessagePack raises for values that it has no form for."""

CameIn = tuple[str | None, str | None]

_encode = msgspec.msgpack.Encoder().encode
_encode_in_order = msgspec.msgpack.Encoder(order="deterministic").encode  # of the keys in metadata
_decode_job = msgspec.msgpack.Decoder(Job).decode
_MAX_ID_CHARS = 128
_MAX_DEPTH = 32  # of metadata: a worker must be able to unpack what we packed


class PersonaRequest(msgspec.Struct, frozen=True):
    """One message to answer; without *resonance_key* the worker derives it from the text.

    *deadline* counts from submission; None takes the client's default.  *job_id* is the caller's own id,
    the idempotency key: what is sent again under it is not done again.  None lets the client make one.
    *durable*: the outcome can also be asked for by its id, for an hour; with a *job_id* it always can.
    *use_cache*: whether a cached answer will do.
    """

    user_input: str
    resonance_key: str | ResonanceKey | None = None
    context: Context | None = None
    metadata: dict[str, Any] | None = None
    deadline: timedelta | None = None
    job_id: str | None = None
    use_cache: bool = True
    durable: bool = False


class JobOutcome(msgspec.Struct, Generic[ResultT], frozen=True):
    """How one job ended: *result* when *status* is ok, else *error*.

    *status* is one of the contract's five, or ``unsent`` when the fleet never accepted the job.
    *cached*: the result was not computed for this job.
    """

    job_id: str
    status: str
    result: ResultT | None
    error: InvalidInput | ProducerError | None
    cached: bool = False

    def unwrap(self) -> ResultT:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        assert self.result is not None  # noqa: S101 - an outcome has one of the two
        return self.result


def check_request(request: PersonaRequest, max_chars: int = MAX_TEXT_CHARS) -> str | None:
    """Return the canonical resonance key of *request*; raise InvalidInput naming field and fix."""
    check_text(request.user_input, max_chars)
    key = request.resonance_key
    if isinstance(key, str):
        key = parse_key(key)
    elif isinstance(key, ResonanceKey):
        key = make_key(key.tone, key.pace, key.intent)
    elif key is not None:
        raise InvalidInput(
            "resonance_key", f"is {type(key).__name__}", "send tone-pace-intent or a ResonanceKey"
        )
    if request.context is not None:
        check_context(request.context)
    if request.metadata is not None and _depth_exceeds(request.metadata, _MAX_DEPTH):
        raise InvalidInput("metadata", f"is nested deeper than {_MAX_DEPTH} levels", "flatten it")
    return None if key is None else str(key)


def pack_job(
    request: PersonaRequest,
    key: str | None,
    job_id: str,
    deadline_ms: int,
    *,
    use_cache: bool = True,
    durable: bool = False,
    came_in: CameIn = (None, None),
) -> bytes:
    """Return *request*, checked, packed for the wire; *key* is its canonical key.

    *came_in*: the request to the gateway and the span that it came in, if any.

    Raises InvalidInput for metadata that cannot be packed, or when it is all too large.
    """
    job = Job(
        id=job_id,
        text=request.user_input,
        key=key,
        context=request.context,
        deadline_ms=deadline_ms,
        metadata=request.metadata,
        use_cache=use_cache,
        durable=durable,
        request_id=came_in[0],
        trace=came_in[1],
    )
    try:
        packed = _encode(job)
    except UNPACKABLE as error:  # what the caller put in metadata
        raise bad_metadata(error) from None
    if len(packed) > MAX_JOB_BYTES:
        problem = f"takes {len(packed):,} bytes, over the limit of {MAX_JOB_BYTES:,}"
        raise InvalidInput("request", problem, "shorten its history or metadata")
    return packed


def bad_metadata(error: Exception) -> InvalidInput:
    """Return the refusal of metadata that *error*, one of UNPACKABLE, was raised for."""
    return InvalidInput("metadata", f"cannot be packed ({type(error).__name__})", "use JSON-like values")


def digest_of(task: str, request: PersonaRequest, key: str | None) -> bytes:
    """Return what tells *request*, packed before, from any other that could come under the same id."""
    asked = (task, request.user_input, key, request.context, request.metadata)
    try:
        packed = _encode_in_order(asked)
    except TypeError:  # metadata with keys other than text has the order that it came in
        packed = _encode(asked)
    return hashlib.blake2b(packed, digest_size=16).digest()


def for_refresh(packed: bytes) -> bytes:
    """Return a packed job that asks for a new answer though there is one."""
    return _encode(msgspec.structs.replace(_decode_job(packed), refresh=True))


def _depth_exceeds(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list | tuple):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_depth_exceeds(each, levels - 1) for each in inner)


def check_job_id(job_id: object) -> str:
    """Return the caller's own *job_id* if it is 1..128 printable characters; raise InvalidInput else."""
    if not isinstance(job_id, str) or not job_id.isprintable() or not 0 < len(job_id) <= _MAX_ID_CHARS:
        raise InvalidInput(
            "job_id", f"{shorten(job_id)} is not an id", f"use 1 to {_MAX_ID_CHARS} printable characters"
        )
    return job_id


def read_outcome(
    job_id: str, settled: Settled, decode: Callable[[msgspec.Raw], ResultT]
) -> JobOutcome[ResultT]:
    """Return *settled* as the caller sees it, its result unpacked with *decode*."""
    if isinstance(settled, ProducerError):
        return JobOutcome(job_id, "unsent", None, settled)
    if isinstance(settled, InvalidInput):
        return JobOutcome(job_id, "rejected", None, settled)
    status = settled.status
    if status is Status.OK:
        return JobOutcome(job_id, "ok", decode(settled.result), None, settled.cached)
    if status is Status.EXPIRED:
        return JobOutcome(job_id, "expired", None, DeadlineExceeded(job_id))
    problem = settled.problem
    if problem is None:
        return JobOutcome(
            job_id, str(status), None, JobFailed(job_id, "UNKNOWN", "the worker gave no reason")
        )
    if status is Status.REJECTED:
        return JobOutcome(job_id, "rejected", None, InvalidInput(problem.field, problem.message, problem.fix))
    failed = JobDead if status is Status.DEAD else JobFailed
    return JobOutcome(job_id, str(status), None, failed(job_id, problem.code, problem.message))
