"""A fleet by the clock of a test: measured, collected and judged in a real database, and easily spoilt."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.measured import pack
from workers.monitoring import metrics
from workers.monitoring.alerts.alert import Alert, Notice
from workers.monitoring.alerts.evaluation import AlertEvaluator
from workers.monitoring.alerts.rule import Rules
from workers.monitoring.alerts.rules import load_rules
from workers.monitoring.collecting.intake import read
from workers.monitoring.history import Reader
from workers.monitoring.notices.notifier import ChannelNotifier
from workers.monitoring.recorder import MemoryRecorder
from workers.store.alerts import AlertStore
from workers.store.engine import Store
from workers.store.metric_history import SqlHistory
from workers.store.metric_store import MetricStore
from workers.store.outbox import SqlOutbox

START_S = 1_800_000_000.0
STEP_S = 20
CHANNELS = ("pagerduty", "slack", "email", "sentry")


@dataclass(frozen=True)
class Health:
    """How the fleet is: figures of twenty seconds."""

    jobs: int = 100
    errors: int = 0
    response_ms: float = 12.0
    hit_rate: float = 0.9
    workers: Mapping[str, float] = field(default_factory=lambda: {"w1": 1.0, "w2": 1.0})
    waiting: int = 0
    oldest_s: float = 0.0
    dead: int = 0
    cpu: float | None = 40.0
    lag_ms: float = 3.0
    bulk_ms: float | None = None  # nobody waits for it


WELL = Health()


class Listening:
    """A channel that keeps what it is sent."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def send(self, notice: Notice) -> None:
        self.notices.append(notice)


class PlantedFleet:
    """Everything between a recorder and a channel, in *store*; time passes by ``live`` only."""

    def __init__(self, store: Store, rules: Rules | None = None) -> None:
        self.now_s = START_S
        self.channels = {name: Listening() for name in CHANNELS}
        self.alerts = AlertStore(store)
        self._recorder = MemoryRecorder("eu", "planted", lambda: self.now_s)
        self._kept = MetricStore(store)
        notifier = ChannelNotifier(SqlOutbox(store), self.channels, now_s=lambda: self.now_s)
        self.evaluator = AlertEvaluator(
            load_rules() if rules is None else rules,
            Reader(SqlHistory(store)),
            self.alerts,
            notifier,
            lambda: self.now_s,
        )

    def live(self, minutes: float, health: Health | None = WELL, *, judged: bool = True) -> None:
        """Let time pass, in steps of twenty seconds; None: nothing measures anything."""
        for _ in range(round(minutes * 3)):
            self.now_s += STEP_S
            if health is not None:
                self._measure(health)
                self._kept.add([read(pack(self._recorder.take()), self.now_s)], self.now_s)
            if judged:
                self.evaluator.evaluate()

    def told(self, channel: str = "sentry") -> list[tuple[str, str]]:
        """Return what kind of notice told of which rule on *channel*, in order."""
        return [
            (notice.kind, alert.rule) for notice in self.channels[channel].notices for alert in notice.alerts
        ]

    def open(self) -> dict[str, Alert]:
        """Return the alerts that go on, by their rules."""
        return {alert.rule: alert for alert in self.alerts.open_alerts()}

    def _measure(self, health: Health) -> None:
        recorder, place = self._recorder, ("process",)
        count: Callable[..., Any] = recorder.count
        measure: Callable[..., Any] = recorder.measure
        if health.jobs:
            hits = round(health.jobs * health.hit_rate)
            count(metrics.REQUESTS, health.jobs, place)
            count(metrics.CACHE_HITS, hits, ("l2", "process"))
            count(metrics.CACHE_MISSES, health.jobs - hits, place)
            measure(metrics.RESPONSE_TIME, health.response_ms, health.jobs, place)
        if health.bulk_ms is not None:
            measure(metrics.RESPONSE_TIME, health.bulk_ms, 500, ("bulk_process",))
        if health.errors:
            count(metrics.ERRORS, health.errors, place)
        if health.dead:
            count(metrics.DEAD_LETTERS, health.dead, ("internal",))
        for host, there in health.workers.items():
            measure(metrics.WORKER_UP, there, 1, (host,))
        measure(metrics.QUEUE_DEPTH, health.waiting, 1, ("interactive",))
        measure(metrics.QUEUE_AGE, health.oldest_s, 1, ("interactive",))
        measure(metrics.DB_LAG, health.lag_ms)
        measure(metrics.MEMORY, 50.0)
        if health.cpu is not None:
            measure(metrics.CPU, health.cpu)
        count(metrics.REPORTS)
