"""Sentry: one message an alert, which Sentry groups by rule.

The client is one of our own, beside the one that reports errors: it looks at nothing in the process, and its
transport posts at once, so that it is known whether the message arrived.

Errors:  ChannelError.
Source:  develop.sentry.dev, "Event Payloads" and "Envelopes"; sentry-sdk 2.75, transport.py.
"""

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from workers.monitoring.alerts.alert import Alert, Level, Notice
from workers.monitoring.notices import wording
from workers.monitoring.notices.channels.errors import Refused
from workers.monitoring.notices.channels.posting import Poster

if TYPE_CHECKING:
    from sentry_sdk.envelope import Envelope

SEVERITIES: dict[Level, str] = {"critical": "fatal", "high": "error", "medium": "warning", "low": "info"}


class SentryChannel:
    """Sends to the project that *dsn* names."""

    def __init__(self, dsn: str, timeout_s: float, environment: str, release: str) -> None:
        import sentry_sdk  # noqa: PLC0415 - 20 MB of a worker's memory, for those who use it
        from sentry_sdk.consts import EndpointType  # noqa: PLC0415
        from sentry_sdk.transport import Transport  # noqa: PLC0415
        from sentry_sdk.utils import BadDsn, Dsn  # noqa: PLC0415

        kept: list[Envelope] = []

        class Keeping(Transport):
            """Keeps envelopes for ``send``."""

            def capture_envelope(self, envelope: "Envelope") -> None:
                kept.append(envelope)

        try:
            auth = Dsn(dsn).to_auth("ion-alerts")
        except BadDsn:
            raise Refused("ION_SENTRY_DSN is no DSN") from None
        self._kept = kept
        self._headers = {
            "Content-Type": "application/x-sentry-envelope",
            "X-Sentry-Auth": str(auth.to_header()),
        }
        self._poster = Poster(auth.get_api_url(EndpointType.ENVELOPE), timeout_s)
        self._client = sentry_sdk.Client(
            dsn=dsn,
            transport=Keeping,
            environment=environment,
            release=release,
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            send_client_reports=False,
            max_breadcrumbs=0,
        )

    def send(self, notice: Notice) -> None:
        """Send the alerts of *notice*, or what it says."""
        self._kept.clear()
        for event in sentry_events(notice):
            self._client.capture_event(event)  # type: ignore[arg-type]  # its own type has no public name
        for envelope in tuple(self._kept):
            packed = io.BytesIO()
            envelope.serialize_into(packed)
            self._poster.post(packed.getvalue(), self._headers)


def sentry_events(notice: Notice) -> list[dict[str, Any]]:
    """Return an event for each alert of *notice*."""
    if not notice.alerts:
        kind = {"tags": {"ion.notice": notice.kind}, "fingerprint": ["ion-alerts", notice.kind]}
        return [{"message": wording.title(notice), "level": "info", "logger": "ion.alerts", **kind}]
    return [_event(alert, notice) for alert in notice.alerts]


def _event(alert: Alert, notice: Notice) -> dict[str, Any]:
    over = notice.kind == "resolved"
    message = f"{wording.HEADS[notice.kind]}: {wording.subject(alert)}: {wording.measured(alert)}"
    tags = {
        "ion.rule": wording.plain(alert.rule),
        "ion.level": alert.level,
        "ion.alert": alert.id,
        "ion.notice": notice.kind,
        **{f"ion.{name}": wording.plain(value) for name, value in alert.labels.items()},
    }
    return {
        "message": message,
        "level": "info" if over else SEVERITIES[alert.level],
        "logger": "ion.alerts",
        "timestamp": datetime.fromtimestamp(notice.at_s, UTC),
        # an end in the group of its beginning would look like a relapse
        "fingerprint": ["ion-alerts", alert.rule, "resolved" if over else "firing"],
        "tags": tags,
        "contexts": {"alert": dict(wording.facts(alert))},
    }
