"""Spans of requests: a port with its Null, and what Sentry and OpenTelemetry make of them.

A span says route, method, status and ids, and never an address, a query or a body.  It goes on from the
caller's own trace if that caller came in as a service or an admin: anybody else could have everything traced.

Source:  OpenTelemetry's semantic conventions for HTTP 1.37.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from producers.gateway.call import Call

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_TRUSTED = frozenset({"service", "admin"})
_LONGEST = 2_048  # of a trace header

Ended = Callable[[str, int], None]
"""Takes the route and the status with which a request ended."""


class RequestSpans(Protocol):
    """Makes spans of requests."""

    def request(self, call: Call) -> AbstractContextManager[Ended]:
        """Return a block that is the span of *call*; it gives what is to be told how the request ended."""


def _not_traced(route: str, status: int) -> None:
    """Take note of nothing."""


class NoRequestSpans:
    """Traces nothing."""

    @contextmanager
    def request(self, call: Call) -> Iterator[Ended]:  # noqa: ARG002 - the protocol's signature
        """Be no span."""
        yield _not_traced


class SeveralRequestSpans:
    """Traces in several systems at once."""

    def __init__(self, systems: Sequence[RequestSpans]) -> None:
        self._systems = systems

    @contextmanager
    def request(self, call: Call) -> Iterator[Ended]:
        """Be a span in each of them."""
        with ExitStack() as stack:
            ends = [stack.enter_context(system.request(call)) for system in self._systems]

            def ended(route: str, status: int) -> None:
                for end in ends:
                    end(route, status)

            yield ended


class SentryRequests:
    """A *share* of the requests as Sentry's transactions, which must have been started."""

    def __init__(self, share: float, chance: Callable[[], float] = random.random) -> None:
        self._share, self._chance = share, chance

    @contextmanager
    def request(self, call: Call) -> Iterator[Ended]:
        """Be the transaction of *call*, if it is sampled."""
        given = trusted_headers(call, "sentry-trace", "baggage")
        parent = given.get("sentry-trace", "")
        decided = parent[-2:] if parent[-2:] in {"-1", "-0"} else ""
        if decided != "-1" and (decided or self._chance() >= self._share):
            yield _not_traced
            return
        import sentry_sdk  # noqa: PLC0415 - loaded by whoever started it

        with sentry_sdk.isolation_scope():
            method = call.scope["method"]
            transaction = sentry_sdk.continue_trace(
                given, op="http.server", name=method, source="route", origin="manual.ion"
            )
            transaction.sampled = True  # decided above, once
            with sentry_sdk.start_transaction(transaction):

                def ended(route: str, status: int) -> None:
                    transaction.name = f"{method} {route}"
                    transaction.set_http_status(status)
                    transaction.update_data(_told(call, route, status))

                yield ended


class OtelRequests:
    """Requests as OpenTelemetry's server spans."""

    def __init__(self, provider: "TracerProvider", scope: str) -> None:
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - an extra
            TraceContextTextMapPropagator,
        )

        self._tracer = provider.get_tracer(scope)
        self._w3c = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, call: Call) -> Iterator[Ended]:
        """Be the span of *call*."""
        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415 - an extra

        method = call.scope["method"]
        with self._tracer.start_as_current_span(
            method,
            context=self._w3c.extract(trusted_headers(call, "traceparent")),
            kind=SpanKind.SERVER,
            record_exception=False,  # its message may quote what a person wrote
            set_status_on_exception=False,
        ) as span:

            def ended(route: str, status: int) -> None:
                span.update_name(f"{method} {route}")
                span.set_attributes(_told(call, route, status))
                if status >= 500:
                    span.set_status(Status(StatusCode.ERROR))

            yield ended


def trusted_headers(call: Call, *names: str) -> dict[str, str]:
    """Return those of *names* that *call* has, if its caller may say which trace it belongs to."""
    if call.caller.role not in _TRUSTED:
        return {}
    found = {name: call.header(name) for name in names}
    return {name: value for name, value in found.items() if value is not None and len(value) <= _LONGEST}


def _told(call: Call, route: str, status: int) -> dict[str, Any]:
    return {
        "http.request.method": call.scope["method"],
        "http.route": route,
        "http.response.status_code": status,
        "ion.request_id": call.request_id,
        "ion.jobs": call.jobs,
        "ion.cache_hits": call.cache_hits,
        **({} if call.code is None else {"error.type": call.code}),
    }
