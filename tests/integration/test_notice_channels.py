"""Each channel against a server that speaks its protocol: what arrives, and what its trouble is called."""

import logging
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.notice_servers import ROUTING_KEY, SLACK_PATH, Mails, Told, Web, fake_mail, fake_web
from tests.support.notices import NOW_S, alert, notice
from tests.support.tls import make_certificates
from workers.monitoring.notices.channels.channel import Channel
from workers.monitoring.notices.channels.errors import Away, Busy, ChannelError, Refused
from workers.monitoring.notices.channels.mail import MailChannel, MailServer, Password
from workers.monitoring.notices.channels.opening import open_channels
from workers.monitoring.notices.channels.posting import retry_after_s
from workers.monitoring.notices.message import Links
from workers.monitoring.notices.settings import ChannelSettings

QUICK_S = 0.5


@pytest.fixture(scope="module")
def running() -> Iterator[Web]:
    with fake_web() as web:
        yield web


@pytest.fixture
def web(running: Web) -> Web:
    """The fakes, having heard nothing."""
    for heard in (running.slack, running.pagerduty, running.sentry, running.invalid):
        heard.clear()
    running.told.clear()
    return running


@pytest.fixture(scope="module")
def mailing() -> Iterator[Mails]:
    with fake_mail() as mails:
        yield mails


@pytest.fixture
def mails(mailing: Mails) -> Mails:
    """The mail server, having received nothing."""
    mailing.received.clear()
    mailing.recipients.clear()
    mailing.answers.clear()
    return mailing


def channels(web: Web, mails: Mails | None = None, **given: Any) -> dict[str, Channel]:
    fields: dict[str, Any] = {
        "slack_webhook_url": web.slack_url,
        "pagerduty_routing_key": ROUTING_KEY,
        "pagerduty_url": web.pagerduty_url,
        "timeout_s": 5.0,
    }
    if mails is not None:
        fields |= {"smtp_host": "127.0.0.1", "smtp_port": mails.port, "smtp_security": "none"}
        fields |= {"smtp_from": "ion@example.com", "smtp_to": "ops@example.com, boss@example.com"}
    return open_channels(ChannelSettings(**{**fields, **given}), web.dsn, "test", "1.0")


def trouble(channel: Channel) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        channel.send(notice())
    return caught.value


def test_every_channel_is_told_what_is_wrong(web: Web, mails: Mails) -> None:
    for channel in channels(web, mails).values():
        channel.send(notice())
    assert web.invalid == []
    assert "response_time_critical in eu" in web.slack[0]["text"]
    assert web.pagerduty[0]["dedup_key"] == "5f2c9a0b11de"
    assert web.pagerduty[0]["payload"]["source"] == "test"
    event = web.sentry[0]
    assert (event["level"], event["environment"], event["release"]) == ("fatal", "test", "1.0")
    assert event["contexts"]["alert"]["Value"] == "231.4 ms"
    assert "server_name" in event or event["tags"]["ion.rule"] == "response_time_critical"
    mail = mails.received[0]
    assert mails.recipients == [["ops@example.com", "boss@example.com"]]
    assert mail["To"] == "ops@example.com, boss@example.com"
    body = mail.get_body(("html",))
    assert body is not None
    assert "231.4 ms" in body.get_content()


@pytest.mark.parametrize("name", ["slack", "pagerduty", "sentry"])
@pytest.mark.parametrize(
    ("told", "kind", "why"),
    [
        (Told(500, "rollup_error"), Away, "status 500: rollup_error"),
        (Told(408), Away, "status 408"),
        (Told(close=True), Away, "not reached: RemoteProtocolError"),
        (Told(302, headers=(("location", "http://127.0.0.1:1/"),)), Refused, "status 302"),
        (Told(403, "invalid_token"), Refused, "status 403: invalid_token"),
        (Told(404, "no_service"), Refused, "status 404: no_service"),
        (Told(400, "x\r\n\x1b[31m" + "y" * 500), Refused, "status 400: x"),
    ],
    ids=["500", "408", "hangs up", "redirect", "403", "404", "long answer"],
)
def test_trouble_is_told_apart(web: Web, name: str, told: Told, kind: type[ChannelError], why: str) -> None:
    web.tell(name, told)
    error = trouble(channels(web)[name])
    assert type(error) is kind
    assert error.why.startswith(why)
    assert len(error.why) < 150
    assert error.why.isprintable()


def test_slack_says_how_long_it_is_busy(web: Web) -> None:
    web.tell("slack", Told(429, "rate_limited", (("retry-after", "17"),)))
    error = trouble(channels(web)["slack"])
    assert isinstance(error, Busy)
    assert error.wait_s == 17


@pytest.mark.parametrize("told", [Told(hang=True), Told(drip=True)], ids=["says nothing", "drips"])
def test_nobody_is_waited_for_longer_than_the_time_out(web: Web, told: Told) -> None:
    web.tell("slack", told)
    channel = channels(web, timeout_s=QUICK_S)["slack"]
    if told.drip:
        channel.send(notice())  # it was taken: only what it says to that takes for ever
    else:
        assert isinstance(trouble(channel), Away)


