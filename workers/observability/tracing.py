"""Spans of a worker: one for a batch, which goes on from its producer's, and some for the jobs in it.

A port with its Null.  Sentry and OpenTelemetry implement it; neither is loaded unless it is switched on.

Units:  milliseconds since the Unix epoch.
Source: OpenTelemetry's semantic conventions for messaging 1.37 (names of attributes).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Protocol, TypeVar

import msgspec

from workers.contract.payloads import Batch, Job
from workers.delivery import Delivery

T = TypeVar("T")

MOST_JOB_SPANS = 16  # of one batch; a batch of 500 would be a page that nobody reads
TRACEPARENT, SENTRY_TRACE, BAGGAGE = "traceparent", "sentry-trace", "baggage"
_LONGEST = {TRACEPARENT: 55, SENTRY_TRACE: 60, BAGGAGE: 2_048}

Attributes = Mapping[str, str | int | float | bool]


class BatchSpan(Protocol):
    """The span of one batch, while it is answered."""

    def around(self, answer: Callable[[Job], T]) -> Callable[[Job], T]:
        """Return *answer* with a span around each of the first MOST_JOB_SPANS calls."""

    @property
    def trace_id(self) -> str | None:
        """What the trace is found by; None: there is none."""


class Tracing(Protocol):
    """Makes the spans of a worker process; never raises, and keeps nobody waiting."""

    def batch(self, batch: Batch, delivery: Delivery) -> AbstractContextManager[BatchSpan]:
        """Return a block that is the span of *batch*, delivered so."""

    def close(self) -> None:
        """Send what waits, within two seconds."""


class NoSpan:
    """A batch that is not traced."""

    trace_id = None

    def around(self, answer: Callable[[Job], T]) -> Callable[[Job], T]:
        """Return *answer*."""
        return answer

    def __enter__(self) -> "NoSpan":
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass


NO_SPAN = NoSpan()


class NoTracing:
    """Traces nothing."""

    def batch(self, batch: Batch, delivery: Delivery) -> AbstractContextManager[BatchSpan]:  # noqa: ARG002 - the protocol's signature
        """Return a block that does nothing."""
        return NO_SPAN

    def close(self) -> None:
        """Nothing to send."""


class SeveralSpans:
    """The spans of one batch in several systems."""

    def __init__(self, spans: Sequence[BatchSpan]) -> None:
        self._spans = spans

    def around(self, answer: Callable[[Job], T]) -> Callable[[Job], T]:
        """Return *answer* within the spans of all."""
        for span in self._spans:
            answer = span.around(answer)
        return answer

    @property
    def trace_id(self) -> str | None:
        """What the first of the traces is found by."""
        return next((span.trace_id for span in self._spans if span.trace_id is not None), None)


class SeveralTracings:
    """Traces in several systems at once."""

    def __init__(self, tracings: Sequence[Tracing]) -> None:
        self._tracings = tracings

    @contextmanager
    def batch(self, batch: Batch, delivery: Delivery) -> Iterator[BatchSpan]:
        """Be the span of *batch* in each of them."""
        with ExitStack() as stack:
            yield SeveralSpans([stack.enter_context(one.batch(batch, delivery)) for one in self._tracings])

    def close(self) -> None:
        """Send what waits."""
        for one in self._tracings:
            one.close()


def together(tracings: Sequence[Tracing]) -> Tracing:
    """Return what traces in all of *tracings*."""
    if not tracings:
        return NoTracing()
    return tracings[0] if len(tracings) == 1 else SeveralTracings(tracings)


def carried(batch: Batch) -> dict[str, str]:
    """Return the trace headers that *batch* carries, without what is none: they come from outside."""
    if batch.trace is msgspec.UNSET:
        return {}
    return {
        name: value
        for name, longest in _LONGEST.items()
        if (value := batch.trace.get(name)) is not None and len(value) <= longest and value.isprintable()
    }


def told_of(batch: Batch, delivery: Delivery) -> dict[str, Any]:
    """Return what a span says of *batch*: ids, names and counts."""
    return {
        "messaging.system": "celery",
        "messaging.operation.type": "process",
        "messaging.destination.name": delivery.queue,
        "messaging.batch.message_count": len(batch.jobs),
        "messaging.message.id": batch.id,
        "ion.task": delivery.task,
        "ion.worker": delivery.worker,
        "ion.sent_ms": batch.sent_ms,
        "ion.lost": delivery.lost,
    }
