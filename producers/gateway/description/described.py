"""What the OpenAPI document says of headers, credentials and errors: tables, and nothing that runs.

Everything here is a part of the document (OpenAPI 3.1), referred to by name, so that each thing is said once.
"""

from collections.abc import Iterable
from typing import Any

from persona_system.errors import InvalidInput
from persona_system.vocabulary import AXES, INTENT_ALIASES
from producers.errors import (
    ClientClosed,
    DeadlineExceeded,
    IdempotencyConflict,
    JobDead,
    JobFailed,
    Overloaded,
    Unavailable,
)
from producers.gateway.errors import (
    TABLE,
    BodyTooLarge,
    BodyTooSlow,
    HeadersTooLarge,
    MalformedBody,
    MissingField,
    RateLimited,
    Row,
    Unauthenticated,
    WrongMediaType,
)

Kind = type[Exception]
Kinds = tuple[Kind, ...]

EVERYWHERE: Kinds = (InvalidInput, HeadersTooLarge, Exception)
WITH_CREDENTIALS: Kinds = (Unauthenticated, RateLimited, Unavailable)  # the last: nobody knows the keys
WITH_BODY: Kinds = (MalformedBody, MissingField, BodyTooSlow, BodyTooLarge, WrongMediaType)
WITH_FLEET: Kinds = (Overloaded, Unavailable, ClientClosed)
WITH_WORK: Kinds = (*WITH_FLEET, DeadlineExceeded, JobFailed, JobDead)
WITH_KEY: Kinds = (IdempotencyConflict,)

TIMESTAMP, REQUEST_ID = "2026-03-01T09:30:00.000Z", "0f8fad5bd9cb469fa16570867728950e"

_HEADER_ROW = Row(
    400,
    "INVALID_INPUT",
    "A header is outside its domain.",
    "is no id; send 1 to 128 visible ASCII characters",
    "X-Request-ID",
)


_BEFORE_ANY = (
    Row(404, "NOT_FOUND", "There is nothing at this address.", "there is nothing at this address"),
    Row(405, "METHOD_NOT_ALLOWED", "The address takes another method; `Allow` says which.", "see Allow"),
)
"""Refusals of what is no operation."""


def error_responses(kinds: Iterable[type[Exception]], *, has_body: bool) -> dict[int | str, dict[str, Any]]:
    """Return the responses of an operation that may end in errors of *kinds*, with an example of each."""
    described: dict[int | str, dict[str, Any]] = {}
    for row in sorted({TABLE[kind] for kind in kinds}, key=lambda row: (row.status, row.code)):
        name = "INVALID_HEADER" if row.code == _HEADER_ROW.code and not has_body else row.code
        entry = described.setdefault(
            row.status,
            {
                "description": "",
                "content": {"application/json": {"schema": ref("schemas", "ErrorResponse"), "examples": {}}},
                "headers": {},
            },
        )
        entry["description"] = f"{entry['description']} {row.meaning}".strip()
        entry["content"]["application/json"]["examples"][name] = ref("examples", name)
        if row.retry_after_s is not None:
            entry["headers"]["Retry-After"] = ref("headers", "Retry-After")
        if row.status == TABLE[Unauthenticated].status:
            entry["headers"]["WWW-Authenticate"] = ref("headers", "WWW-Authenticate")
    return described


def error_examples() -> dict[str, dict[str, Any]]:
    """Return an example of every error, by its code."""
    rows = {row.code: row for row in TABLE.values()} | {"INVALID_HEADER": _HEADER_ROW}
    return {
        name: {
            "summary": row.meaning,
            "value": {
                "success": False,
                "error": {"code": row.code, "message": row.example, "field": row.field},
                "request_id": REQUEST_ID,
                "timestamp": TIMESTAMP,
            },
        }
        for name, row in rows.items()
    }


def error_table() -> str:
    """Return all errors as a table in Markdown, by status."""
    rows = sorted({*TABLE.values(), *_BEFORE_ANY}, key=lambda row: (row.status, row.code))
    lines = [f"| {row.status} | `{row.code}` | {row.meaning} |" for row in rows]
    return "\n".join(["| status | code | meaning |", "|---:|---|---|", *lines])


