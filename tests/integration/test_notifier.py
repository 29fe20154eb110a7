"""The notifier over an outbox and real channels: each notice once to each channel, whatever goes wrong."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.notice_servers import ROUTING_KEY, Mails, Told, Web, fake_mail, fake_web
from tests.support.notices import NOW_S, alert, notice
from tests.support.wait import wait_until
from workers.monitoring.alerts.alert import Notice
from workers.monitoring.notices.channels.opening import open_channels
from workers.monitoring.notices.notifier import LEASE_S, ChannelNotifier
from workers.monitoring.notices.outbox import MemoryOutbox, Outbox
from workers.monitoring.notices.settings import ChannelSettings
from workers.monitoring.recorder import MemoryRecorder
from workers.store.engine import Store, open_store
from workers.store.errors import StoreUnavailable
from workers.store.outbox import SqlOutbox


@dataclass
class Desk:
    """A notifier with a clock that stands still until it is moved."""

    web: Web
    mails: Mails
    outbox: Outbox
    now_s: float = NOW_S
    timeout_s: float = 5.0
    recorder: MemoryRecorder = field(default_factory=lambda: MemoryRecorder("eu", "test", lambda: NOW_S))

    def __post_init__(self) -> None:
        self.notifier = self.another()

    def another(self) -> ChannelNotifier:
        """Return the notifier of one more worker, over the same outbox."""
        settings = ChannelSettings.model_validate(
            {
                "slack_webhook_url": self.web.slack_url,
                "pagerduty_routing_key": ROUTING_KEY,
                "pagerduty_url": self.web.pagerduty_url,
                "smtp_host": "127.0.0.1",
                "smtp_port": self.mails.port,
                "smtp_security": "none",
                "smtp_to": "ops@example.com",
                "timeout_s": self.timeout_s,
            }
        )
        there = open_channels(settings, self.web.dsn)
        return ChannelNotifier(self.outbox, there, 3_600, self.recorder, lambda: self.now_s, patience_s=20)

    def told(self) -> tuple[int, int, int, int]:
        """Return how many messages arrived: Slack, PagerDuty, mail, Sentry."""
        web = self.web
        return len(web.slack), len(web.pagerduty), len(self.mails.received), len(web.sentry)

    def later(self, seconds: float) -> None:
        """Deliver again, after a while."""
        self.now_s += seconds
        self.notifier.deliver()


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Web, Mails]]:
    with fake_web() as web, fake_mail() as mails:
        yield web, mails


@pytest.fixture
def desk(servers: tuple[Web, Mails]) -> Iterator[Desk]:
    web, mails = servers
    for heard in (web.slack, web.pagerduty, web.sentry, web.invalid, mails.received):
        heard.clear()
    web.told.clear()
    mails.answers.clear()
    made = Desk(web, mails, MemoryOutbox())
    yield made
    made.notifier.close(10)
    assert web.invalid == []


def many(count: int, **given: object) -> list[Notice]:
    return [notice("fired", alert(id=f"a{number}", **given), id=f"n{number}") for number in range(count)]


def test_a_notice_goes_once_to_each_channel_of_its_level(desk: Desk) -> None:
    desk.notifier.put(notice())
    desk.notifier.put(notice())
    for _ in range(3):
        desk.later(1)
    assert desk.told() == (1, 1, 1, 1)
    desk.notifier.put(notice("fired", alert(id="b", level="medium"), id="n2"))
    desk.later(1)
    assert desk.told() == (2, 1, 1, 2)


def test_the_end_reaches_those_who_were_told_of_the_beginning(desk: Desk) -> None:
    ended = alert(state="resolved", resolved_s=NOW_S)
    desk.notifier.put(notice())
    desk.notifier.put(notice("resolved", ended, id="end"))
    desk.later(1)
    assert desk.told() == (2, 2, 2, 2)
    assert [event["event_action"] for event in desk.web.pagerduty] == ["trigger", "resolve"]


def test_what_one_channel_cannot_take_now_it_gets_later_and_in_order(desk: Desk) -> None:
    desk.web.tell("slack", Told(503), Told(close=True))
    desk.notifier.put(notice())
    desk.notifier.deliver()
    assert desk.told() == (0, 1, 1, 1)
    desk.notifier.put(notice("resolved", id="end"))
    desk.later(1)  # Slack is left alone for now
    assert desk.told() == (0, 2, 2, 2)
    desk.later(5)
    assert desk.told() == (0, 2, 2, 2)
    desk.later(60)
    assert desk.told() == (2, 2, 2, 2)
    assert ["Firing" in said["text"] for said in desk.web.slack] == [True, False]
    assert desk.outbox.tally(0)["slack"].why == ""


def test_slack_is_left_alone_for_as_long_as_it_asks(desk: Desk) -> None:
    desk.web.tell("slack", Told(429, "rate_limited", (("retry-after", "30"),)))
    desk.notifier.put(notice())
    desk.notifier.deliver()
    asked = desk.web.asked
    desk.later(29)
    assert (desk.told()[0], desk.web.asked) == (0, asked)
    desk.later(1)
    assert desk.told()[0] == 1


def test_what_is_refused_is_told_once_and_counted(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.web.tell("slack", *[Told(404, "no_service")] * 3)
    for told in many(3):
        desk.notifier.put(told)
    desk.later(1)
    desk.later(600)
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "alerts: slack did not take a notice: status 404: no_service"
    ]
    tally = desk.outbox.tally(0)["slack"]
    assert (tally.failed, tally.why) == (3, "status 404: no_service")
    counted = {cell.labels: cell.total for cell in desk.recorder.take().cells}
    assert counted["slack", "failed"] == 3
    assert counted["pagerduty", "sent"] == 3


def test_after_an_hour_without_success_a_notice_is_given_up(desk: Desk) -> None:
    desk.web.tell("slack", Told(500), Told(500))
    desk.notifier.put(notice())
    desk.notifier.deliver()
    desk.later(3_601)
    tally = desk.outbox.tally(0)["slack"]
    assert (tally.failed, tally.waiting, tally.why) == (1, 0, "given up: status 500")


def test_a_storm_becomes_a_few_messages_that_count_the_rest(desk: Desk) -> None:
    """Slack takes 20 a minute: 19 alone, and one for the other 6; PagerDuty has them all."""
    for told in many(25):
        desk.notifier.put(told)
    desk.later(1)
    assert desk.told()[:3] == (20, 25, 10)
    assert "Many notices at once" in desk.web.slack[-1]["text"]
    assert "6 notices" in str(desk.web.slack[-1]["blocks"])
    tally = desk.outbox.tally(0)["slack"]
    assert (tally.sent, tally.merged, tally.waiting) == (20, 5, 0)
    desk.notifier.put(notice(id="more"))
    desk.later(30)
    assert (desk.told()[0], desk.outbox.tally(0)["slack"].waiting) == (20, 1)
    desk.later(61)
    assert desk.told()[0] == 21


def test_a_channel_that_says_nothing_keeps_nobody_else_waiting(desk: Desk) -> None:
    desk.web.tell("slack", Told(hang=True))
    notifier = desk.another()
    notifier.patience_s = 0.2
    desk.outbox.put("n1", int(NOW_S * 1000), _packed(notice()), ["slack", "pagerduty", "email"])
    notifier.deliver()
    wait_until(lambda: desk.told()[1:3] == (1, 1), what="the others are told")
    assert desk.told()[0] == 0
    desk.web.released.set()
    notifier.close(10)
    desk.web.released.clear()
    assert desk.outbox.tally(0)["slack"].waiting == 1


def test_two_workers_send_each_notice_once(desk: Desk, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'ion.db'}") as store:
        desk.outbox = SqlOutbox(store)
        first, second = desk.another(), desk.another()
        for told in many(5):
            first.put(told)
        for notifier in (first, second, first):
            notifier.deliver()
        assert desk.told() == (5, 5, 5, 5)


def test_what_a_killed_worker_had_taken_is_sent_by_the_next_one(desk: Desk) -> None:
    desk.notifier.put(notice())
    now_ms = int(NOW_S * 1000)
    assert len(desk.outbox.claim(now_ms, now_ms + LEASE_S * 1000, 100)) == 4  # and then it was killed
    desk.later(60)
    assert desk.told() == (0, 0, 0, 0)
    desk.later(61)
    assert desk.told() == (1, 1, 1, 1)


class Forgetful(SqlOutbox):
    """An outbox whose database goes away before what was sent can be noted."""

    away = True

    def __init__(self, store: Store) -> None:
        super().__init__(store)

    def settle(self, ended: object) -> None:
        if self.away:
            raise StoreUnavailable("the database", "is locked", "")
        super().settle(ended)  # type: ignore[arg-type]


def test_what_was_sent_while_the_database_was_away_is_not_sent_again(desk: Desk, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'ion.db'}") as store:
        desk.outbox = outbox = Forgetful(store)
        desk.notifier = desk.another()
        desk.notifier.put(notice())
        desk.notifier.deliver()
        assert desk.told() == (1, 1, 1, 1)
        outbox.away = False
        desk.later(LEASE_S + 1)
        assert desk.told() == (1, 1, 1, 1)
        assert outbox.tally(0)["slack"].sent == 1


def test_a_notice_of_a_newer_release_waits_for_it(desk: Desk) -> None:
    desk.outbox.put("n1", int(NOW_S * 1000), b"\xc1", ["slack"])
    desk.notifier.deliver()
    tally = desk.outbox.tally(0)["slack"]
    assert (tally.waiting, tally.why) == (1, "cannot be read here")


def test_a_channel_that_is_not_configured_here_is_left_to_those_who_have_it(desk: Desk) -> None:
    desk.outbox.put("n1", int(NOW_S * 1000), _packed(notice()), ["pager"])
    desk.notifier.deliver()
    assert desk.outbox.tally(0)["pager"].waiting == 1


def test_a_test_goes_to_one_channel_and_tells_what_happened(desk: Desk) -> None:
    assert desk.notifier.test_channel("slack")[:3] == ("slack", "sent", "")
    assert "nothing is wrong" in desk.web.slack[0]["text"]
    for name in ("pagerduty", "email", "sentry", "log"):
        assert desk.notifier.test_channel(name).state == "sent"
    assert [event["event_action"] for event in desk.web.pagerduty] == ["trigger", "resolve"]
    assert desk.notifier.test_channel("pager")[:3] == ("pager", "unset", "is not configured")
    desk.web.tell("slack", Told(403, "invalid_token"), Told(500))
    assert desk.notifier.test_channel("slack")[1:3] == ("refused", "status 403: invalid_token")
    assert desk.notifier.test_channel("slack").state == "away"


def test_without_channels_notices_are_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    outbox = MemoryOutbox()
    notifier = ChannelNotifier(outbox, open_channels(ChannelSettings()), now_s=lambda: NOW_S)
    with caplog.at_level(logging.INFO):
        notifier.put(notice("fired", alert(), alert(id="b", rule="availability", labels={})))
        notifier.deliver()
    assert [record.getMessage() for record in caplog.records] == [
        "alert: Firing: 2 alerts, critical: availability, response_time_critical",
        "alert: critical response_time_critical in eu: 231.4 ms, above 200 ms",
        "alert: critical availability: 231.4 ms, above 200 ms",
    ]


def _packed(given: Notice) -> bytes:
    from workers.monitoring.notices.notifier import pack  # noqa: PLC0415 - for these only

    return pack(given)
