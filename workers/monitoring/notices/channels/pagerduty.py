"""PagerDuty, by its Events API v2: an incident for each alert, which the alert's end resolves.

PagerDuty opens no second incident and pages nobody again while one with the same ``dedup_key`` is open, so
sending an event twice does no harm, and an escalation has a key of its own.

Errors:  ChannelError.
Source:  developer.pagerduty.com: "Send an Alert Event" and "PagerDuty Common Event Format (PD-CEF)".
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from workers.monitoring.alerts.alert import Alert, Level, Notice
from workers.monitoring.notices import wording
from workers.monitoring.notices.channels.posting import Poster
from workers.monitoring.notices.message import Links

SEVERITIES: dict[Level, str] = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}
CLIENT = "ION Mentoring"
_MOST_SUMMARY = 1_024  # characters
_JSON = {"Content-Type": "application/json"}


class PagerDutyChannel:
    """Posts events for the service that *routing_key* belongs to; *source* is what is in trouble."""

    def __init__(self, poster: Poster, links: Links, routing_key: str, source: str) -> None:
        self._poster, self._links, self._key, self._source = poster, links, routing_key, source

    def send(self, notice: Notice) -> None:
        """Send the events of *notice*; those that were sent before change nothing."""
        for event in pagerduty_events(notice, self._links, self._source):
            self._poster.post(msgspec.json.encode({"routing_key": self._key, **event}), _JSON)


def pagerduty_events(notice: Notice, links: Links, source: str) -> Iterator[dict[str, Any]]:
    """Yield the events of *notice*, without the routing key."""
    if notice.kind == "test":
        key = f"ion-test-{notice.id}"
        summary = f"{wording.title(notice)} (resolved at once)"
        payload = {"summary": summary[:_MOST_SUMMARY], "source": source, "severity": "info"}
        yield {"event_action": "trigger", "dedup_key": key, "client": CLIENT, "payload": payload}
        yield {"event_action": "resolve", "dedup_key": key}
    for alert in notice.alerts:
        match notice.kind:
            case "fired":
                yield _trigger(alert, alert.id, wording.measured(alert), links, source)
            case "escalated":
                waited = wording.lasting(notice.at_s - alert.fired_s)
                said = f"nobody has acknowledged this for {waited}: {wording.measured(alert)}"
                yield _trigger(alert, _escalated(alert), said, links, source)
            case "acknowledged" | "resolved":
                action = "acknowledge" if notice.kind == "acknowledged" else "resolve"
                yield {"event_action": action, "dedup_key": alert.id}
                if alert.escalations:
                    yield {"event_action": action, "dedup_key": _escalated(alert)}


def _escalated(alert: Alert) -> str:
    return f"{alert.id}-escalated"


def _trigger(alert: Alert, key: str, said: str, links: Links, source: str) -> dict[str, Any]:
    summary = f"{alert.level}: {wording.subject(alert)}: {said}"
    return {
        "event_action": "trigger",
        "dedup_key": key,
        "client": CLIENT,
        **({} if links.dashboards is None else {"client_url": f"{links.dashboards}/dashboards"}),
        "links": [{"href": href, "text": text} for text, href in links.of(alert)],
        "payload": {
            "summary": summary[:_MOST_SUMMARY],
            "source": source,
            "severity": SEVERITIES[alert.level],
            "timestamp": datetime.fromtimestamp(alert.since_s, UTC).isoformat(timespec="milliseconds"),
            "component": wording.plain(alert.collection),
            "group": wording.where(alert) or "all",
            "class": wording.plain(alert.rule),
            "custom_details": {
                **dict(wording.facts(alert)),
                "About": wording.plain(alert.said),
                "Acknowledge": f"ion alerts ack {alert.id}",
            },
        },
    }
