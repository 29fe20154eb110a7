"""One incident from its first breach to the digest, as Slack, PagerDuty, Sentry and mail see it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.notice_servers import ROUTING_KEY, Mails, Web, fake_mail, fake_web
from tests.support.planted import WELL, PlantedFleet
from workers.monitoring.history import Reader
from workers.monitoring.notices.channels.opening import open_channels
from workers.monitoring.notices.digesting import DailyDigest
from workers.monitoring.notices.notifier import ChannelNotifier
from workers.monitoring.notices.settings import ChannelSettings
from workers.store.engine import open_store
from workers.store.metric_history import SqlHistory
from workers.store.outbox import SqlOutbox

SLOW = replace(WELL, response_ms=900)


@pytest.fixture
def web() -> Iterator[Web]:
    with fake_web() as made:
        yield made


@pytest.fixture
def mails() -> Iterator[Mails]:
    with fake_mail() as made:
        yield made


def test_an_incident_is_told_escalated_taken_on_resolved_and_in_the_digest(
    web: Web, mails: Mails, tmp_path: Path
) -> None:
    settings = ChannelSettings.model_validate(
        {
            "slack_webhook_url": web.slack_url,
            "pagerduty_routing_key": ROUTING_KEY,
            "pagerduty_url": web.pagerduty_url,
            "smtp_host": "127.0.0.1",
            "smtp_port": mails.port,
            "smtp_security": "none",
            "smtp_to": "ops@example.com",
        }
    )
    with open_store(f"sqlite:///{tmp_path / 'ion.db'}") as store:
        fleet = PlantedFleet(store)
        outbox = SqlOutbox(store)
        there = open_channels(settings, web.dsn, "production")
        notifier = ChannelNotifier(outbox, there, now_s=lambda: fleet.now_s, patience_s=20)
        fleet.evaluator = replace(fleet.evaluator, notifier=notifier)

        fleet.live(3)
        assert (web.asked, mails.received) == (0, [])

        fleet.live(5, SLOW)
        (alert,) = [one for one in fleet.alerts.open_alerts() if one.rule == "response_time_critical"]
        assert [event["event_action"] for event in web.pagerduty] == ["trigger"]
        assert [event["level"] for event in web.sentry] == ["fatal"]
        assert (len(web.slack), len(mails.received)) == (1, 1)
        assert "@oncall" in web.slack[0]["text"]

        fleet.live(31, SLOW)
        assert [event["dedup_key"] for event in web.pagerduty] == [alert.id, f"{alert.id}-escalated"]
        assert "Nobody has acknowledged" in web.slack[1]["text"]

        fleet.alerts.acknowledge(alert.id, "mina", fleet.now_s)
        fleet.live(35, SLOW)  # nobody is told again what somebody has taken on
        assert [event["event_action"] for event in web.pagerduty[2:]] == ["acknowledge", "acknowledge"]
        assert (len(web.slack), len(mails.received)) == (2, 2)

        fleet.live(12)
        ended = web.pagerduty[4:]
        assert {(event["event_action"], event["dedup_key"]) for event in ended} == {
            ("resolve", alert.id),
            ("resolve", f"{alert.id}-escalated"),
        }
        assert "Resolved" in web.slack[-1]["text"]
        assert mails.received[-1]["Subject"].startswith("[ION] Resolved: ")

        hour_utc = int(fleet.now_s) // 3_600 % 24
        history = Reader(SqlHistory(store))
        DailyDigest(fleet.alerts, history, notifier, hour_utc, lambda: fleet.now_s).digest()
        assert (web.invalid, outbox.tally(0)["slack"].failed) == ([], 0)
    body = mails.received[-1].get_body(("plain",))
    assert body is not None
    told = body.get_content()
    assert "1 acknowledged, 1 escalated; 0 still open" in told
    assert "critical response_time_critical in eu" in told
    assert "Response time, p95" in told
