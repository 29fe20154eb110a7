"""How operations are described in the OpenAPI document: headers, errors and examples, from the tables."""

from collections.abc import Iterable
from typing import Any

from persona_system.errors import InvalidInput
from producers.errors import (
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
    NotReady,
    RateLimited,
    Unauthenticated,
    WrongMediaType,
)
from producers.gateway.schemas import ErrorResponse

EVERYWHERE: tuple[type[Exception], ...] = (InvalidInput, HeadersTooLarge, Exception, NotReady)
WITH_CREDENTIALS: tuple[type[Exception], ...] = (Unauthenticated, RateLimited)
WITH_BODY: tuple[type[Exception], ...] = (
    MalformedBody,
    MissingField,
    BodyTooSlow,
    BodyTooLarge,
    WrongMediaType,
)
WITH_WORK: tuple[type[Exception], ...] = (
    Overloaded,
    Unavailable,
    DeadlineExceeded,
    JobFailed,
    JobDead,
)
WITH_KEY: tuple[type[Exception], ...] = (IdempotencyConflict,)

_TIMESTAMP, _REQUEST_ID = "2026-03-01T09:30:00.000Z", "0f8fad5bd9cb469fa16570867728950e"


def error_responses(kinds: Iterable[type[Exception]]) -> dict[int | str, dict[str, Any]]:
    """Return the responses of an operation that may end in errors of *kinds*, with an example of each."""
    described: dict[int | str, dict[str, Any]] = {}
    for row in sorted({TABLE[kind] for kind in kinds}, key=lambda row: (row.status, row.code)):
        entry = described.setdefault(
            row.status,
            {"model": ErrorResponse, "description": "", "content": {"application/json": {"examples": {}}}},
        )
        entry["description"] = f"{entry['description']} {row.meaning}".strip()
        entry["content"]["application/json"]["examples"][row.code] = {
            "summary": row.meaning,
            "value": {
                "success": False,
                "error": {"code": row.code, "message": row.example, "field": row.field},
                "request_id": _REQUEST_ID,
                "timestamp": _TIMESTAMP,
            },
        }
        if row.retry_after_s is not None:
            entry["headers"] = {
                "Retry-After": {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 1}}
            }
    return described


def header(name: str, description: str, example: str) -> dict[str, Any]:
    """Return the description of a request header that is optional."""
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string"},
        "example": example,
    }


COMMON_HEADERS = (
    header("X-Request-ID", "an id of the caller's, returned with the response", "checkout-42"),
    header("X-API-Version", "the version that the caller expects; another one is refused", "2"),
)
JOB_HEADERS = (
    header("Prefer", "`respond-async` and `wait=seconds` (RFC 7240)", "respond-async, wait=2"),
    header(
        "Idempotency-Key", "the same request under the same key is not done again for an hour", "order-17"
    ),
)
