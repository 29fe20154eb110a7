"""``ion alerts test``, ``channels`` and ``digest``, and what the doctor says of notices."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from producers.cli.app import new_app, run
from producers.cli.collaborators import Collaborators, ConfiguredFleet
from producers.cli.doctor_notices import judged, notice_checks
from tests.support.notice_servers import Mails, Told, Web, fake_mail, fake_web
from workers.monitoring.notices.outbox import Ended, Tally
from workers.store.engine import open_store
from workers.store.outbox import SqlOutbox

Ion = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Web, Mails]]:
    with fake_web() as web, fake_mail() as mails:
        yield web, mails


@pytest.fixture
def web(servers: tuple[Web, Mails], monkeypatch: pytest.MonkeyPatch) -> Web:
    """Slack and a mail server, which the settings name."""
    web, mails = servers
    web.slack.clear()
    web.told.clear()
    mails.received.clear()
    monkeypatch.setenv("ION_ALERT_SLACK_WEBHOOK_URL", web.slack_url)
    monkeypatch.setenv("ION_ALERT_SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("ION_ALERT_SMTP_PORT", str(mails.port))
    monkeypatch.setenv("ION_ALERT_SMTP_SECURITY", "none")
    monkeypatch.setenv("ION_ALERT_SMTP_TO", "ops@example.com")
    return web


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database in which one notice was refused an hour ago."""
    file = tmp_path / "ion.db"
    monkeypatch.setenv("ION_DATABASE_URL", f"sqlite:///{file}")
    monkeypatch.setenv("COLUMNS", "140")
    with open_store(f"sqlite:///{file}") as store:
        outbox, at_ms = SqlOutbox(store), int(time.time() * 1000) - 3_600_000
        outbox.put("n1", at_ms, b"", ["slack", "email", "pagerduty"])
        outbox.settle(
            [
                Ended("n1", "slack", "failed", at_ms, why="status 404: no_service"),
                Ended("n1", "email", "sent", at_ms),
            ]
        )
    return file


@pytest.fixture
def ion(capfd: pytest.CaptureFixture[str]) -> Ion:
    def call(*words: str) -> tuple[int, str, str]:
        code = run(new_app(), Collaborators(ConfiguredFleet()), ["alerts", *words])
        out, err = capfd.readouterr()
        return code, out, err

    return call


def test_a_test_notice_arrives_or_says_why_not(ion: Ion, web: Web) -> None:
    code, out, _ = ion("test", "--channel", "slack", "--json")
    assert (code, json.loads(out)["channels"][0]["state"]) == (0, "sent")
    assert "nothing is wrong" in web.slack[0]["text"]
    web.tell("slack", Told(403, "invalid_token"), Told(500))
    code, out, _ = ion("test", "--channel", "slack")
    assert (code, "invalid_token" in out) == (1, True)
    assert ion("test", "--channel", "slack")[0] == 3
    code, _, err = ion("test", "--channel", "pagerduty")
    assert (code, "ION_ALERT_PAGERDUTY_ROUTING_KEY" in err) == (2, True)


@pytest.mark.usefixtures("database", "web")
def test_channels_tell_what_is_set_and_what_arrives(ion: Ion) -> None:
    code, out, _ = ion("channels", "--json")
    rows: dict[str, dict[str, Any]] = {row["channel"]: row for row in json.loads(out)["channels"]}
    assert code == 0
    assert list(rows) == ["pagerduty", "slack", "email", "sentry", "log"]
    assert [rows[name]["set"] for name in rows] == [False, True, True, False, True]
    assert (rows["slack"]["failed"], rows["slack"]["why"]) == (1, "status 404: no_service")
    assert (rows["email"]["sent"], rows["pagerduty"]["waiting"]) == (1, 1)
    assert rows["email"]["levels"] == ["critical", "high"]
    code, out, _ = ion("channels")
    assert (code, "status 404: no_service" in out, "a-secret" in out) == (0, True, False)


@pytest.mark.usefixtures("database")
def test_the_digest_is_shown_as_text_html_and_json(ion: Ion) -> None:
    code, out, _ = ion("digest")
    assert code == 0
    assert out.startswith("The last 24 hours: Nothing fired. Nothing is open.")
    assert "0 sent, 1 failed, 0 waiting: status 404: no_service" in out
    assert ion("digest", "--html")[1].startswith("<!DOCTYPE html>")
    code, out, _ = ion("digest", "--json")
    assert (json.loads(out)["fired"], json.loads(out)["figures"][0]["value"]) == (0, None)


@pytest.mark.usefixtures("database")
def test_the_digest_is_sent_on_request(
    ion: Ion, web: Web, servers: tuple[Web, Mails], monkeypatch: pytest.MonkeyPatch
) -> None:
    _ = web
    mails = servers[1]
    code, _, err = ion("digest", "--send")
    assert (code, err) == (0, "the digest was sent\n")
    assert "The last 24 hours" in mails.received[0]["Subject"]
    mails.tell("DATA", "552 no", "451 later")
    assert [ion("digest", "--send")[0], ion("digest", "--send")[0]] == [1, 3]
    monkeypatch.delenv("ION_ALERT_SMTP_HOST")
    code, _, err = ion("digest", "--send")
    assert (code, "ION_ALERT_SMTP_HOST" in err) == (2, True)


@pytest.mark.usefixtures("web")
def test_a_wrong_setting_is_named_by_its_variable(ion: Ion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ION_ALERT_SLACK_WEBHOOK_URL", "http://slack.example/verysecret")
    code, _, err = ion("channels")
    assert (code, "ION_ALERT_SLACK_WEBHOOK_URL" in err, "verysecret" in err) == (2, True, False)


@pytest.mark.usefixtures("database", "web")
def test_the_doctor_tells_of_notices_that_do_not_arrive() -> None:
    (check,) = notice_checks(ConfiguredFleet())
    assert (check.status, check.found) == (
        "warn",
        "slack: 1 failed and 0 wait in the last 24 h: status 404: no_service",
    )
    assert "ion alerts test --channel slack" in check.fix


def test_the_doctor_has_no_remark_when_all_is_well_or_nothing_is_set() -> None:
    assert judged([], {}).found.startswith("alerts are written to the log only")
    assert judged(["slack"], {"slack": Tally(sent=3, merged=1)}).found == "slack; 4 sent in the last 24 h"
    assert {judged([], {}).status, judged(["slack"], {}).status} == {"ok"}
