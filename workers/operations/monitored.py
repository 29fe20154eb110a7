"""The composition of a worker's part in monitoring: what the periodic tasks of monitoring do.

None of it is done in the pool that answers people: each task starts a thread of its own for its work, one of
each kind at a time, and returns.  So a database that hangs, or a channel that is slow, costs a tick and no
answer; and however often the ticks come, nothing piles up.

Nothing is opened before it is needed: SQLAlchemy alone is 20 MB of a worker's memory.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.contract import names
from workers.monitoring.collecting.outages import Outages
from workers.monitoring.metrics import DB_LAG, DB_QUERY_TIME
from workers.monitoring.recorder import MemoryRecorder, Recorder
from workers.observability.bugs import ReportBug
from workers.operations.aside import Aside
from workers.runtime import Monitoring, NoMonitoring
from workers.settings import WorkerSettings
from workers.store.errors import StoreError
from workers.transport.servers import open_redis

if TYPE_CHECKING:
    from workers.monitoring.collecting.collector import Collector
    from workers.monitoring.collecting.inbox import ReportInbox
    from workers.monitoring.collecting.probe_notes import ProbeNotes
    from workers.monitoring.collecting.probing import Prober
    from workers.store.engine import Store
    from workers.store.metric_history import SqlHistory
    from workers.store.metric_store import MetricStore

CLOSING_S = 3.0  # what is under way when a worker ends may take so long
_LOCKED_S = 2.0  # patience with a database that another process holds
_AWAY: tuple[type[Exception], ...] = (
    StoreError,
    redis.RedisError,
    OSError,
)  # what servers that are away raise

T = TypeVar("T")


class Evaluator(Protocol):
    """Judges the alert rules."""

    def evaluate(self) -> None:
        """Judge the rules that are due, and notify; raise StoreError when the database is away."""


class NoEvaluator:
    """There are no rules."""

    def evaluate(self) -> None:
        """Do nothing."""


class Digester(Protocol):
    """Sends the day's digest."""

    def digest(self) -> None:
        """Send it when its hour has come; raise StoreError when the database is away."""


