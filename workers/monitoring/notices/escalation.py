"""When a critical alert that nobody takes on is told again.

Units:   seconds since the Unix epoch.
Errors:  none.
"""

from collections.abc import Sequence

from workers.monitoring.alerts.alert import Alert

AFTER_S = 30 * 60  # unacknowledged for so long; and again after as long
MOST = 4  # times: two hours; whoever has not come by then will not come for a fifth


def overdue(alerts: Sequence[Alert], now_s: float) -> tuple[Alert, ...]:
    """Return those of *alerts* that are to be told again."""
    return tuple(alert for alert in alerts if _is_overdue(alert, now_s))


def _is_overdue(alert: Alert, now_s: float) -> bool:
    if alert.level != "critical" or alert.state != "firing" or alert.told_s is None:
        return False
    if alert.silenced_by is not None or alert.inhibited_by is not None or alert.escalations >= MOST:
        return False
    told_s = alert.told_s if alert.escalated_s is None else max(alert.told_s, alert.escalated_s)
    return now_s - told_s >= AFTER_S
