"""A client goes on with the traces of its callers, and begins none."""

import subprocess
import sys

import pytest
from opentelemetry.trace import SpanContext

from producers.tracing import Origin, Traces, active
from tests.support.otel_spans import finished, provider, span_id


def test_without_an_active_span_nothing_is_traced() -> None:
    provider()
    traces = Traces()

    with traces.submitting("interactive", 1), traces.publishing("t", "interactive", "b", ["a"]) as sending:
        assert active() is None
        assert sending.carrier is None


def test_an_app_without_tracing_loads_none_of_it() -> None:
    code = (
        "import sys; from producers.tracing import Traces, active; assert active() is None\n"
        "import producers.dispatch\n"
        "assert not {'opentelemetry', 'sentry_sdk'} & {name.partition('.')[0] for name in sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def context_of(origin: Origin | None) -> SpanContext:
    assert origin is not None
    context: SpanContext = origin.otel
    return context


def test_a_batch_of_several_callers_belongs_to_the_first_and_has_links_to_all() -> None:
    tracer = provider().get_tracer("test")
    traces = Traces()
    contexts = []
    for job_id in ("a", "b", "c"):
        with tracer.start_as_current_span(f"caller of {job_id}"), traces.submitting("interactive", 1):
            origin = active()
            contexts.append(context_of(origin))
            assert origin is not None
            traces.remember(job_id, origin)

    with traces.publishing("persona.process", "interactive", "b1", ["a", "b", "c", "d"]) as sending:
        assert sending.carrier is not None
        traceparent = sending.carrier["traceparent"]

    publish = finished(contexts[0].trace_id)["publish interactive"]
    assert publish.parent is not None
    assert publish.parent.span_id == contexts[0].span_id
    assert [link.context.span_id for link in publish.links] == [context.span_id for context in contexts]
    assert publish.attributes is not None
    assert publish.attributes["messaging.batch.message_count"] == 4
    assert traceparent.startswith(f"00-{contexts[0].trace_id:032x}-{span_id(publish):016x}-")


def test_callers_whose_jobs_were_never_sent_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache answers most jobs, and nothing tells this table of it: so it holds the latest only."""
    monkeypatch.setattr("producers.tracing._MOST_ORIGINS", 2)
    traces = Traces()
    for job_id in ("a", "b", "c"):
        traces.remember(job_id, Origin(otel=None))

    assert list(traces._origins) == ["b", "c"]


def test_what_an_error_says_is_in_no_span() -> None:
    tracer = provider().get_tracer("test")
    with tracer.start_as_current_span("caller") as caller:
        with pytest.raises(KeyError), Traces().submitting("interactive", 1):
            raise KeyError("private words")
        trace_id = caller.get_span_context().trace_id

    assert "private words" not in finished(trace_id)["submit interactive"].to_json()
