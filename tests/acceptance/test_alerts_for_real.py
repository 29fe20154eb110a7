"""Real workers and beat, a real fault: it is found, told once to those it concerns, and taken on."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from producers.client import PersonaClient
from producers.requests import PersonaRequest
from tests.support.gateway import environment_of
from tests.support.notice_servers import ROUTING_KEY, Mails, Web, fake_mail, fake_web
from tests.support.stack import client_settings_for, slow_worker_command
from tests.support.wait import wait_until
from workers.store.alerts import AlertStore
from workers.store.engine import Store, open_store

ION = Path(sys.executable).with_name("ion")
TOLD_S = 60.0  # a report each 5 s, two judgements 5 s apart, then 10 s for the notice; on a busy machine
QUICK = """
[defaults]
every_s = 5
occurrences = 2

[rules.cpu_utilization]
enabled = false  # whoever runs the tests may use it all

[rules.memory_utilization]
enabled = false
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """A fleet, and who is told of its alerts."""

    stack: LocalStack
    store: Store
    web: Web
    mails: Mails

    def ion(self, *arguments: str) -> Any:
        """Return what an ``ion`` command answers as JSON."""
        done = subprocess.run(
            [str(ION), *arguments, "--json"],
            env={**os.environ, **environment_of(self.stack)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    rules = tmp_path / "rules.toml"
    rules.write_text(QUICK)
    with fake_web() as web, fake_mail() as mails:
        for name, value in {
            "ION_ALERT_RULES": str(rules),
            "ION_ALERT_SLACK_WEBHOOK_URL": web.slack_url,
            "ION_ALERT_PAGERDUTY_ROUTING_KEY": ROUTING_KEY,
            "ION_ALERT_PAGERDUTY_URL": web.pagerduty_url,
            "ION_ALERT_SMTP_HOST": "127.0.0.1",
            "ION_ALERT_SMTP_PORT": str(mails.port),
            "ION_ALERT_SMTP_SECURITY": "none",
            "ION_ALERT_SMTP_TO": "ops@example.com",
            "ION_ALERT_DIGEST_HOUR_UTC": str((datetime.now(UTC).hour + 12) % 24),  # not now
        }.items():
            monkeypatch.setenv(name, value)
        settings = LocalSettings(
            state_dir=tmp_path / "ion", broker_url=None, reply_url=None, cache_url=None, workers=1, beat=True
        )
        stack = LocalStack(settings, worker_command=slow_worker_command)
        stack.start()
        try:
            with open_store(stack.urls.database_url or "") as store:
                yield Watched(stack, store, web, mails)
        finally:
            stack.stop()


def test_slow_workers_errors_and_a_cold_cache_are_told_once_and_taken_on(watched: Watched) -> None:
    """Twelve callers of one worker that takes 50 ms wait 600 ms; 20 jobs have 1 ms; no text comes twice."""
    with PersonaClient(client_settings_for(watched.stack)) as client:
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda number: client.process(f"Why is it so slow, {number}?"), range(120)))
        hasty = [
            PersonaRequest(f"Quick, {number}!", deadline=timedelta(milliseconds=1)) for number in range(20)
        ]
        assert {outcome.status for outcome in client.process_many(hasty)} == {"expired"}
    expected = {"response_time_critical", "error_rate_critical", "availability", "cache_hit_rate"}

    wait_until(lambda: _firing(watched) >= expected, TOLD_S, "each fault fires its rule")
    wait_until(lambda: len(watched.web.pagerduty) >= 3, TOLD_S, "people are told")

    assert _firing(watched) == expected, "the milder rules of the same figures stay quiet"
    alerts = watched.ion("alerts", "list")["alerts"]
    critical = sorted(alert["id"] for alert in alerts if alert["level"] == "critical")
    assert sorted(event["dedup_key"] for event in watched.web.pagerduty) == critical
    assert all(message["text"].startswith("@oncall") for message in watched.web.slack[:1])
    assert watched.mails.received
    assert watched.web.invalid == []

    watched.ion("alerts", "ack", critical[0])

    wait_until(
        lambda: ("acknowledge", critical[0]) in _of_pagerduty(watched), TOLD_S, "PagerDuty hears of it"
    )
    assert len([event for event, _ in _of_pagerduty(watched) if event == "trigger"]) == len(critical)
    digest = watched.ion("alerts", "digest")
    assert {alert["rule"] for alert in digest["alerts"]} >= expected


def _of_pagerduty(watched: Watched) -> list[tuple[str, str]]:
    return [(event["event_action"], event["dedup_key"]) for event in watched.web.pagerduty]


def _firing(watched: Watched) -> set[str]:
    """Return the rules whose alerts fire, but for those that a graver one speaks for."""
    alerts = AlertStore(watched.store).open_alerts()
    return {alert.rule for alert in alerts if alert.state == "firing" and alert.inhibited_by is None}
