"""Dashboards from a history of a test's own, and open alerts of its choice."""

from collections.abc import Sequence

from workers.monitoring.alerts.alert import Alert
from workers.monitoring.alerts.rules import load_rules
from workers.monitoring.dashboards.building import Sources, build
from workers.monitoring.dashboards.definitions import DASHBOARDS
from workers.monitoring.dashboards.model import Dashboard
from workers.monitoring.dashboards.thresholds import Limits
from workers.monitoring.history import HOUR_S, History

NOW_S = 1_795_400_020.0  # forty seconds into a minute
LIMITS = Limits(load_rules().values())


class TheseAlerts:
    """Open alerts, judged *age_s* before NOW_S; None: never."""

    def __init__(self, alerts: Sequence[Alert] = (), age_s: float | None = 2.0) -> None:
        self._alerts, self._age_s = alerts, age_s

    def open_alerts(self) -> list[Alert]:
        """Return them."""
        return list(self._alerts)

    def evaluated_s(self) -> float | None:
        """Return when."""
        return None if self._age_s is None else NOW_S - self._age_s


def alert(**changes: object) -> Alert:
    """Return an alert that has been firing for ten minutes, with *changes*."""
    given: dict[str, object] = {
        "id": "a1",
        "rule": "response_time_critical",
        "level": "critical",
        "labels": {"region": "eu"},
        "collection": "response_time",
        "how": "p95",
        "value": 312.0,
        "unit": "ms",
        "comparison": "above",
        "threshold": 200.0,
        "window_s": 300,
        "said": "p95 of response time in eu is 312 ms, above 200 ms.",
        "since_s": NOW_S - 600,
        "fired_s": NOW_S - 480,
        "seen_s": NOW_S - 2,
    }
    return Alert(**{**given, **changes})  # type: ignore[arg-type]  # the fields above


def board(
    history: History, name: str = "overview", window_s: int = HOUR_S, alerts: TheseAlerts | None = None
) -> Dashboard:
    """Return the dashboard *name* of *history* at NOW_S."""
    sources = Sources(history, LIMITS, TheseAlerts() if alerts is None else alerts)
    return build(DASHBOARDS[name], sources, NOW_S, window_s)
