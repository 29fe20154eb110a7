"""The layer below the edge: a request's id is in every log line that it causes, and its span goes with it."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producers.gateway.call import Call
from producers.gateway.errors import TABLE, refusal_of
from producers.gateway.monitoring.metrics import NO_ROUTE
from producers.gateway.monitoring.request_spans import NoRequestSpans
from producers.gateway.monitoring.sight import Sight
from workers.observability.context import binding

_FAULT = TABLE[Exception].code
_ASKED_OFTEN = "/api/v2/health"  # by load balancers


class Traced:
    """Wraps the application, as *sight* says; errors pass through it to the edge."""

    def __init__(self, app: ASGIApp, sight: Sight) -> None:
        self._app, self._sight = app, sight
        self._off = isinstance(sight.spans, NoRequestSpans)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request of *scope*, which the edge has identified."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call: Call = scope["ion_call"]
        with binding(request_id=call.request_id):
            path: str = scope["path"]
            if self._off or not path.startswith("/api/") or path == _ASKED_OFTEN:
                await self._app(scope, receive, send)
            else:
                await self._in_span(call, receive, send)

    async def _in_span(self, call: Call, receive: Receive, send: Send) -> None:
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._sight.spans.request(call) as ended:
            try:
                await self._app(call.scope, receive, noting)
            except Exception as error:
                refusal = refusal_of(error)
                status = status or refusal.status
                if refusal.code == _FAULT:
                    self._sight.report_fault("a request", error)
                raise
            finally:
                route = call.scope.get("route")
                ended(NO_ROUTE if route is None else route.path, status)
