"""Who hears of what: the channels of each level and kind of notice, as data.

The first system had two tables.  By its routes, critical went to PagerDuty and Slack, high to Slack and
e-mail, medium to Slack, low to Sentry; by its channels, e-mail had critical and high, and Sentry had all.
``ROUTES`` is what satisfies both.  A rule that names channels of its own goes to those instead.
"""

from collections.abc import Collection, Mapping

import msgspec

from workers.monitoring.alerts.alert import CHANNELS, Alert, Level, Notice, NoticeKind

PAGERDUTY, SLACK, EMAIL, SENTRY, LOG = CHANNELS

ROUTES: Mapping[Level, tuple[str, ...]] = {
    "critical": (PAGERDUTY, SLACK, EMAIL, SENTRY),
    "high": (SLACK, EMAIL, SENTRY),
    "medium": (SLACK, SENTRY),
    "low": (SENTRY,),
}
KINDS: Mapping[NoticeKind, frozenset[str]] = {  # which channels have a use for which kind
    "fired": frozenset(CHANNELS),
    "escalated": frozenset(CHANNELS),
    "acknowledged": frozenset({PAGERDUTY}),  # it pages no further; the others would only be louder
    "resolved": frozenset(CHANNELS),
    "digest": frozenset({EMAIL}),
    "summary": frozenset(CHANNELS),
    "test": frozenset(CHANNELS),
}
_NEVER_LOGGED: frozenset[NoticeKind] = frozenset({"acknowledged"})  # whoever did it knows


def channels_of(notice: Notice, there: Collection[str]) -> tuple[str, ...]:
    """Return where *notice* goes, of the channels that are *there*; to the log, if to none of them."""
    routed = (
        {EMAIL} if notice.kind == "digest" else {name for alert in notice.alerts for name in route(alert)}
    )
    wanted = routed & KINDS[notice.kind]
    found = tuple(name for name in CHANNELS if name in wanted and name in there)
    return found if found or notice.kind in _NEVER_LOGGED else (LOG,)


def route(alert: Alert) -> tuple[str, ...]:
    """Return the channels of *alert*: its rule's own, else those of its level."""
    return alert.channels if alert.channels else ROUTES[alert.level]


def for_channel(notice: Notice, channel: str) -> Notice:
    """Return what *channel* is to know of *notice*: those alerts that go there."""
    if channel == LOG or not notice.alerts:
        return notice
    alerts = tuple(alert for alert in notice.alerts if channel in route(alert))
    return msgspec.structs.replace(notice, alerts=alerts) if alerts else notice