def test_a_port_where_nobody_listens_is_away() -> None:
    settings = ChannelSettings(slack_webhook_url="http://127.0.0.1:1/x", timeout_s=QUICK_S)
    error = trouble(open_channels(settings)["slack"])
    assert (type(error), error.why) == (Away, "not reached: ConnectError")


def test_a_wrong_key_is_refused_by_each(web: Web) -> None:
    wrong = channels(web, pagerduty_routing_key="f" * 32, slack_webhook_url=f"{web.slack_url}x")
    assert "Invalid" not in trouble(wrong["pagerduty"]).why
    assert isinstance(trouble(wrong["pagerduty"]), Refused)
    assert trouble(wrong["slack"]).why == "status 404: no_service"
    foreign = web.dsn.replace("5e77", "0000")
    sentry = open_channels(ChannelSettings(), foreign)["sentry"]
    assert trouble(sentry).why.startswith("status 401")
    with pytest.raises(Refused, match="ION_SENTRY_DSN"):
        open_channels(ChannelSettings(), "https://no-dsn.example.com")


def test_addresses_and_keys_are_never_logged(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        web.tell("slack", Told(404, "no_service"))
        trouble(channels(web)["slack"])
        for channel in channels(web).values():
            channel.send(notice())
    assert SLACK_PATH.rpartition("/")[2] not in caplog.text
    assert ROUTING_KEY not in caplog.text


def test_the_end_of_an_alert_ends_its_incidents(web: Web) -> None:
    ended = alert(state="resolved", resolved_s=NOW_S, escalations=1)
    channels(web)["pagerduty"].send(notice("resolved", ended))
    assert [(event["event_action"], event["dedup_key"]) for event in web.pagerduty] == [
        ("resolve", "5f2c9a0b11de"),
        ("resolve", "5f2c9a0b11de-escalated"),
    ]


@pytest.mark.parametrize(
    ("command", "reply", "kind", "why"),
    [
        ("RCPT", "550 no such user boss@example.com", Refused, "the mail server answered 550 (recipients)"),
        ("RCPT", "450 later", Away, "the mail server answered 450 (recipients)"),
        ("DATA", "552 too much", Refused, "the mail server answered 552 (DataError)"),
        ("DATA", "451 later", Away, "the mail server answered 451 (DataError)"),
    ],
    ids=["550", "450", "552", "451"],
)
def test_what_a_mail_server_refuses_for_now_is_tried_again(
    web: Web, mails: Mails, command: str, reply: str, kind: type[ChannelError], why: str
) -> None:
    mails.tell(command, reply, reply)
    error = trouble(channels(web, mails)["email"])
    assert (type(error), error.why) == (kind, why)


def test_one_wrong_recipient_keeps_no_other_from_the_mail(
    web: Web, mails: Mails, caplog: pytest.LogCaptureFixture
) -> None:
    mails.tell("RCPT", "550 no such user")
    channels(web, mails)["email"].send(notice())
    assert mails.recipients == [["boss@example.com"]]
    assert "1 of 2 recipients were refused" in caplog.text
    assert "example.com" not in caplog.text


def test_mail_is_encrypted_and_its_sender_logs_in(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(made.certificate, made.key)
    theirs = ssl.create_default_context(cafile=str(made.authority))
    with fake_mail(ours, {"ion": "right"}) as mails:

        def channel(
            password: str, tls: ssl.SSLContext | None = theirs, security: Any = "starttls"
        ) -> Channel:
            place = MailServer("127.0.0.1", mails.port, security, 5.0, "ion", Password(password), tls)
            return MailChannel(place, "ion@example.com", ["ops@example.com"], Links())

        channel("right").send(notice())
        assert mails.encrypted == [True]
        wrong = trouble(channel("wrong"))
        assert (type(wrong), wrong.why) == (Refused, "the mail server answered 535 (AuthenticationError)")
        untrusted = trouble(channel("right", tls=None))
        assert (type(untrusted), untrusted.why) == (Refused, "the mail server's certificate is not trusted")
        assert isinstance(trouble(channel("right", security="none")), Refused)


def test_a_mail_server_without_encryption_gets_no_mail_that_asks_for_it(web: Web, mails: Mails) -> None:
    error = trouble(channels(web, mails, smtp_security="starttls")["email"])
    assert (type(error), mails.received) == (Refused, [])
    assert "ION_ALERT_SMTP_" in error.why


def test_no_mail_server_is_away(web: Web, mails: Mails) -> None:
    error = trouble(channels(web, mails, smtp_port=1)["email"])
    assert (type(error), error.why) == (Away, "not reached: ConnectionRefusedError")


def test_passwords_print_masked() -> None:
    place = MailServer("h", 25, "none", 1.0, "u", Password("a-secret"))
    assert "a-secret" not in repr(place)


@pytest.mark.parametrize(
    ("given", "wait_s"),
    [
        (None, 30.0),
        ("0", 1.0),
        ("2.5", 2.5),
        ("99999999", 3_600.0),
        ("nan", 30.0),
        ("soon", 30.0),
        ("Sun, 22 Nov 2026 01:31:00 GMT", 60.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(given: str | None, wait_s: float) -> None:
    assert retry_after_s(given, NOW_S) == wait_s
