"""The outermost layer: whatever comes in is identified and limited, whatever goes out has its headers.

Each request gets an id, is refused if its headers are too large, its version unknown or its caller not let
in, and leaves with its id, the version and the security headers.  An error that reaches this layer leaves as
the structured body; what it was is logged by its type alone, since its text may hold people's words.
"""

import logging
import traceback

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producers.gateway.call import Call, error_response
from producers.gateway.errors import TABLE, GatewayError, HeadersTooLarge, WrongValue, refusal_of, row_of
from producers.gateway.ports import Door, Meter
from producers.gateway.settings import GatewaySettings

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
_HSTS = (b"strict-transport-security", b"max-age=31536000")


class Edge:
    """Wraps the application; *door* is asked for what is under /api and not public."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings, door: Door, meter: Meter) -> None:
        self._app, self._door, self._meter = app, door, meter
        self._max_header_kb = settings.max_header_kb
        self._headers = (*_HEADERS, _HSTS) if settings.tls_cert is not None else _HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = Call.of(scope)
        self._meter.began()
        path: str = scope["path"]
        prefix = V1_PREFIX if path.startswith(V1_PREFIX) else V2_PREFIX
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._complete(message["headers"], call, prefix)
            await send(message)

        try:
            self._check(call, path, prefix)
            if path.startswith("/api/") and path not in PUBLIC:
                call.caller = await self._door.admit(call)
            await self._app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 - this is where every error ends
            note_fault(error)
            if not status:
                refusal = refusal_of(error)
                call.code = refusal.code
                await error_response(refusal, call.request_id)(scope, receive, send_with_headers)
        finally:
            self._meter.answered(call, status)

    def _check(self, call: Call, path: str, prefix: str) -> None:
        size = sum(len(name) + len(value) + 4 for name, value in call.scope["headers"])
        if size > self._max_header_kb * 1024:
            raise HeadersTooLarge(f"the headers are over {self._max_header_kb} KiB")
        call.take_request_id()
        asked = call.header("x-api-version")
        if asked is not None and path.startswith(prefix) and asked.strip().lower() not in _VERSIONS[prefix]:
            known = _VERSIONS[prefix][0]
            raise WrongValue(f"is not the version of this address; send {known} or nothing", "X-API-Version")

    def _complete(
        self, headers: list[tuple[bytes, bytes]], call: Call, prefix: str
    ) -> list[tuple[bytes, bytes]]:
        own = {name for name, _ in headers}
        return [
            *headers,
            *(header for header in self._headers if header[0] not in own),
            (b"x-request-id", call.request_id.encode()),
            *_VERSION_HEADERS[prefix],
        ]


def note_fault(error: BaseException) -> None:
    """Log *error* if it is a fault of ours: its type and where it came from, never its words."""
    if row_of(type(error)) is not TABLE[Exception] or isinstance(error, GatewayError):
        return
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    where = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    logger.error("a request ended in a fault: %s at %s", type(error).__name__, where)
