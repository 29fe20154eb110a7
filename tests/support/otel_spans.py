"""OpenTelemetry in a test's process, as an app has it: one global provider, whose spans stay in memory."""

import functools
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@functools.cache
def provider() -> TracerProvider:
    """Return the provider; it is the process's, since there can be one only."""
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(_exporter()))
    trace.set_tracer_provider(made)
    return made


@functools.cache
def _exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def finished(trace_id: int) -> dict[str, ReadableSpan]:
    """Return the spans of that trace that have ended, by name; the last one of each name."""
    return {
        span.name: span for span in _exporter().get_finished_spans() if _context(span).trace_id == trace_id
    }


def span_id(span: ReadableSpan) -> int:
    """Return the id of *span*."""
    return int(_context(span).span_id)


def _context(span: ReadableSpan) -> Any:
    context = span.get_span_context()
    assert context is not None
    return context
