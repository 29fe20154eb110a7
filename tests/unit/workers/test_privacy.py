"""What people wrote stays out of logs and out of Sentry, whatever goes wrong."""

import io
import logging
from typing import Any

import pytest
import sentry_sdk
from celery.worker.consumer import consumer
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from workers.observability.bugs import log_bug, sentry_reporter
from workers.observability.logs import configure
from workers.observability.redaction import describe

WORDS = "my very private words"


def fail(words: str) -> None:
    raise KeyError(words)


def failure() -> KeyError:
    try:
        fail(WORDS)
    except KeyError as error:
        return error
    raise AssertionError


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A worker's log, configured as a worker configures it; the root logger is put back afterwards."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    configure("INFO")
    return written


def test_a_described_error_tells_where_and_not_what() -> None:
    said = describe(failure())

    assert said.startswith("KeyError at ")
    assert "test_privacy.py" in said
    assert WORDS not in said


def test_a_logged_exception_shows_no_message(log: io.StringIO) -> None:
    try:
        fail(WORDS)
    except KeyError:
        logging.getLogger("anything").exception("it went wrong")

    assert "it went wrong" in log.getvalue()
    assert "KeyError at " in log.getvalue()
    assert WORDS not in log.getvalue()


@pytest.mark.parametrize(
    "name", ["UNKNOWN_FORMAT", "UNKNOWN_TASK_ERROR", "INVALID_TASK_ERROR", "MESSAGE_DECODE_ERROR"]
)
def test_celerys_reports_of_refused_messages_do_not_quote_them(log: io.StringIO, name: str) -> None:
    template = getattr(consumer, name)
    arguments = (WORDS,) * (template.count("%s") + template.count("%r"))
    consumer.logger.error(template, *arguments)

    assert "message refused" in log.getvalue()
    assert WORDS not in log.getvalue()


def test_celerys_report_of_a_failed_task_does_not_quote_the_error(log: io.StringIO) -> None:
    error = failure()
    logging.getLogger("celery.app.trace").error(
        "Task %(name)s[%(id)s] raised: %(exc)s",
        {"name": "persona.process", "id": "1", "exc": repr(error)},
        exc_info=(type(error), error, error.__traceback__),
        extra={"data": {"name": "persona.process", "id": "1"}},
    )

    assert "persona.process[1] did not succeed: KeyError at " in log.getvalue()
    assert WORDS not in log.getvalue()


class Kept(Transport):
    """Sentry's edge: keeps what would be sent."""

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__(options)
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events.append(envelope.get_event())


def test_sentry_gets_the_type_and_the_place_only(caplog: pytest.LogCaptureFixture) -> None:
    transport = Kept()
    report = sentry_reporter("http://public@127.0.0.1:9/1", transport=transport)
    try:
        report("answering a job", failure())
    finally:
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)  # an init() would hook itself into Celery

    (event,) = [event for event in transport.events if event]
    (exception,) = event["exception"]["values"]
    assert exception["type"] == "KeyError"
    assert exception["stacktrace"]["frames"][-1]["function"] == "fail"
    assert event["tags"]["doing"] == "answering a job"
    assert WORDS not in repr(event)
    assert WORDS not in caplog.text


def test_without_a_dsn_a_bug_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    log_bug("answering a job", failure())

    assert "answering a job failed: KeyError at " in caplog.text
    assert WORDS not in caplog.text


@pytest.mark.parametrize("name", ["celery.worker.pidbox", "kombu.pidbox"])
def test_remote_control_tells_what_kind_of_error_it_met_and_not_what_it_was_sent(
    log: io.StringIO, name: str
) -> None:
    try:
        fail(WORDS)
    except KeyError as error:
        logging.getLogger(name).exception("Control command error: %r", error)  # noqa: TRY401 - as they do

    assert "remote control: a command failed (KeyError)" in log.getvalue()
    assert WORDS not in log.getvalue()
