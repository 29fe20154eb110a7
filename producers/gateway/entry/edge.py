"""The outermost layer: whatever comes in is identified and limited, whatever goes out has its headers.

Each request gets an id, is refused if its headers are too large, its version unknown or its caller not let
in, and leaves with its id, the version and the security headers.  An error that reaches this layer leaves as
the structured body; what it was is logged by its type alone, since its text may hold people's words.
"""

import asyncio
import logging
import traceback
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producers.gateway.call import Call, error_response
from producers.gateway.entry.cors import Origins
from producers.gateway.errors import (
    TABLE,
    HeadersTooLarge,
    NotReady,
    Refusal,
    WrongValue,
    refusal_of,
)
from producers.gateway.ports import Door, Meter
from producers.gateway.settings import GatewaySettings
from workers.observability.context import binding

logger = logging.getLogger(__name__)

V1_PREFIX, V2_PREFIX = "/api/persona/", "/api/v2/"
PUBLIC = frozenset({f"{V2_PREFIX}health"})
_VERSIONS = {V1_PREFIX: ("1", "1.0", "v1"), V2_PREFIX: ("2", "2.0", "v2")}

_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),  # answers are a person's
)
_VERSION_HEADERS: dict[str, tuple[tuple[bytes, bytes], ...]] = {
    V1_PREFIX: (
        (b"x-api-version", b"1"),
        (b"deprecation", b"@1767225600"),  # RFC 9745: since 2026-01-01
        (b"sunset", b"Fri, 31 Dec 2027 23:59:59 GMT"),  # RFC 8594
        (b"link", b'</redoc#tag/v1>; rel="deprecation"; type="text/html"'),
    ),
    V2_PREFIX: ((b"x-api-version", b"2"),),
}
Headers = list[tuple[bytes, bytes]]
_HSTS = (b"strict-transport-security", b"max-age=31536000")


class Edge:
    """Wraps the application; *door* is asked for what is under /api and not public."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings, door: Door, meter: Meter) -> None:
        self._app, self._door, self._meter = app, door, meter
        self._max_header_kb = settings.max_header_kb
        self._origins = Origins(settings.cors_origins)
        self._headers = (*_HEADERS, _HSTS) if settings.tls_cert is not None else _HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request of *scope*; raise NotImplementedError for what is no HTTP."""
        if scope["type"] == "http":
            await self._serve(Call.of(scope), receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:
            raise NotImplementedError(f"the gateway speaks HTTP, not {scope['type']}")

    async def _serve(self, call: Call, receive: Receive, send: Send) -> None:
        self._meter.began()
        scope = call.scope
        prefix = V1_PREFIX if scope["path"].startswith(V1_PREFIX) else V2_PREFIX
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = self._origins.mark(call, message["headers"])
                message["headers"] = completed(headers, call.request_id, prefix, self._headers)
            await send(message)

        async def refuse(refusal: Refusal) -> None:
            if status:
                return  # the server hangs up, so that the caller sees that something is missing
            call.code = refusal.code
            await error_response(refusal, call.request_id)(scope, receive, send_with_headers)

        try:
            app = await self._let_in(call, prefix)
            await app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 - this is where every error ends
            refusal = refusal_of(error)
            if refusal.code == TABLE[Exception].code:
                with binding(request_id=call.request_id):
                    _note_fault(error)
            await refuse(refusal)
        except asyncio.CancelledError:  # the server has waited for long enough, and stops
            await refuse(refusal_of(NotReady("this process is stopping")))
        finally:
            self._meter.answered(call, status)

    async def _let_in(self, call: Call, prefix: str) -> ASGIApp:
        """Return what answers *call*, having checked it."""
        path: str = call.scope["path"]
        self._check(call, path, prefix)
        preflight = self._origins.preflight(call)
        if preflight is not None:  # browsers send it without credentials
            return preflight
        if path.startswith("/api/") and path not in PUBLIC:
            call.caller = await self._door.admit(call)
        return self._app

    def _check(self, call: Call, path: str, prefix: str) -> None:
        scope = call.scope
        size = len(scope["raw_path"]) + len(scope["query_string"])
        size += sum([len(name) + len(value) + 4 for name, value in scope["headers"]])
        if size > self._max_header_kb * 1024:
            raise HeadersTooLarge(f"the address and headers are over {self._max_header_kb} KiB")
        call.take_request_id()
        asked = call.header("x-api-version")
        if asked is not None and path.startswith(prefix) and asked.strip().lower() not in _VERSIONS[prefix]:
            known = _VERSIONS[prefix][0]
            raise WrongValue(f"is not the version of this address; send {known} or nothing", "X-API-Version")


def completed(
    headers: Headers, request_id: str, prefix: str, standard: Iterable[tuple[bytes, bytes]] = _HEADERS
) -> Headers:
    """Return *headers* with those that every response has; an endpoint's own win over the *standard* ones."""
    own = {name for name, _ in headers}
    return [
        *headers,
        *(header for header in standard if header[0] not in own),
        (b"x-request-id", request_id.encode()),
        *_VERSION_HEADERS[prefix],
    ]


def _note_fault(error: BaseException) -> None:
    """Log a fault of ours: its type and where it came from, never its words."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    where = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    kind = type(error).__name__
    if error.__cause__ is not None:
        kind += f" from {type(error.__cause__).__name__}"
    logger.error("a request ended in a fault: %s at %s", kind, where)
