"""Which web apps of other origins may call, as browsers ask it (CORS).

It is done at the edge: an app can read its refusals, too, and a preflight, which has no credentials, is
answered before anybody asks for them.
Source:  WHATWG Fetch, section 3.3.
"""

from collections.abc import Collection

from starlette.responses import Response

from producers.gateway.call import Call

_METHODS = b"GET, POST"
_REQUEST_HEADERS = (
    b"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, "
    b"X-API-Key, X-API-Version, X-Request-ID"
)
_RESPONSE_HEADERS = b"Location, Preference-Applied, Retry-After, X-API-Version, X-Request-ID"
_MAX_AGE_S = b"600"


class Origins:
    """The *allowed* origins; none: no other origin may call, and nothing is said about it."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(origin.encode() for origin in allowed)

    def preflight(self, call: Call) -> Response | None:
        """Return the answer to a browser that asks for an allowed origin whether it may call; else None."""
        asks = call.scope["method"] == "OPTIONS" and b"access-control-request-method" in call.headers
        return Response(status_code=204) if asks and self._origin(call) is not None else None

    def mark(self, call: Call, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return *headers* of the response to *call* with what lets an allowed origin read it."""
        if not self._allowed:
            return headers
        marked = [*headers, (b"vary", b"Origin")]
        origin = self._origin(call)
        if origin is None:
            return marked
        marked.append((b"access-control-allow-origin", origin))
        if call.scope["method"] == "OPTIONS":
            return [
                *marked,
                (b"access-control-allow-methods", _METHODS),
                (b"access-control-allow-headers", _REQUEST_HEADERS),
                (b"access-control-max-age", _MAX_AGE_S),
            ]
        return [*marked, (b"access-control-expose-headers", _RESPONSE_HEADERS)]

    def _origin(self, call: Call) -> bytes | None:
        origin = call.headers.get(b"origin")
        return origin if origin in self._allowed else None
