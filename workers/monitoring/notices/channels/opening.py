"""Make the channels that the settings ask for.  Connects to nothing."""

from workers.monitoring.notices.channels.channel import Channel, LogChannel
from workers.monitoring.notices.message import Links
from workers.monitoring.notices.routing import EMAIL, LOG, PAGERDUTY, SENTRY, SLACK
from workers.monitoring.notices.settings import ChannelSettings


def open_channels(
    settings: ChannelSettings, sentry_dsn: str | None = None, environment: str = "local", release: str = ""
) -> dict[str, Channel]:
    """Return the channels by name; the log is always one of them.

    *environment*: what is in trouble, as Sentry and PagerDuty are to
    know it.  Raises Refused for a *sentry_dsn* that is none.
    """
    there: dict[str, Channel] = {LOG: LogChannel()}
    links = links_of(settings)
    timeout_s = settings.timeout_s
    if settings.pagerduty_routing_key is not None:
        from workers.monitoring.notices.channels.pagerduty import PagerDutyChannel  # noqa: PLC0415 - for who has it
        from workers.monitoring.notices.channels.posting import Poster  # noqa: PLC0415 - likewise

        key = settings.pagerduty_routing_key.get_secret_value()
        there[PAGERDUTY] = PagerDutyChannel(
            Poster(settings.pagerduty_url, timeout_s), links, key, environment
        )
    if settings.slack_webhook_url is not None:
        from workers.monitoring.notices.channels.posting import Poster  # noqa: PLC0415 - likewise
        from workers.monitoring.notices.channels.slack import SlackChannel  # noqa: PLC0415 - likewise

        webhook = settings.slack_webhook_url.get_secret_value()
        there[SLACK] = SlackChannel(Poster(webhook, timeout_s), links, settings.slack_oncall)
    if settings.smtp_host is not None:
        there[EMAIL] = _mail(settings, links)
    if sentry_dsn is not None:
        from workers.monitoring.notices.channels.sentry import SentryChannel  # noqa: PLC0415 - likewise

        there[SENTRY] = SentryChannel(sentry_dsn, timeout_s, environment, release)
    return there


def links_of(settings: ChannelSettings) -> Links:
    """Return where dashboards and runbooks are."""
    return Links(_bare(settings.links_url), _bare(settings.runbooks_url))


def _mail(settings: ChannelSettings, links: Links) -> Channel:
    from workers.monitoring.notices.channels.mail import MailChannel, MailServer, Password  # noqa: PLC0415 - likewise

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
