"""Every refusal that leaves the gateway, and the one table that says how.

GatewayError
+ MalformedRequest   what came is no HTTP/1.1, or HTTP that two servers would read differently
+ MalformedBody      the body is no JSON, or JSON that two readers would read differently
+ MissingField       a field that is required is not there
+ WrongValue         a field, header or parameter outside its domain
+ Unauthenticated    no credentials, or none that are known
+ Forbidden          the caller's role does not allow it
+ UnknownJob         no job of this caller has that id
+ BodyTooLarge, BodyTooSlow, HeadersTooLarge, TooManyRequests (in one bulk request), WrongMediaType
+ RateLimited        too many jobs of this caller in too short a time
+ NotReady           this process is starting or stopping

Errors of the framework, of the domain and of the client are in the table, too: whatever is raised leaves as
``{success: false, error: {code, message, field}, request_id, timestamp}``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from persona_system.errors import InvalidInput, UnknownPersona
from persona_system.errors import Unavailable as StoreUnavailable
from producers.errors import (
    ClientClosed,
    DeadlineExceeded,
    IdempotencyConflict,
    JobDead,
    JobFailed,
    Overloaded,
    Unavailable,
)

_HTTP_NAMES = {"job_id": "Idempotency-Key"}  # of the domain's fields, where requests call them otherwise
_LONGEST_FIELD = 120  # characters: a field's name may be the caller's


class GatewayError(Exception):
    """A refusal; *message* says what is wrong and what to do, *field* names what it is about."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message, field)
        self.message, self.field = message, field

    def __str__(self) -> str:
        return self.message


class MalformedRequest(GatewayError):
    """The request cannot be read; nothing more is read of its connection."""


class MalformedBody(GatewayError):
    """The body cannot be read."""


class MissingField(GatewayError):
    """A required field is missing."""


class WrongValue(GatewayError):
    """A value is outside its domain."""


class Unauthenticated(GatewayError):
    """Nobody is known by these credentials."""


class Forbidden(GatewayError):
    """The caller may not do this."""


class UnknownJob(GatewayError):
    """The caller has no such job."""


class BodyTooLarge(GatewayError):
    """The body is over the limit."""


class BodyTooSlow(GatewayError):
    """The body, or the headers, did not come in time."""


class HeadersTooLarge(GatewayError):
    """The address and the headers are over the limit."""


class TooManyRequests(GatewayError):
    """A bulk request holds more than it may."""


class WrongMediaType(GatewayError):
    """The body is of a kind that is not taken."""


class RateLimited(GatewayError):
    """The caller has used up its rate; *retry_after_s* says when to come again."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotReady(GatewayError):
    """This process is not serving (any more)."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one kind of error leaves; *example* is a message of it, *field* what that one is about."""

    status: int
    code: str
    meaning: str
    example: str
    field: str | None = None
    retry_after_s: float | None = None  # unless the error brings its own


_WRONG = Row(
    400,
    "INVALID_INPUT",
    "A value is outside its domain.",
    "'smug' is not a known tone; use one of frustrated, playful, anxious, …",
    "resonance_key.tone",
)
_AWAY = Row(503, "UNAVAILABLE", "A server of ours is away.", "the broker is not available", retry_after_s=2)
_STOPPING = Row(503, "STOPPING", "This process is stopping.", "this process is stopping", retry_after_s=1)