class NoDigester:
    """Nobody wants a digest."""

    def digest(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What the parts of monitoring share in one process; *store* is closed with them."""

    settings: WorkerSettings
    store: "Store"
    history: "SqlHistory"
    recorder: Recorder
    report_bug: ReportBug
    now_s: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process that monitors works with."""

    opened: Opened
    replies: "redis.Redis"
    collector: "Collector"
    prober: "Prober"
    metrics: "MetricStore"
    evaluator: Evaluator
    digester: Digester

    def close(self) -> None:
        """Give the connections back."""
        self.replies.close()
        self.opened.store.close()


def build_evaluator(opened: Opened) -> Evaluator:
    """Return what judges the alert rules; called once in a process, in a thread of monitoring."""
    from workers.operations.alerting import open_evaluator  # noqa: PLC0415 - see open_parts

    return open_evaluator(opened.settings, opened.store, opened.history, opened.recorder, opened.now_s)


def build_digester(opened: Opened) -> Digester:
    """Return what sends the daily digest; called once in a process, in a thread of monitoring."""
    from workers.operations.alerting import open_digest  # noqa: PLC0415 - see open_parts

    return open_digest(opened.settings, opened.store, opened.history, opened.recorder, opened.now_s)


def open_monitoring(
    settings: WorkerSettings, app: Celery, recorder: Recorder, report_bug: ReportBug
) -> Monitoring:
    """Return this process's part in monitoring; none without a database, or switched off.  Opens nothing yet.

    *recorder* takes what the parts measure themselves.
    """
    if settings.database_url is None or not settings.monitoring:
        return NoMonitoring()
    return Monitored(partial(open_parts, settings, app, recorder, report_bug), recorder, report_bug)


class Monitored:
    """Does the work of the periodic tasks aside, with the parts that *open_parts* gives when first asked."""

    def __init__(self, open_parts: Callable[[], Parts], recorder: Recorder, report_bug: ReportBug) -> None:
        self._open_parts = open_parts
        self._aside, self._outages = Aside(report_bug), Outages(recorder)
        self._lock = threading.Lock()
        self._parts: Parts | None = None

    def collect(self) -> None:
        """Take in what waits, then look at the servers if it is this process's turn."""
        self._start(names.MONITORING_COLLECT, "collecting what was measured", _collect)

    def evaluate(self) -> None:
        """Judge the rules that are due, and notify."""
        self._start(names.MONITORING_EVALUATE, "judging the alert rules", _evaluate)

    def tidy(self) -> None:
        """Delete what is older than its time."""
        self._start(names.MONITORING_TIDY, "deleting old measurements", _tidy)

    def digest(self) -> None:
        """Send the day's digest when its hour has come."""
        self._start(names.MONITORING_DIGEST, "sending the digest", _digest)

    def close(self) -> None:
        """Wait for what is under way, within reason; then give the connections back."""
        if self._aside.close(CLOSING_S) and self._parts is not None:
            self._parts.close()  # else somebody uses them, until the process ends with them

    def _start(self, kind: str, doing: str, work: Callable[[Parts], None]) -> None:
        def run() -> None:
            with self._outages.bearing(doing, *_AWAY):
                work(self._ready())

        self._aside.start(kind, run)

    def _ready(self) -> Parts:
        with self._lock:
            if self._parts is None:
                self._parts = self._open_parts()
            return self._parts


def _collect(parts: Parts) -> None:
    now_s = parts.collector.collect()
    parts.prober.probe(now_s)


def _evaluate(parts: Parts) -> None:
    parts.evaluator.evaluate()


def _tidy(parts: Parts) -> None:
    seconds, _ = parts.replies.time()  # the collectors' clock
    parts.metrics.tidy(seconds)

    from workers.store.outbox import KEPT_MS, SqlOutbox  # noqa: PLC0415 - see open_parts

    SqlOutbox(parts.opened.store).delete(seconds * 1000 - KEPT_MS)


def _digest(parts: Parts) -> None:
    parts.digester.digest()


def open_parts(settings: WorkerSettings, app: Celery, recorder: Recorder, report_bug: ReportBug) -> Parts:
    """Return what this process monitors with; connects on first use."""
    # SQLAlchemy is loaded with these
    from workers.monitoring.collecting.collector import Collector  # noqa: PLC0415
    from workers.monitoring.collecting.inbox import ReportInbox  # noqa: PLC0415
    from workers.monitoring.collecting.probe_notes import ProbeNotes  # noqa: PLC0415
    from workers.monitoring.collecting.probing import Prober  # noqa: PLC0415
    from workers.operations.broker_view import broker_of  # noqa: PLC0415
    from workers.store.dead_letters import DeadLetterStore  # noqa: PLC0415
    from workers.store.engine import open_store  # noqa: PLC0415
    from workers.store.metric_history import SqlHistory  # noqa: PLC0415
    from workers.store.metric_store import MetricStore  # noqa: PLC0415

    url = settings.database_url
    assert url is not None, "open_monitoring has looked"  # noqa: S101
    store = open_store(url.get_secret_value(), _LOCKED_S)
    store.time_queries(partial(recorder.measure, DB_QUERY_TIME))
    replies = open_redis(
        settings.effective_reply_url,
        socket_timeout=settings.reply_timeout_s,
        socket_connect_timeout=settings.reply_timeout_s,
        retry=Retry(NoBackoff(), 1),  # once, for a connection that went stale; then there is the next tick
        client_name="ion-monitoring",
    )
    opened = Opened(settings, store, SqlHistory(store), recorder, report_bug)
    inbox, notes, metrics = ReportInbox(replies), ProbeNotes(replies), MetricStore(store)
    prober = Prober(
        settings.region,
        broker_of(app, settings.broker_url.get_secret_value()),
        notes,
        DeadLetterStore(store),
        recorder,
        _AWAY,
        (partial(tell_of_replicas, store, notes, inbox),),
    )
    evaluator, digester = _made(build_evaluator, opened), _made(build_digester, opened)
    return Parts(
        opened,
        replies,
        Collector(inbox, metrics, recorder, report_bug),
        prober,
        metrics,
        NoEvaluator() if evaluator is None else evaluator,
        NoDigester() if digester is None else digester,
    )


def tell_of_replicas(store: "Store", notes: "ProbeNotes", inbox: "ReportInbox", now_s: float) -> None:
    """Report how far copies of the database are behind, each as of the region that it is named after."""
    from workers.store.replicas import replication  # noqa: PLC0415 - see open_parts

    seen = replication(store)
    if seen is None:
        return
    behind_s = notes.behind_s(seen.written, [replica.replayed for replica in seen.replicas], now_s)
    for replica, late_s in zip(seen.replicas, behind_s, strict=True):
        recorder = MemoryRecorder(replica.name, f"replica {replica.name}", lambda: now_s)
        recorder.measure(DB_LAG, max(late_s * 1000, replica.replay_ms or 0.0))
        inbox.push(recorder.take())


def _made(build: Callable[[Opened], T], opened: Opened) -> T | None:
    """Return what *build* makes; None when it fails: that is told once, and the rest goes on."""
    try:
        return build(opened)
    except Exception as error:  # noqa: BLE001 - whatever it is
        opened.report_bug("beginning to monitor", error)
        return None
