"""A worker's batches as OpenTelemetry's spans: consumers of the span that published them.

A span of a batch has links to the spans in which its jobs were submitted, since a batch gathers jobs of many
callers.  What is recorded of an error is its type: its message may quote what a person wrote.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_trace_id,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from workers.contract.payloads import Batch, Job
from workers.delivery import Delivery
from workers.observability.otel import SCOPE, close_provider
from workers.observability.tracing import MOST_JOB_SPANS, TRACEPARENT, BatchSpan, carried, told_of

T = TypeVar("T")

_W3C = TraceContextTextMapPropagator()


class _Traced(msgspec.Struct):
    """The part of a packed job that links need."""

    trace: str | None = None


_decode_trace = msgspec.msgpack.Decoder(_Traced).decode


class OtelTracing:
    """Makes spans of batches with *provider*, which it closes."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(SCOPE)

    @contextmanager
    def batch(self, batch: Batch, delivery: Delivery) -> Iterator[BatchSpan]:
        """Be the span of *batch*."""
        headers = carried(batch)
        with (
            self._tracer.start_as_current_span(
                f"process {delivery.queue or 'batch'}",
                context=_W3C.extract(headers) if TRACEPARENT in headers else None,
                kind=SpanKind.CONSUMER,
                attributes=told_of(batch, delivery),
                links=_links(batch.jobs),
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            marked(span),
        ):
            yield OtelBatch(span, self._tracer)

    def close(self) -> None:
        """Send what waits."""
        close_provider(self._provider)


class OtelBatch:
    """The span of one batch."""

    def __init__(self, span: Span, tracer: Tracer) -> None:
        self._span, self._tracer = span, tracer
        self.trace_id: str | None = format_trace_id(span.get_span_context().trace_id)

    def around(self, answer: Callable[[Job], T]) -> Callable[[Job], T]:
        """Return *answer* with a span around each of the first calls, linked to where the job came from."""
        if not self._span.is_recording():
            return answer
        left = MOST_JOB_SPANS

        def traced(job: Job) -> T:
            nonlocal left
            if not left:
                return answer(job)
            left -= 1
            told = {"ion.job_id": job.id}
            if job.request_id is not None:
                told["ion.request_id"] = job.request_id
            came_from = context_of(job.trace)
            with (
                self._tracer.start_as_current_span(
                    "answer a job",
                    attributes=told,
                    links=() if came_from is None else (Link(came_from),),
                    record_exception=False,
                    set_status_on_exception=False,
                ) as span,
                marked(span),
            ):
                return answer(job)

        return traced


@contextmanager
def marked(span: Span) -> Iterator[None]:
    """Mark *span* with the type of an error that leaves the block, and nothing else of it."""
    try:
        yield
    except BaseException as error:
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        span.set_attribute("error.type", type(error).__name__)
        raise


def context_of(traceparent: str | None) -> SpanContext | None:
    """Return whom a W3C *traceparent* names; None for what is none."""
    if traceparent is None:
        return None
    context = get_current_span(_W3C.extract({TRACEPARENT: traceparent})).get_span_context()
    return context if context.is_valid else None


def _links(packed: Sequence[msgspec.Raw]) -> list[Link]:
    found = dict.fromkeys(trace for one in packed[:MOST_JOB_SPANS] if (trace := _trace_of(one)) is not None)
    return [Link(context) for trace in found if (context := context_of(trace)) is not None]


def _trace_of(packed: msgspec.Raw) -> str | None:
    try:
        return _decode_trace(packed).trace
    except (msgspec.MsgspecError, RecursionError):
        return None  # the job will be refused in its turn
