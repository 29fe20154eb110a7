"""Make the channels that the settings ask for, and the notifier over them.  Connects to nothing.

    notifier = open_notifier(SqlOutbox(store), recorder)

Errors:  ValidationError and InvalidInput from ``configured``, for a setting that is wrong.
"""

import importlib.metadata
import logging

import pydantic

from persona_system.errors import InvalidInput
from workers.monitoring.channel_settings import ChannelSettings, SentrySettings
from workers.monitoring.channels.channel import Channel, LogChannel
from workers.monitoring.channels.errors import Refused
from workers.monitoring.digesting import DailyDigest, Past
from workers.monitoring.history import Reader
from workers.monitoring.message import Links
from workers.monitoring.notifier import ChannelNotifier
from workers.monitoring.outbox import Outbox
from workers.monitoring.recorder import NullRecorder, Recorder
from workers.monitoring.routing import EMAIL, LOG, PAGERDUTY, SENTRY, SLACK

logger = logging.getLogger(__name__)


def open_notifier(outbox: Outbox, recorder: Recorder | None = None) -> ChannelNotifier:
    """Return the notifier that the environment asks for, over *outbox*.

    Settings that are wrong are told, and then notices go to the log: better there than nowhere.
    """
    there, settings = _configured_or_log()
    return ChannelNotifier(
        outbox, there, settings.give_up_s, NullRecorder() if recorder is None else recorder
    )


def open_digest(past: Past, reader: Reader, outbox: Outbox, recorder: Recorder) -> DailyDigest:
    """Return what sends the daily digest, as the environment asks."""
    there, settings = _configured_or_log()
    notifier = ChannelNotifier(outbox, there, settings.give_up_s, recorder)
    return DailyDigest(past, reader, notifier, settings.digest_hour_utc)


def _configured_or_log() -> tuple[dict[str, Channel], ChannelSettings]:
    try:
        return configured()
    except (pydantic.ValidationError, InvalidInput, Refused) as error:
        wrong = wrong_setting(error)
    logger.error("alerts go to the log only, since a setting is wrong: %s", wrong)
    return {LOG: LogChannel()}, ChannelSettings.model_construct()


def configured() -> tuple[dict[str, Channel], ChannelSettings]:
    """Return the channels of the environment, and their settings; raise where a setting is wrong."""
    settings, sentry = ChannelSettings(), SentrySettings()
    there = open_channels(settings, sentry.dsn, source=sentry.environment, release=_release())
    return there, settings


def wrong_setting(error: pydantic.ValidationError | InvalidInput | Refused) -> str:
    """Return which setting is wrong, and why, without what it holds."""
    if not isinstance(error, pydantic.ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = "_".join(str(part) for part in first["loc"]).upper()
    return f"ION_ALERT_{name} {first['msg']}" if name else first["msg"]


def _release() -> str:
    try:
        return f"ion-mentoring@{importlib.metadata.version('ion-mentoring')}"
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "ion-mentoring@unknown"


def open_channels(
    settings: ChannelSettings, sentry_dsn: str | None = None, *, source: str = "ion", release: str = ""
) -> dict[str, Channel]:
    """Return the channels by name; the log is always one of them.

    *source*: what is in trouble, as people know it: the fleet's name or environment.  Raises Refused for a
    *sentry_dsn* that is none.
    """
    there: dict[str, Channel] = {LOG: LogChannel()}
    links = links_of(settings)
    timeout_s = settings.timeout_s
    if settings.pagerduty_routing_key is not None:
        from workers.monitoring.channels.pagerduty import PagerDutyChannel  # noqa: PLC0415 - for who has it
        from workers.monitoring.channels.posting import Poster  # noqa: PLC0415 - likewise

        key = settings.pagerduty_routing_key.get_secret_value()
        there[PAGERDUTY] = PagerDutyChannel(Poster(settings.pagerduty_url, timeout_s), links, key, source)
    if settings.slack_webhook_url is not None:
        from workers.monitoring.channels.posting import Poster  # noqa: PLC0415 - likewise
        from workers.monitoring.channels.slack import SlackChannel  # noqa: PLC0415 - likewise

        webhook = settings.slack_webhook_url.get_secret_value()
        there[SLACK] = SlackChannel(Poster(webhook, timeout_s), links, settings.slack_oncall)
    if settings.smtp_host is not None:
        there[EMAIL] = _mail(settings, links)
    if sentry_dsn is not None:
        from workers.monitoring.channels.sentry import SentryChannel  # noqa: PLC0415 - likewise

        there[SENTRY] = SentryChannel(sentry_dsn, timeout_s, source, release)
    return there


def links_of(settings: ChannelSettings) -> Links:
    """Return where dashboards and runbooks are."""
    return Links(_bare(settings.links_url), _bare(settings.runbooks_url))


def _mail(settings: ChannelSettings, links: Links) -> Channel:
    from workers.monitoring.channels.mail import MailChannel, MailServer, Password  # noqa: PLC0415 - likewise

    password = settings.smtp_password
    server = MailServer(
        host=settings.smtp_host or "",
        port=settings.smtp_port,
        security=settings.smtp_security,
        timeout_s=settings.timeout_s,
        user=settings.smtp_user,
        password=None if password is None else Password(password.get_secret_value()),
    )
    return MailChannel(server, settings.smtp_from, settings.recipients, links)


def _bare(url: str | None) -> str | None:
    return None if url is None else url.rstrip("/")
