"""A worker's spans: whose child a batch is, what it links to, how many jobs have one, and what errors say."""

import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from tests.support.otel_spans import finished, provider, span_id
from workers.contract.payloads import Batch, Job
from workers.delivery import Delivery
from workers.monitoring.events import CachePerformanceEvent, PersonaProcessEvent
from workers.observability.listeners import sentry_teller
from workers.observability.otel_tracing import OtelTracing
from workers.observability.sentry import start_sentry
from workers.observability.sentry_tracing import SentryTracing
from workers.observability.tracing import MOST_JOB_SPANS, NO_SPAN, SeveralTracings, carried

DELIVERY = Delivery("persona.process", "interactive", "worker1@ion")
WORDS = "my very private words"


def traceparent(trace: int, span: int, flags: str = "01") -> str:
    return f"00-{trace:032x}-{span:016x}-{flags}"


def batch_of(*jobs: Job, **fields: Any) -> Batch:
    packed = [msgspec.Raw(msgspec.msgpack.encode(job)) for job in jobs]
    return Batch(id=uuid.uuid4().hex, reply_to="c" * 16, sent_ms=1, jobs=packed, **fields)


def fail(job: Job) -> str:
    raise ValueError(f"{WORDS} {job.text}")


class Kept(Transport):
    """Sentry's edge: keeps what would be sent."""

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__(options)
        self.sent: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.sent += [item.payload.json for item in envelope.items]


@pytest.fixture
def sentry() -> Iterator[Kept]:
    transport = Kept()
    start_sentry("http://public@127.0.0.1:9/1", transport=transport, traces_sample_rate=1.0)
    yield transport
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


def test_a_batch_is_a_child_of_its_producers_span_with_links_to_its_callers() -> None:
    trace = uuid.uuid4().int >> 8
    jobs = [Job(id=str(n), text="x", trace=traceparent(trace + n % 2, 0xAB00 + n % 2)) for n in range(40)]
    tracing = OtelTracing(provider())

    batch = batch_of(*jobs, trace={"traceparent": traceparent(trace, 0xCD)})
    with tracing.batch(batch, DELIVERY) as span:
        answer = span.around(lambda job: job.id)
        assert [answer(job) for job in jobs] == [job.id for job in jobs]

    spans = finished(trace)
    made = spans["process interactive"]
    assert made.parent is not None
    assert made.parent.span_id == 0xCD
    assert {link.context.span_id for link in made.links} == {0xAB00, 0xAB01}
    last = spans["answer a job"]
    assert last.attributes is not None
    assert last.attributes["ion.job_id"] == str(MOST_JOB_SPANS - 1)
    assert last.parent is not None
    assert last.parent.span_id == span_id(made)


def test_of_an_error_a_span_has_the_type() -> None:
    trace = uuid.uuid4().int >> 8
    with (
        pytest.raises(ValueError, match=WORDS),
        OtelTracing(provider()).batch(
            batch_of(trace={"traceparent": traceparent(trace, 1)}), DELIVERY
        ) as span,
    ):
        span.around(fail)(Job(id="1", text="x"))

    spans = finished(trace)
    assert all(WORDS not in span.to_json() for span in spans.values())
    assert {span.attributes["error.type"] for span in spans.values() if span.attributes} == {"ValueError"}


@pytest.mark.parametrize(
    "trace",
    [
        pytest.param({"traceparent": "x" * 10_000}, id="too-long"),
        pytest.param({"traceparent": "a\x1b[2J", "sentry-trace": "\n"}, id="not-printable"),
        pytest.param({"tracestate": "x", "anything": "y"}, id="other-names"),
        pytest.param(msgspec.UNSET, id="none"),
    ],
)
def test_what_is_no_trace_is_passed_over(trace: Any) -> None:
    assert carried(batch_of(trace=trace)) == {}


@pytest.mark.parametrize(
    ("parent", "chance", "sampled"),
    [
        pytest.param(None, 0.009, True, id="within-the-share"),
        pytest.param(None, 0.01, False, id="beyond-the-share"),
        pytest.param("-1", 0.9, True, id="its-producer-is-sampled"),
        pytest.param("-0", 0.0, False, id="its-producer-is-not"),
        pytest.param("", 0.0, False, id="its-producer-leaves-it-open"),
    ],
)
def test_who_is_sampled(sentry: Kept, parent: str | None, chance: float, sampled: bool) -> None:  # noqa: FBT001 - a case
    given = {} if parent is None else {"trace": {"sentry-trace": f"{'a' * 32}-{'b' * 16}{parent}"}}
    with SentryTracing(0.01, lambda: chance).batch(batch_of(**given), DELIVERY) as span:
        assert (span is not NO_SPAN) is sampled

    sentry_sdk.get_client().flush()
    assert len(sentry.sent) == sampled
    if sampled and parent:
        assert sentry.sent[0]["contexts"]["trace"]["parent_span_id"] == "b" * 16


def test_a_failed_job_is_a_span_without_its_words(sentry: Kept) -> None:
    with SentryTracing(1.0).batch(batch_of(), DELIVERY) as span, pytest.raises(ValueError, match=WORDS):
        span.around(fail)(Job(id="7", text="x", request_id="r1"))

    (transaction,) = sentry.sent
    (job,) = transaction["spans"]
    assert job["data"]["ion.job_id"] == "7"
    assert job["tags"]["status"] == "internal_error"
    assert WORDS not in repr(transaction)


def test_events_are_data_of_the_transaction_and_their_findings_messages_one_of_a_kind(sentry: Kept) -> None:
    tell = sentry_teller(lambda: 0.0)
    event = PersonaProcessEvent(
        at_ms=1,
        region="eu",
        task="persona.process",
        queue="interactive",
        endpoint="process",
        batch_id="b",
        jobs=2,
        ended={"ok": 1, "failed": 1},
        errors={"ValueError": 1},
    )
    with SentryTracing(1.0).batch(batch_of(), DELIVERY):
        for _ in range(3):
            tell(event)
        tell(CachePerformanceEvent(at_ms=1, region="eu", endpoint="process", local=9, missed=1))

    messages = [one for one in sentry.sent if one.get("type") != "transaction"]
    (transaction,) = [one for one in sentry.sent if one.get("type") == "transaction"]
    assert [one["tags"]["rule"] for one in messages] == ["Persona Processing Error"]
    assert transaction["contexts"]["persona_process"]["errors"] == {"ValueError": 1}
    assert transaction["contexts"]["trace"]["data"]["persona.process.ended.failed"] == 1
    assert transaction["contexts"]["trace"]["data"]["cache.performance.local"] == 9


def test_events_outside_of_a_transaction_leave_nothing_behind(sentry: Kept) -> None:
    sentry_teller(lambda: 0.0)(CachePerformanceEvent(at_ms=1, region="eu", endpoint="process", missed=3))
    with SentryTracing(1.0).batch(batch_of(), DELIVERY):
        pass

    (transaction,) = sentry.sent
    assert "cache_performance" not in transaction["contexts"]


def test_several_systems_trace_the_same_batch(sentry: Kept) -> None:
    both = SeveralTracings([SentryTracing(1.0), OtelTracing(provider())])
    with both.batch(batch_of(), DELIVERY) as span:
        assert span.around(lambda job: job.id)(Job(id="3", text="x")) == "3"

    (transaction,) = sentry.sent
    assert span.trace_id == transaction["contexts"]["trace"]["trace_id"]
    assert len(transaction["spans"]) == 1
