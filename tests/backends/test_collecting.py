"""From processes into the database: nothing is lost, nothing is counted twice, whatever happens on the way.

A real Valkey, and a real SQLite file; PostgreSQL has the same store's tests (test_store_metrics.py).
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from tests.support.measured import pack, report_of
from tests.support.valkey import Server
from workers.contract import names
from workers.monitoring.collecting import inbox as inboxes
from workers.monitoring.collecting.collector import Collector
from workers.monitoring.collecting.inbox import ReportInbox, Taken, users_in
from workers.monitoring.collecting.intake import Measured
from workers.monitoring.metrics import REQUESTS
from workers.monitoring.recorder import MemoryRecorder, Report
from workers.store.engine import open_store
from workers.store.errors import StoreUnavailable
from workers.store.metric_history import SqlHistory
from workers.store.metric_store import Added, MetricStore

PROCESS = ("process",)


class Killed(BaseException):
    """Ends a collector at once, as SIGKILL would."""


class Fleet:
    """An inbox, a database, and collectors between them."""

    def __init__(self, server: Server, file: Path) -> None:
        server.client.flushall()
        self.client, self.inbox = server.client, ReportInbox(server.client)
        self.store = open_store(f"sqlite:///{file}", patience_s=0.1)
        self.metrics, self.history = MetricStore(self.store), SqlHistory(self.store)
        self.recorder = MemoryRecorder("local", "collector", lambda: 0.0)
        self.bugs: list[str] = []

    @property
    def now_s(self) -> float:
        seconds, micros = self.client.time()
        return int(seconds) + int(micros) / 1e6

    def push(self, *jobs: float) -> None:
        """Have as many processes report of *jobs* that ended just now."""
        for count in jobs:
            self.inbox.push(report_of(REQUESTS, count, labels=PROCESS, at_s=self.now_s))

    def collector(self, inbox: ReportInbox | None = None, metrics: MetricStore | None = None) -> Collector:
        def report(doing: str, error: BaseException) -> None:
            self.bugs.append(f"{doing}: {type(error).__name__}")

        return Collector(inbox or self.inbox, metrics or self.metrics, self.recorder, report)

    def total(self) -> float:
        """Return how many jobs the database knows of."""
        return sum(total.sample.total for total in self.history.totals())

    def counted(self) -> Counter[str]:
        """Return what the collectors have counted since the last time."""
        cells = self.recorder.take().cells
        return Counter({"/".join((cell.metric, *cell.labels)): int(cell.total) for cell in cells})


@pytest.fixture
def fleet(valkey: Server, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(valkey, tmp_path / "ion.db")
    yield made
    made.store.close()


def test_reports_are_collected_once(fleet: Fleet) -> None:
    fleet.push(1, 2, 3)
    collector = fleet.collector()
    assert abs(collector.collect() - fleet.now_s) < 60
    assert fleet.total() == 6
    collector.collect()
    assert fleet.total() == 6
    assert fleet.counted() == {"monitoring_reports": 3}


def test_a_report_that_was_pushed_twice_counts_once(fleet: Fleet) -> None:
    """Whoever hears nothing of its push pushes again."""
    report = report_of(REQUESTS, 5, labels=PROCESS, at_s=fleet.now_s)
    for _ in range(3):
        fleet.inbox.push(report)
        fleet.collector().collect()
    assert fleet.total() == 5


def test_more_than_a_handful_at_a_time(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inboxes, "MOST_TAKEN", 3)
    fleet.push(*[1] * 10)
    fleet.collector().collect()
    assert fleet.total() == 10
    assert not fleet.client.exists(names.REPORTS_KEY, names.REPORTS_TAKEN_KEY)


# -- dying, and meeting each other -------------------------------------------------------------------


class FragileInbox(ReportInbox):
    """Dies at the *fatal*-th step, before or after its effect."""

    def __init__(self, client: "redis.Redis", fatal: int) -> None:
        super().__init__(client)
        self._left = fatal

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed

    def take(self) -> Taken:
        self.step()
        taken = super().take()
        self.step()
        return taken

    def delete(self, taken: Taken) -> None:
        self.step()
        super().delete(taken)
        self.step()


class FragileStore(MetricStore):
    """Dies with its inbox."""

    step: Callable[[], None]

    def add(self, measured: Sequence[Measured], now_s: float) -> Added:
        self.step()
        added = super().add(measured, now_s)
        self.step()
        return added


@pytest.mark.parametrize("fatal", range(1, 9))
def test_a_collector_may_die_at_any_step(fleet: Fleet, fatal: int) -> None:
    """The next one brings in what is left; what came meanwhile comes, too."""
    fleet.push(1, 2, 3)
    inbox, metrics = FragileInbox(fleet.client, fatal), FragileStore(fleet.store)
    metrics.step = inbox.step
    survivors = fleet.collector(inbox, metrics)
    try:
        survivors.collect()
    except Killed:
        assert fatal <= 6
    fleet.push(10)
    fleet.collector().collect()
    assert fleet.total() == 16
    assert not fleet.client.exists(names.REPORTS_KEY, names.REPORTS_TAKEN_KEY)


def test_a_collector_that_slept_deletes_nothing_of_another_one(fleet: Fleet) -> None:
    fleet.push(1)
    before = fleet.inbox.take()
    fleet.collector().collect()
    fleet.push(2)
    present = fleet.inbox.take()
    fleet.inbox.delete(before)
    assert fleet.inbox.take().reports == present.reports
    fleet.collector().collect()
    assert fleet.total() == 3


def test_many_collectors_at_once_are_as_good_as_one(fleet: Fleet) -> None:
    fleet.push(*[1] * 40)
    patient = open_store(f"sqlite:///{fleet.store.file}", patience_s=60)
    with ThreadPoolExecutor(6) as threads, patient:
        metrics = MetricStore(patient)
        tries = [threads.submit(fleet.collector(metrics=metrics).collect) for _ in range(18)]
        for count in range(20):
            fleet.push(count)
        for one in tries:
            one.result()
        fleet.collector(metrics=metrics).collect()
    assert fleet.total() == 40 + sum(range(20))


# -- trouble ----------------------------------------------------------------------------------------


def test_reports_wait_while_the_database_is_locked(fleet: Fleet) -> None:
    fleet.push(1)
    fleet.collector().collect()
    holder = sqlite3.connect(str(fleet.store.file), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    fleet.push(2)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            fleet.collector().collect()
    holder.close()
    assert fleet.total() == 1
    fleet.collector().collect()
    assert fleet.total() == 3


def test_what_cannot_be_believed_is_counted_and_keeps_nothing_back(fleet: Fleet) -> None:
    for rubbish in (b"\xc1", b"", pack({"v": 9}), pack(report_of(REQUESTS, 1, labels=PROCESS, at_s=5.0))):
        fleet.client.rpush(names.REPORTS_KEY, rubbish)
    fleet.push(4)
    fleet.collector().collect()
    assert fleet.total() == 4
    assert fleet.counted() == {
        "monitoring_reports": 5,
        "monitoring_discarded/corrupt": 2,
        "monitoring_discarded/version": 1,
        "monitoring_discarded/clock": 1,
    }


class PoisonedStore(MetricStore):
    """Fails, for a reason that nobody has thought of, with reports of seven."""

    def add(self, measured: Sequence[Measured], now_s: float) -> Added:
        if any(sample.total == 7 for one in measured for _, sample in one.samples):
            raise ArithmeticError
        return super().add(measured, now_s)


def test_one_that_cannot_be_added_keeps_back_no_others(fleet: Fleet) -> None:
    fleet.push(1, 7, 2)
    fleet.collector(metrics=PoisonedStore(fleet.store)).collect()
    assert fleet.total() == 3
    assert fleet.bugs == ["taking in a report: ArithmeticError"]
    assert fleet.counted() == {"monitoring_reports": 2, "monitoring_discarded/corrupt": 1}


def test_when_too_many_wait_the_oldest_go_and_are_counted(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "MOST_REPORTS", 3)
    fleet.collector().collect()
    fleet.push(1, 2, 4, 8, 16)
    fleet.collector().collect()
    assert fleet.total() == 4 + 8 + 16
    assert fleet.counted() == {"monitoring_reports": 3, "monitoring_discarded/overflow": 2}


def test_few_wait_where_nobody_ever_collects(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a database there is no collector, and what is measured must not fill the server."""
    monkeypatch.setattr(inboxes, "MOST_UNCOLLECTED", 2)
    fleet.push(1, 2, 4)
    assert fleet.client.llen(names.REPORTS_KEY) == 2


