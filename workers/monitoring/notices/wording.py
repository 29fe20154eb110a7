"""How figures, moments and alerts read, on every channel alike.

Units:   seconds since the Unix epoch; shown in UTC.
"""

import math
from datetime import UTC, datetime

from workers.monitoring.alerts.alert import Alert, Level, Notice, NoticeKind
from workers.monitoring.figures import COLLECTIONS
from workers.monitoring.metrics import Type

HEADS: dict[NoticeKind, str] = {
    "fired": "Firing",
    "escalated": "Nobody has acknowledged",
    "acknowledged": "Acknowledged",
    "resolved": "Resolved",
    "digest": "The last 24 hours",
    "summary": "Many notices at once",
    "test": "Test",
}
MARKS: dict[Level, str] = {"critical": "🔴", "high": "🟠", "medium": "🟡", "low": "🔵"}
DONE = "🟢"

_DASHBOARDS: dict[Type, str] = {
    Type.RESPONSE_TIME: "performance",
    Type.ERROR_RATE: "reliability",
    Type.CACHE_HIT_RATE: "cache",
    Type.THROUGHPUT: "performance",
    Type.DATABASE_LAG: "infrastructure",
    Type.INFRASTRUCTURE: "infrastructure",
    Type.AVAILABILITY: "reliability",
    Type.PERSONA_DISTRIBUTION: "overview",
    Type.QUEUE: "infrastructure",
}
_LONGEST = 200  # characters of a name or a label, in a message


def figure(value: float | None, unit: str) -> str:
    """Return *value* as people read it, such as ``99.93 %`` or ``12,400 ms``."""
    if value is None or not math.isfinite(value):
        return "no data"
    shown = f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    return plain(f"{shown} {unit}")


def moment(at_s: float) -> str:
    """Return a moment in UTC, to the second."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def date(at_s: float) -> str:
    """Return the day of a moment in UTC."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d")


def lasting(seconds: float) -> str:
    """Return how long something takes or took, in its two largest units at most."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min" + (f" {rest} s" if rest and minutes < 10 else "")
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{hours // 24} d"


def plain(text: str, most: int = _LONGEST) -> str:
    """Return *text* on one line, without what steers terminals or readers; too long a one is cut."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def where(alert: Alert) -> str:
    """Return the labels of an alert, such as ``eu`` or ``eu, interactive``."""
    return plain(", ".join(alert.labels.values()))


def subject(alert: Alert) -> str:
    """Return which alert it is, such as ``response_time_high in eu``."""
    place = where(alert)
    return f"{plain(alert.rule)} in {place}" if place else plain(alert.rule)


def title(notice: Notice) -> str:
    """Return a notice in a line, such as ``Firing: critical error_rate_critical: 4.1 %, above 1 %``."""
    head = HEADS[notice.kind]
    if notice.kind == "digest" or not notice.alerts:
        return f"{head}: {plain(notice.said)}" if notice.said else head
    first = notice.alerts[0]
    if len(notice.alerts) > 1:
        rules = sorted({alert.rule for alert in notice.alerts})
        named = plain(", ".join(rules[:3])) + (f" and {len(rules) - 3} more" if len(rules) > 3 else "")
        return f"{head}: {len(notice.alerts)} alerts, {notice.level}: {named}"
    if notice.kind == "resolved":
        lasted = lasting((first.resolved_s or notice.at_s) - first.since_s)
        return f"{head}: {first.level} {subject(first)}, after {lasted}"
    return f"{head}: {first.level} {subject(first)}: {measured(first)}"


def measured(alert: Alert) -> str:
    """Return what was found and what is allowed, such as ``231 ms, above 200 ms``."""
    if alert.cause == "absence":
        return "not measured any more"
    return f"{figure(alert.value, alert.unit)}, {alert.comparison} {figure(alert.threshold, alert.unit)}"


def facts(alert: Alert) -> list[tuple[str, str]]:
    """Return what there is to know of *alert*, as names and values."""
    found = [
        ("Value", figure(alert.value, alert.unit)),
        ("Threshold", f"{alert.comparison} {figure(alert.threshold, alert.unit)}"),
        ("Figure", f"{alert.how} of {plain(alert.collection)} over {lasting(alert.window_s)}"),
        ("Since", moment(alert.since_s)),
    ]
    found += [(plain(name).capitalize(), plain(value)) for name, value in sorted(alert.labels.items())]
    if alert.resolved_s is not None:
        found.append(
            ("Resolved", f"{moment(alert.resolved_s)}, after {lasting(alert.resolved_s - alert.since_s)}")
        )
    elif alert.acknowledged_s is not None:
        by = f" by {plain(alert.acknowledged_by)}" if alert.acknowledged_by else ""
        found.append(("Acknowledged", f"{moment(alert.acknowledged_s)}{by}"))
    if alert.escalations:
        found.append(("Escalated", f"{alert.escalations} times" if alert.escalations > 1 else "once"))
    if alert.along:
        found.append(("Along with", plain(", ".join(alert.along))))
    return found


def dashboard_of(alert: Alert) -> str:
    """Return the name of the dashboard that shows most of what *alert* is about."""
    collection = COLLECTIONS.get(alert.collection)
    return "overview" if collection is None else _DASHBOARDS[collection.type]
