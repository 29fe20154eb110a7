"""What judges and tells, as a worker composes it: wrong settings cost what they are about, and no more."""

from pathlib import Path

import pytest

from workers.monitoring.alerts.rules import load_rules
from workers.monitoring.notices.outbox import MemoryOutbox
from workers.monitoring.recorder import NullRecorder
from workers.operations.alerting import open_notifier, rules_of
from workers.settings import WorkerSettings


def settings(**given: str) -> WorkerSettings:
    return WorkerSettings.model_validate({"broker_url": "redis://127.0.0.1:1/0", **given})


def channels(given: WorkerSettings) -> set[str]:
    return set(open_notifier(given, MemoryOutbox(), NullRecorder()).there)


def test_rules_that_cannot_be_read_leave_ours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = tmp_path / "own.toml"
    own.write_text("[rules.cpu_utilization]\ntreshold = 90\n")
    assert rules_of(own) == load_rules()
    assert "rule cpu_utilization, treshold" in caplog.text


def test_channels_are_those_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert channels(settings()) == {"log"}
    monkeypatch.setenv("ION_ALERT_SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/secret")
    assert channels(settings(sentry_dsn="https://key@sentry.example/1")) == {"log", "slack", "sentry"}


def test_a_wrong_setting_is_said_without_its_value(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ION_ALERT_SLACK_WEBHOOK_URL", "http://slack.example/secret")
    assert channels(settings()) == {"log"}
    assert "ION_ALERT_SLACK_WEBHOOK_URL is not valid" in caplog.text
    assert "secret" not in caplog.text


def test_a_wrong_address_of_sentry_costs_sentry_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ION_ALERT_PAGERDUTY_ROUTING_KEY", "secret")
    assert channels(settings(sentry_dsn="nonsense")) == {"log", "pagerduty"}
    assert "alerts do not go to Sentry" in caplog.text
