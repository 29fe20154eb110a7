"""One request, as the gateway's own code sees it, and the responses that it gets.

Times are in seconds of ``time.perf_counter``, timestamps ISO 8601 in UTC.
"""

import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request
from starlette.responses import Response
from starlette.types import Scope

from producers.gateway.caller import ANONYMOUS, Caller
from producers.gateway.errors import Refusal, WrongValue
from producers.gateway.schemas import ErrorOut, ErrorResponse

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

BODY_IS_HERE = "ion_body_is_here"
"""In the scope of a request whose body has come in full; without it, it may have to be waited for."""

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Call:
    """What is known of a request before its body is read; *headers* by name in lower case.

    What became of it is noted for the metrics: how many *jobs* the fleet took for it, how many messages among
    them the cache answered, or did not, and the *code* of the refusal that it ended in.
    """

    scope: Scope
    headers: dict[bytes, bytes]
    request_id: str
    started: float = field(default_factory=time.perf_counter)
    caller: Caller = ANONYMOUS
    jobs: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    code: str | None = None

    @classmethod
    def of(cls, scope: Scope) -> "Call":
        """Return the call of *scope*; one without a request id gets a new one."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            headers[name] = headers[name] + b", " + value if name in headers else value  # RFC 9110, 5.3
        call = cls(scope, headers, new_request_id())
        scope["ion_call"] = call
        return call

    def header(self, name: str) -> str | None:
        """Return a header's value, or None."""
        value = self.headers.get(name.lower().encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def take_request_id(self) -> None:
        """Go by the caller's own request id, if there is one; raise WrongValue for an unusable one."""
        given = self.header("x-request-id")
        if given is None:
            return
        if not _REQUEST_ID.fullmatch(given):
            raise WrongValue("is no id; send 1 to 128 visible ASCII characters", "X-Request-ID")
        self.request_id = given

    @property
    def address(self) -> str:
        """The address that the request came from."""
        client = self.scope.get("client")
        return client[0] if client else "local"

    def elapsed_ms(self) -> float:
        """Return how long the gateway has had this request."""
        return round((time.perf_counter() - self.started) * 1000, 3)


def new_request_id() -> str:
    """Return a request id that nobody has."""
    return os.urandom(16).hex()


async def _of_request(request: Request) -> Call:
    call: Call = request.scope["ion_call"]
    return call


TheCall = Annotated[Call, Depends(_of_request)]
"""How an endpoint asks for its call."""


def timestamp() -> str:
    """Return the present, e.g. ``2026-03-01T09:30:00.000Z``."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def json_response(body: Any, status: int = 200, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """Return *body* as JSON."""
    return Response(_encode(body), status, dict(headers), "application/json")


def error_out(refusal: Refusal) -> ErrorOut:
    """Return what *refusal* says, without whom it is said to, and when."""
    return {"code": refusal.code, "message": refusal.message, "field": refusal.field}


def error_body(refusal: Refusal, request_id: str) -> ErrorResponse:
    """Return *refusal* as callers read it."""
    return {
        "success": False,
        "error": error_out(refusal),
        "request_id": request_id,
        "timestamp": timestamp(),
    }


def error_response(refusal: Refusal, request_id: str) -> Response:
    """Return *refusal* as a response."""
    return json_response(error_body(refusal, request_id), refusal.status, refusal.headers)
