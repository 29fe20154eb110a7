"""What Sentry is told: check-ins of whole minutes, one error of a kind, nothing that was not meant for it."""

from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from tests.support.telemetry import Telemetry, telemetry
from tests.support.wait import wait_until
from workers.contract.periodic import Periodic
from workers.observability.bugs import tell_sentry
from workers.observability.check_ins import ID_HEADER, SLUG_HEADER, START_HEADER, SentryCheckIns, monitor_of
from workers.observability.context import binding
from workers.observability.otel import close_provider, open_provider
from workers.observability.sentry import start_sentry, stop_sentry, without_words
from workers.observability.settings import ObservabilitySettings
from workers.observability.sparing import Sparing
from workers.observability.starting import beat_check_ins, switched_on

WORDS = "my very private words"
MINUTELY = Periodic("cache.warm", "cache.warm", 60, missed="once")


class Kept(Transport):
    """Sentry's edge: keeps what would be sent."""

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__(options)
        self.sent: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.sent += [item.payload.json for item in envelope.items]


def stopped() -> None:
    sentry_sdk.get_client().close(timeout=0)
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def sentry() -> Iterator[Kept]:
    transport = Kept()
    start_sentry("http://public@127.0.0.1:9/1", transport=transport)
    yield transport
    stopped()


@pytest.fixture
def away() -> Iterator[Telemetry]:
    """A server that takes connections and says nothing."""
    with telemetry() as server:
        server.hang.set()
        yield server
    stopped()


@pytest.mark.parametrize(
    ("period_s", "schedule", "margin"),
    [
        pytest.param(1, None, 0, id="a-second"),
        pytest.param(90, None, 0, id="no-whole-minutes"),
        pytest.param(60, {"type": "interval", "value": 1, "unit": "minute"}, 1, id="a-minute"),
        pytest.param(300, {"type": "interval", "value": 5, "unit": "minute"}, 1, id="five-minutes"),
        pytest.param(3_600, {"type": "interval", "value": 1, "unit": "hour"}, 6, id="an-hour"),
    ],
)
def test_a_monitor_knows_when_to_expect_its_entry(
    period_s: int, schedule: dict[str, Any] | None, margin: int
) -> None:
    config = monitor_of(Periodic("a", "b", period_s, missed="once"))

    assert (config and config["schedule"]) == schedule
    assert config is None or config["checkin_margin"] == margin


def test_a_tick_checks_in_when_it_is_sent_and_when_it_is_done(sentry: Kept) -> None:
    now_s = iter([100.0, 102.5])
    check_ins = SentryCheckIns(lambda: next(now_s))

    headers = check_ins.began(MINUTELY)
    check_ins.ended({**headers, "task": "cache.warm"}, ok=False)

    began, ended = sentry.sent
    assert (began["status"], ended["status"]) == ("in_progress", "error")
    assert began["check_in_id"] == ended["check_in_id"]
    assert ended["duration"] == 2.5
    assert began["monitor_config"]["schedule"]["unit"] == "minute"


def test_a_tick_that_was_not_sent_is_an_error(sentry: Kept) -> None:
    SentryCheckIns().lost(MINUTELY)
    SentryCheckIns().lost(Periodic("a", "b", 5, missed="skip"))

    assert [(one["monitor_slug"], one["status"]) for one in sentry.sent] == [("cache-warm", "error")]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({SLUG_HEADER: WORDS, ID_HEADER: "f" * 32}, id="no-slug"),
        pytest.param({SLUG_HEADER: "cache-warm", ID_HEADER: 7}, id="no-id"),
        pytest.param({SLUG_HEADER: ["cache-warm"], ID_HEADER: "f" * 32}, id="a-list"),
    ],
)
def test_headers_of_others_check_nothing_in(sentry: Kept, headers: dict[str, Any]) -> None:
    SentryCheckIns().ended(headers, ok=True)

    assert sentry.sent == []