def test_a_server_that_is_full_still_lets_reports_be_collected(fleet: Fleet) -> None:
    fleet.push(1, 2)
    fleet.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            fleet.push(4)
        fleet.collector().collect()
    finally:
        fleet.client.config_set("maxmemory", 0)
    assert fleet.total() == 3


def test_every_key_lapses(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inboxes, "MOST_UNCOLLECTED", 2)
    with_users = report_of(REQUESTS, 1, labels=PROCESS, at_s=fleet.now_s)
    with_users.users = [b"12345678"]
    fleet.inbox.push(with_users)
    fleet.push(1, 1)
    keys = fleet.client.keys()
    assert min(fleet.client.ttl(key) for key in keys) > 0
    fleet.inbox.take()
    fleet.push(1)
    keys += fleet.client.keys()
    assert len(set(keys)) == 5
    assert min(fleet.client.ttl(key) for key in fleet.client.scan_iter()) > 0


# -- people -----------------------------------------------------------------------------------------


def seen(fleet: Fleet, minutes_ago: int, *users: int) -> None:
    at_ms = int((fleet.now_s - minutes_ago * 60) * 1000)
    digests = [user.to_bytes(8, "big") for user in users]
    fleet.inbox.push(Report(source="test", region="eu", at_ms=at_ms, cells=[], users=digests))


def test_people_are_counted_once_within_a_quarter_of_an_hour(fleet: Fleet) -> None:
    seen(fleet, 0, 1, 2, 3)
    seen(fleet, 5, 3, 4)
    seen(fleet, 5, 4)
    seen(fleet, 16, 5, 6, 7)
    assert users_in(fleet.client, fleet.now_s) == 4


def test_digests_of_people_do_not_wait_with_reports(fleet: Fleet) -> None:
    seen(fleet, 0, 0x6D696E61)
    (waits,) = fleet.client.lrange(names.REPORTS_KEY, 0, -1)
    assert b"mina" not in waits