TABLE: dict[type[Exception], Row] = {
    MalformedRequest: Row(
        400, "INVALID_HTTP", "The request is not HTTP/1.1.", "there must be exactly one header Host", "Host"
    ),
    MalformedBody: Row(
        400, "INVALID_JSON", "The body is not JSON.", "the body is not JSON: line 1, column 2"
    ),
    InvalidInput: _WRONG,
    WrongValue: _WRONG,
    Unauthenticated: Row(
        401,
        "UNAUTHENTICATED",
        "No credentials, or unknown ones.",
        "send an API key (X-API-Key) or a token (Authorization: Bearer …)",
    ),
    Forbidden: Row(403, "FORBIDDEN", "The caller's role does not allow it.", "this takes the role admin"),
    UnknownPersona: Row(
        404,
        "UNKNOWN_PERSONA",
        "There is no such persona.",
        "'Bob' is not a known persona; use one of Lua, Elro, Riri, Nana",
        "name",
    ),
    UnknownJob: Row(
        404,
        "UNKNOWN_JOB",
        "The caller has no such job, or it ended more than an hour ago.",
        "no job of yours has this id",
        "job_id",
    ),
    BodyTooSlow: Row(
        408, "REQUEST_TIMEOUT", "The request came too slowly.", "the body did not come within 10 s"
    ),
    BodyTooLarge: Row(413, "TOO_LARGE", "The body is too large.", "the body is over 4,096 KiB", "body"),
    TooManyRequests: Row(
        413,
        "TOO_MANY_REQUESTS",
        "More requests at once than one call takes.",
        "101 are over the limit of 100; send them in several calls, or as a file with `ion bulk run`",
        "requests",
    ),
    WrongMediaType: Row(
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "The body is not uncompressed JSON.",
        "send Content-Type: application/json, uncompressed",
        "Content-Type",
    ),
    MissingField: Row(422, "MISSING_FIELD", "A required field is missing.", "is required", "user_input"),
    IdempotencyConflict: Row(
        422,
        "IDEMPOTENCY_CONFLICT",
        "The idempotency key was used for another request.",
        "was used for another request; use a new id for another request",
        "Idempotency-Key",
    ),
    RateLimited: Row(
        429,
        "RATE_LIMITED",
        "Too many jobs in too short a time.",
        "over the limit of 1000/second",
        retry_after_s=1,
    ),
    HeadersTooLarge: Row(
        431, "HEADERS_TOO_LARGE", "The headers are too large.", "the address and headers are over 8 KiB"
    ),
    JobFailed: Row(500, "JOB_FAILED", "The job failed, for no fault of the caller's.", "the job failed"),
    JobDead: Row(
        500, "JOB_DEAD", "No worker can answer the job; it is kept for the operators.", "no worker can answer"
    ),
    Exception: Row(500, "INTERNAL", "A fault of ours.", "something went wrong here; it has been noted"),
    Overloaded: Row(
        503,
        "OVERLOADED",
        "More work waits than the fleet takes.",
        "2,001 batches wait on the queue interactive; try again in 1.2 s",
        retry_after_s=1,
    ),
    Unavailable: _AWAY,
    StoreUnavailable: _AWAY,
    ClientClosed: _STOPPING,
    NotReady: _STOPPING,
    DeadlineExceeded: Row(
        504, "DEADLINE_EXCEEDED", "No answer in the time allowed.", "no answer came before the deadline"
    ),
}


def row_of(kind: type[BaseException]) -> Row:
    """Return the row of the nearest class of *kind* in the table."""
    for ancestor in kind.__mro__:
        row = TABLE.get(ancestor)
        if row is not None:
            return row
    return TABLE[Exception]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as it leaves; header names are in lower case."""

    status: int
    code: str
    message: str
    field: str | None
    headers: tuple[tuple[str, str], ...] = ()


def refusal_of(error: BaseException) -> Refusal:
    """Return how *error* leaves: never a word of a trace, nor of a person's message."""
    if isinstance(error, HTTPException):
        return _of_framework(error)
    if isinstance(error, ValidationError):
        error = wrong_input(error.errors(include_url=False, include_context=False, include_input=False))
    elif isinstance(error, RequestValidationError):  # whose places begin with query, path or header
        error = wrong_input([{**problem, "loc": problem["loc"][1:]} for problem in error.errors()])
    row = row_of(type(error))
    headers: tuple[tuple[str, str], ...] = ()
    retry_s = getattr(error, "retry_after_s", row.retry_after_s)
    if retry_s is not None:
        headers = (("retry-after", str(max(1, math.ceil(retry_s)))),)
    if row.status == HTTPStatus.UNAUTHORIZED:
        headers = (("www-authenticate", 'Bearer realm="ion"'),)
    if isinstance(error, InvalidInput):
        field = _HTTP_NAMES.get(error.field) or error.field.replace(
            "context.history", "context.message_history"
        )
        return Refusal(row.status, row.code, f"{error.problem}; {error.fix}", field)
    return Refusal(row.status, row.code, _message(error, row), getattr(error, "field", None), headers)


def _message(error: BaseException, row: Row) -> str:
    if row is TABLE[Exception]:
        return row.example
    if isinstance(error, Unavailable | StoreUnavailable):  # why it is away may hold an address: for operators
        return f"{error.what} is not available"
    return str(error)


def wrong_input(problems: Sequence[Any]) -> GatewayError:
    """Return the first of pydantic's *problems* as ours; a missing field counts before a wrong one."""
    missing = [problem for problem in problems if problem["type"] == "missing"]
    problem = (missing or problems)[0]
    field = _field(problem["loc"])
    if missing:
        return MissingField("is required", field)
    if problem["type"] == "extra_forbidden":
        return WrongValue("is not a known field; remove it or correct its name", field)
    if problem["type"] in ("model_type", "dict_type"):
        return WrongValue("is not a JSON object", field)
    return WrongValue(problem["msg"].lower().removeprefix("value error, "), field)


def _field(place: Sequence[str | int]) -> str:
    name = ""
    for part in place:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    name = "".join(char if char.isprintable() else "?" for char in name)
    return name[:_LONGEST_FIELD] or "body"


def _of_framework(error: HTTPException) -> Refusal:
    status = HTTPStatus(error.status_code)
    messages = {
        HTTPStatus.NOT_FOUND: "there is nothing at this address; see /docs",
        HTTPStatus.METHOD_NOT_ALLOWED: "this address takes another method; see the header Allow",
    }
    headers = tuple((name.lower(), value) for name, value in (error.headers or {}).items())
    return Refusal(int(status), status.name, messages.get(status, status.phrase.lower()), None, headers)
