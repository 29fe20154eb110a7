"""Where notices of alerts go, from ``ION_ALERT_*`` environment variables or files in ION_SECRETS_DIR.

A channel is on when its address or key is set.  Without any, notices are written to the log.
"""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from workers.contract.settings import IonSettings, SecretAddress

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ADDRESS = r"^[^\s@<>,;:\"\\]+@[^\s@<>,;:\"\\]+$"  # enough to tell an address from a name


def _web(url: str) -> str:
    """Return *url* if secrets may go there: by TLS, or within this machine."""
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not safe or not parts.hostname or any(char.isspace() for char in url):
        raise ValueError("begin with https://, or http:// on this machine")
    return url


def _secret_web(url: SecretAddress) -> SecretAddress:
    _web(url.get_secret_value())
    return url


class ChannelSettings(IonSettings):
    """How people are told of alerts.  Addresses that let anybody post are secrets, and print masked."""

    model_config = SettingsConfigDict(env_prefix="ION_ALERT_", frozen=True, hide_input_in_errors=True)

    slack_webhook_url: Annotated[SecretAddress, AfterValidator(_secret_web)] | None = Field(
        default=None, description="incoming webhook of a Slack channel; none: no Slack"
    )
    slack_oncall: str = Field(
        default="@oncall",
        pattern=r"^(@[\w.-]{1,80}|<!subteam\^[A-Z0-9]+>|<@[A-Z0-9]+>|<!(here|channel)>)$",
        description="whom a critical alert mentions in Slack: @name, or an id of a group or person",
    )
    pagerduty_routing_key: SecretStr | None = Field(
        default=None, description="integration key (Events API v2) of a service; none: no PagerDuty"
    )
    pagerduty_url: Annotated[str, AfterValidator(_web)] = Field(
        default=PAGERDUTY, description="where PagerDuty takes events"
    )
    smtp_host: str | None = Field(default=None, description="the mail server; none: no e-mail")
    smtp_port: int = Field(default=587, ge=1, le=65_535, description="its port")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="how mail is encrypted on its way to the server"
    )
    smtp_user: str | None = Field(default=None, description="who logs in there; none: nobody")
    smtp_password: SecretStr | None = Field(default=None, description="the password that goes with it")
    smtp_from: str = Field(default="ion@localhost", pattern=_ADDRESS, description="who mail is from")
    smtp_to: str = Field(default="", description="who gets mail: addresses, separated by commas")
    digest_hour_utc: int = Field(default=7, ge=0, le=23, description="when the daily digest is sent, in UTC")
    links_url: Annotated[str, AfterValidator(_web)] | None = Field(
        default=None, description="the gateway as people reach it, for links to dashboards"
    )
    runbooks_url: Annotated[str, AfterValidator(_web)] | None = Field(
        default=None, description="docs/operating.md as people reach it, for links to runbooks"
    )
    timeout_s: float = Field(default=5.0, gt=0, le=30, description="patience with a channel, for each try")
    give_up_s: float = Field(default=3_600.0, gt=0, description="how long a notice is tried to be sent")

    @field_validator(
        "slack_webhook_url", "pagerduty_routing_key", "smtp_host", "smtp_user", "links_url", "runbooks_url",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _empty_is_none(cls, given: object) -> object:
        return given or None  # ION_ALERT_SLACK_WEBHOOK_URL= switches it off

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.smtp_host is not None and not self.recipients:
            raise ValueError("ION_ALERT_SMTP_HOST needs ION_ALERT_SMTP_TO: who gets the mail")
        if self.smtp_user is not None and self.smtp_security == "none" and self.smtp_host not in _LOOPBACK:
            raise ValueError("ION_ALERT_SMTP_SECURITY=none would show the password to the network")
        return self

    @field_validator("smtp_to")
    @classmethod
    def _addresses(cls, given: str) -> str:
        if any(not re.fullmatch(_ADDRESS, one.strip()) for one in given.split(",") if one.strip()):
            raise ValueError("give plain addresses, such as ops@example.com, separated by commas")
        return given

    @property
    def recipients(self) -> tuple[str, ...]:
        """Who gets mail."""
        return tuple(one.strip() for one in self.smtp_to.split(",") if one.strip())


class SentrySettings(IonSettings):
    """Where Sentry is, and what it calls this installation: what notices share with reports of errors."""

    model_config = SettingsConfigDict(env_prefix="ION_", frozen=True, hide_input_in_errors=True)

    sentry_dsn: SecretStr | None = Field(default=None, description="Sentry's address; none: no Sentry")
    environment: str = Field(default="local", description="the name of this installation, also for PagerDuty")

    @field_validator("sentry_dsn", mode="before")
    @classmethod
    def _empty_is_none(cls, given: object) -> object:
        return given or None

    @property
    def dsn(self) -> str | None:
        """Where Sentry is; a secret."""
        return None if self.sentry_dsn is None else self.sentry_dsn.get_secret_value()