def test_a_start_that_is_no_time_is_left_out(sentry: Kept) -> None:
    given = {SLUG_HEADER: "cache-warm", ID_HEADER: "f" * 32, START_HEADER: "nan"}
    SentryCheckIns().ended(given, ok=True)

    assert sentry.sent[0]["duration"] is None


def test_one_of_a_kind_passes_in_a_while_and_stands_for_the_others() -> None:
    now_s = 0.0
    sparing = Sparing(lambda: now_s, 10.0)

    assert [sparing.passes("a") for _ in range(4)] == [1, 0, 0, 0]
    assert sparing.passes("b") == 1
    now_s = 10.0
    assert sparing.passes("a") == 4


def test_a_thousand_equal_errors_are_one_event_with_the_ids_that_are_bound(sentry: Kept) -> None:
    tell = tell_sentry(lambda: 0.0)
    with binding(batch_id="b1", job_id="j1"):
        for _ in range(1_000):
            try:
                raise KeyError(WORDS)  # noqa: TRY301 - where it is raised is what makes it equal
            except KeyError as error:
                tell("answering a job", error)

    (event,) = sentry.sent
    assert event["tags"].items() >= {"doing": "answering a job", "batch_id": "b1", "job_id": "j1"}.items()
    assert WORDS not in repr(event)


def test_what_is_not_known_to_be_harmless_is_dropped() -> None:
    event: Any = {
        "type": "transaction",
        "tags": {"queue": "bulk"},
        "message": WORDS,
        "extra": {"a": WORDS},
        "breadcrumbs": {"values": [WORDS]},
        "request": {"data": WORDS},
        "user": {"id": WORDS},
        "logentry": {"message": WORDS},
        "contexts": {"trace": {"trace_id": "t"}, "state": {"x": WORDS}},
        "exception": {"values": [{"value": WORDS, "stacktrace": {"frames": [{"vars": {"text": WORDS}}]}}]},
        "anything_new": WORDS,
    }
    kept = without_words(event, {})

    assert kept is not None
    assert WORDS not in repr(kept)
    assert kept["tags"] == {"queue": "bulk"}


def test_a_sentry_that_hangs_holds_no_process_up(away: Telemetry) -> None:
    """The server answers nobody until the test has ended: so whatever returns here did not wait for it."""
    settings = ObservabilitySettings.model_validate(
        {"sentry_dsn": away.dsn, "sentry_traces_sample_rate": 1.0, "otel": False}
    )
    seen = switched_on(settings, "eu")
    seen.report_bug("anything", ValueError("x"))
    wait_until(lambda: away.asked > 0, what="the first envelope was sent")
    for tick in range(300):  # more than the SDK keeps
        seen.check_ins.ended({SLUG_HEADER: "a", ID_HEADER: f"{tick:032x}"}, ok=True)
    seen.tracing.close()

    assert away.envelopes == []


def test_a_collector_that_hangs_holds_no_process_up(away: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", away.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    provider = open_provider("test", "eu", "local")
    provider.get_tracer("test").start_span("one").end()
    wait_until(lambda: away.asked > 0, what="the first spans were sent")
    close_provider(provider, 0.1)

    assert away.spans == []


def test_a_sentry_that_refuses_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    settings = ObservabilitySettings.model_validate({"sentry_dsn": f"http://{'a' * 32}@127.0.0.1:9/1"})
    try:
        check_ins = beat_check_ins(settings)
        for _ in range(3):
            check_ins.began(MINUTELY)
        wait_until(lambda: "Sentry does not take" in caplog.text, what="it was told")
        stop_sentry(5.0)
        assert caplog.text.count("Sentry does not take") == 1
    finally:
        stopped()


def test_switched_off_nothing_is_loaded() -> None:
    settings = ObservabilitySettings.model_validate({"sentry_dsn": "", "otel": False})
    seen = switched_on(settings, "eu")

    assert seen.tells == ()
    assert settings.sentry_dsn is None
    assert beat_check_ins(settings).began(MINUTELY) == {}