def vocabulary_table() -> str:
    """Return all tones, paces and intents as a table in Markdown."""
    rows = [f"| {axis} | {', '.join(f'`{name}`' for name in names)} |" for axis, names in AXES.items()]
    aliases = ", ".join(f"`{alias}` for `{name}`" for alias, name in INTENT_ALIASES.items())
    also = f"Intents are also taken as {aliases}, and with dashes for underscores."
    return "\n".join(["| part | one of |", "|---|---|", *rows, "", also])


def ref(kind: str, name: str) -> dict[str, Any]:
    """Return a reference to a part of the document."""
    return {"$ref": f"#/components/{kind}/{name}"}


def _parameter(name: str, description: str, example: str | None = None, **schema: Any) -> dict[str, Any]:
    """Return an optional request header; pages fill in its *example*, if one can be sent again and again."""
    told = {} if example is None else {"example": example}
    shape = {"type": "string", **schema}
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": shape,
        **told,
    }


_VERSION = "The version that the caller expects; another one than the address's is refused."
PARAMETERS = {
    "RequestId": _parameter(
        "X-Request-ID",
        "An id of the caller's, e.g. `checkout-42`; without one, the gateway makes one. The response has it.",
        pattern="^[\\x21-\\x7e]{1,128}$",
    ),
    "Version1": _parameter("X-API-Version", _VERSION, "1", enum=["1", "1.0", "v1"]),
    "Version2": _parameter("X-API-Version", _VERSION, "2", enum=["2", "2.0", "v2"]),
    "Prefer": _parameter(
        "Prefer",
        "`wait=n`: n seconds at most; `respond-async`: answer as soon as the job is accepted (RFC 7240).",
        "wait=10",
    ),
    "Wait": _parameter("Prefer", "`wait=n`: n seconds at most (RFC 7240).", "wait=10"),
    "IdempotencyKey": _parameter(
        "Idempotency-Key",
        "The same request under the same key, e.g. `order-17`, is not done again for an hour.",
        pattern="^[\\x21\\x23-\\x7e]([\\x20-\\x7e]{0,253}[\\x21\\x23-\\x7e])?$",
    ),
    "IfNoneMatch": _parameter(
        "If-None-Match", "The `ETag` of an answer that is at hand; 304 if it still holds."
    ),
}
COMMON = ("RequestId", "Version2")
COMMON_V1 = ("RequestId", "Version1")


def parameters(names: Iterable[str]) -> list[dict[str, Any]]:
    """Return references to header parameters."""
    return [ref("parameters", name) for name in names]


def _header(description: str, example: str, *, always: bool = False, **schema: Any) -> dict[str, Any]:
    shape = {"type": "string", **schema}
    return {"description": description, "required": always, "schema": shape, "example": example}


HEADERS = {
    "X-Request-ID": _header("The id of this request.", REQUEST_ID, always=True),
    "X-API-Version": _header("The version of this address.", "2", always=True, enum=["1", "2"]),
    "Location": _header("Where to follow the job.", "/api/v2/jobs/…", always=True),
    "ETag": _header("What `If-None-Match` takes.", 'W/"0f8fad5bd9cb469f"', always=True),
    "Preference-Applied": _header("What was heeded of `Prefer`.", "respond-async"),
    "Retry-After": {
        "description": "Seconds to wait before trying again.",
        "required": False,
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    },
    "WWW-Authenticate": _header("What to show.", 'Bearer realm="ion"', always=True),
    "Deprecation": _header("Since when this is deprecated (RFC 9745).", "@1767225600", always=True),
    "Sunset": _header("When it ends (RFC 8594).", "Fri, 31 Dec 2027 23:59:59 GMT", always=True),
    "Link": _header(
        "Where this is explained.", '</redoc#tag/v1>; rel="deprecation"; type="text/html"', always=True
    ),
}
ALWAYS = ("X-Request-ID", "X-API-Version")
WHEN_DEPRECATED = ("Deprecation", "Sunset", "Link")


def headers(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return references to response headers."""
    return {name: ref("headers", name) for name in names}


EVENT = {
    "type": "object",
    "description": "One event of the stream (WHATWG HTML, server-sent events).",
    "properties": {
        "id": {"enum": ["1", "2"]},
        "event": {"enum": ["pending", "ended"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": ref("schemas", "JobResponse"),
        },
    },
    "required": ["id", "event", "data"],
}

SECURITY_SCHEMES = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "A key that `ion keys create` made.",
    },
    "Bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer …` with a key, or with a signed token (JWT).",
    },
}
