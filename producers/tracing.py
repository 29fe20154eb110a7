"""Traces that an app has begun go on through the fleet; a client begins none, and sets nothing up.

If OpenTelemetry or Sentry runs in the app and a span is active where a job is submitted, submitting is a span
below it.  What the worker's trace goes on from travels in the batch.  A batch gathers jobs of several
callers: it belongs to the trace of the first one.  In OpenTelemetry, publishing is a span, too, with links to
the spans of all.  In Sentry it is none: a span that ends after its transaction is dropped, and the answer may
be there before the thread that published has ended its span.

An app without either pays for two look-ups a job.

Source:  OpenTelemetry's semantic conventions for messaging 1.37: batches have links to their messages' spans.
"""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

SCOPE = "ion_mentoring"  # what the spans' instrumentation is called
_OTEL, _SENTRY = "opentelemetry.trace", "sentry_sdk"
_CURRENT = "get_current_span"  # is called so in both; another thread may still be importing them
_MOST_ORIGINS = 20_000  # jobs on their way whose callers are traced; beyond them the oldest are forgotten
_MOST_LINKS = 32  # of one batch
_NOTHING: AbstractContextManager[None] = nullcontext()


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """The span that was active where a job was submitted, in one library or both."""

    otel: Any = None  # a SpanContext
    sentry: Any = None  # a Span

    @property
    def traceparent(self) -> str | None:
        """What W3C calls the span; None for Sentry's alone."""
        if self.otel is None:
            return None
        return f"00-{self.otel.trace_id:032x}-{self.otel.span_id:016x}-{int(self.otel.trace_flags):02x}"


@dataclass(frozen=True, slots=True)
class Sending:
    """The span in which a batch is published; *carrier* is what travels, None for nothing."""

    carrier: dict[str, str] | None = None


_UNTRACED: AbstractContextManager[Sending] = nullcontext(Sending())


class Traces:
    """What a client knows of the traces of its callers.  Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._origins: dict[str, Origin] = {}

    def submitting(self, queue: str, jobs: int) -> AbstractContextManager[Any]:
        """Return a block in which *jobs* are submitted: a span, if one is active."""
        origin = active()
        return _NOTHING if origin is None else _submitting(origin, queue, jobs)

    def remember(self, job_id: str, origin: Origin) -> None:
        """Keep *origin* until the job is published."""
        with self._lock:
            self._origins[job_id] = origin
            if len(self._origins) > _MOST_ORIGINS:  # of jobs that the cache answered
                del self._origins[next(iter(self._origins))]

    def publishing(
        self, task: str, queue: str, batch_id: str, job_ids: Sequence[str]
    ) -> AbstractContextManager[Sending]:
        """Return a block in which a batch is published: a span, if any of its jobs has an origin."""
        if not self._origins:
            return _UNTRACED
        with self._lock:
            found = [origin for job_id in job_ids if (origin := self._origins.pop(job_id, None)) is not None]
        if not found:
            return _UNTRACED
        told = {
            "messaging.system": "celery",
            "messaging.operation.type": "send",
            "messaging.destination.name": queue,
            "messaging.message.id": batch_id,
            "messaging.batch.message_count": len(job_ids),
            "ion.task": task,
        }
        return _publishing(found, queue, told)


def active() -> Origin | None:
    """Return the active span, of libraries that the app has loaded already."""
    otel = sentry = None
    if (current := getattr(sys.modules.get(_OTEL), _CURRENT, None)) is not None:
        context = current().get_span_context()
        otel = context if context.is_valid else None
    if (current := getattr(sys.modules.get(_SENTRY), _CURRENT, None)) is not None:
        span = current()
        sentry = span if span is not None and span.sampled else None
    return None if otel is None and sentry is None else Origin(otel, sentry)


@contextmanager
def _submitting(origin: Origin, queue: str, jobs: int) -> Iterator[None]:
    told: dict[str, Any] = {
        "messaging.destination.name": queue,
        "messaging.batch.message_count": jobs,
    }
    with ExitStack() as stack:
        if origin.otel is not None:
            from opentelemetry.trace import SpanKind, get_tracer  # noqa: PLC0415 - the app has loaded it

            stack.enter_context(
                get_tracer(SCOPE).start_as_current_span(
                    f"submit {queue}",
                    kind=SpanKind.PRODUCER,
                    attributes=told,
                    record_exception=False,  # its message may quote what a person wrote
                    set_status_on_exception=False,
                )
            )
        if origin.sentry is not None:
            span = stack.enter_context(origin.sentry.start_child(op="queue.publish", name=queue))
            span.update_data(told)
        yield


@contextmanager
def _publishing(origins: Sequence[Origin], queue: str, told: dict[str, Any]) -> Iterator[Sending]:
    carrier: dict[str, str] = {}
    with ExitStack() as stack:
        contexts = {one.otel.span_id: one.otel for one in origins if one.otel is not None}
        if contexts:
            spans = list(contexts.values())
            carrier["traceparent"] = stack.enter_context(_otel_publish(spans, queue, told))
        sentry = next((origin.sentry for origin in origins if origin.sentry is not None), None)
        if sentry is not None:
            carrier["sentry-trace"] = sentry.to_traceparent()
            transaction = sentry.containing_transaction
            if transaction is not None:
                carrier["baggage"] = transaction.get_baggage().serialize()
        yield Sending(carrier)


@contextmanager
def _otel_publish(contexts: Sequence[Any], queue: str, told: dict[str, Any]) -> Iterator[str]:
    from opentelemetry import trace  # noqa: PLC0415 - the app has loaded it

    first, *others = contexts
    with trace.get_tracer(SCOPE).start_as_current_span(
        f"publish {queue}",
        context=trace.set_span_in_context(trace.NonRecordingSpan(first)),
        kind=trace.SpanKind.PRODUCER,
        attributes=told,
        links=[trace.Link(context) for context in contexts[:_MOST_LINKS]] if others else (),
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield Origin(otel=span.get_span_context()).traceparent or ""
