"""What the settings of channels accept, and what they say of the rest: never the value."""

from pathlib import Path
from typing import Any

import pydantic
import pytest

from producers.cli.config import MASK, shown
from workers.monitoring.notices.channels.opening import links_of, open_channels
from workers.monitoring.notices.message import Links
from workers.monitoring.notices.settings import ChannelSettings, SentrySettings

WEBHOOK = "https://hooks.slack.com/services/T/B/verysecret"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"slack_webhook_url": "http://hooks.slack.com/verysecret"}, "begin with https://"),
        ({"slack_webhook_url": "verysecret"}, "begin with https://"),
        ({"slack_webhook_url": "https:///verysecret"}, "begin with https://"),
        ({"pagerduty_url": "ftp://verysecret"}, "begin with https://"),
        ({"links_url": "javascript:verysecret"}, "begin with https://"),
        ({"slack_oncall": "<!everyone> verysecret"}, "pattern"),
        ({"smtp_host": "mail.example.com"}, "needs ION_ALERT_SMTP_TO"),
        ({"smtp_to": "a@example.com, Verysecret <b@example.com>"}, "plain addresses"),
        ({"smtp_from": "a@example.com\r\nBcc: verysecret@x"}, "pattern"),
        (
            {
                "smtp_host": "mail.example.com",
                "smtp_to": "a@b.example",
                "smtp_user": "ion",
                "smtp_password": "verysecret",
                "smtp_security": "none",
            },
            "show the password",
        ),
        ({"digest_hour_utc": 24}, "less than or equal to 23"),
    ],
    ids=str,
)
def test_what_cannot_work_is_said_without_its_value(given: dict[str, Any], said: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=said) as caught:
        ChannelSettings(**given)
    assert "verysecret" not in str(caught.value).lower()


@pytest.mark.parametrize("oncall", ["@oncall", "<!subteam^S0123ABC>", "<@U0123>", "<!here>"])
def test_whoever_is_on_call_may_be_a_name_or_an_id_of_slack(oncall: str) -> None:
    assert ChannelSettings(slack_oncall=oncall).slack_oncall == oncall


def test_nothing_is_set_by_default_and_empty_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLACK_WEBHOOK_URL", "PAGERDUTY_ROUTING_KEY", "SMTP_HOST", "LINKS_URL"):
        monkeypatch.setenv(f"ION_ALERT_{name}", "")
    monkeypatch.setenv("ION_SENTRY_DSN", "")
    assert list(open_channels(ChannelSettings(), SentrySettings().dsn)) == ["log"]
    assert links_of(ChannelSettings()) == Links()


def test_secrets_come_from_files_too_and_print_masked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ion_alert_slack_webhook_url").write_text(WEBHOOK)
    (tmp_path / "ion_alert_smtp_password").write_text("verysecret")
    (tmp_path / "ion_alert_pagerduty_routing_key").write_text("verysecret")
    monkeypatch.setenv("ION_SECRETS_DIR", str(tmp_path))
    settings = ChannelSettings()
    assert settings.slack_webhook_url is not None
    assert settings.slack_webhook_url.get_secret_value() == WEBHOOK
    assert "verysecret" not in repr(settings) + str(settings.model_dump_json())
    assert shown(settings.slack_webhook_url) == MASK  # its path is the secret
    assert shown(settings.smtp_password) == MASK


def test_links_do_without_a_last_slash() -> None:
    settings = ChannelSettings(links_url="https://ion.example.com/", smtp_to="a@b.example , c@d.example,")
    assert links_of(settings).dashboards == "https://ion.example.com"
    assert settings.recipients == ("a@b.example", "c@d.example")
