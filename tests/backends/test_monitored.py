"""A worker's part in monitoring, composed as in a worker: aside, from the inbox into the database."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

import celeryconfig
from tests.support.measured import report_of
from tests.support.valkey import Server
from tests.support.wait import wait_until
from workers.monitoring.collecting.inbox import ReportInbox
from workers.monitoring.metrics import REQUESTS
from workers.monitoring.recorder import MemoryRecorder
from workers.operations.monitored import Monitored, open_monitoring
from workers.runtime import NoMonitoring
from workers.settings import WorkerSettings
from workers.store.metric_history import open_history

PROCESS = ("process",)


class Worker:
    """What a worker process has of monitoring."""

    def __init__(self, server: Server, database_url: str) -> None:
        server.client.flushall()
        self.client, self.database_url = server.client, database_url
        self.bugs: list[str] = []
        self.recorder = MemoryRecorder("local", "worker", lambda: 0.0)
        url = f"{server.url}?db=0"
        settings = WorkerSettings.model_validate(
            {"broker_url": url, "reply_url": url, "database_url": database_url}
        )
        app = Celery("test", set_as_current=False)
        app.config_from_object(celeryconfig)
        app.conf.update(celeryconfig.broker_settings(url))
        self.monitoring = open_monitoring(
            settings, app, self.recorder, lambda doing, _: self.bugs.append(doing)
        )

    def push(self, jobs: float) -> None:
        """Have a process report."""
        now_s = float(self.client.time()[0])
        ReportInbox(self.client).push(report_of(REQUESTS, jobs, labels=PROCESS, at_s=now_s))

    def kept(self) -> float:
        """Return how many jobs the database knows of."""
        if not Path(self.database_url.removeprefix("sqlite:///")).exists():
            return 0
        with open_history(self.database_url) as history:
            return sum(total.sample.total for total in history.totals() if total.series.metric == "requests")

    def measured(self) -> set[str]:
        """Return the names of what was measured since the last time."""
        return {cell.metric for cell in self.recorder.take().cells}


@pytest.fixture
def worker(valkey: Server, tmp_path: Path) -> Iterator[Worker]:
    made = Worker(valkey, f"sqlite:///{tmp_path / 'ion.db'}")
    yield made
    made.monitoring.close()


def test_ticks_bring_reports_into_the_database_and_look_at_the_fleet(worker: Worker) -> None:
    worker.push(3)
    worker.monitoring.collect()
    wait_until(lambda: worker.kept() == 3)
    worker.push(4)

    def again() -> bool:
        worker.monitoring.collect()
        return worker.kept() == 7

    wait_until(again)
    for work in (worker.monitoring.evaluate, worker.monitoring.tidy, worker.monitoring.digest):
        work()
    worker.monitoring.close()
    assert worker.bugs == []
    assert worker.measured() >= {"monitoring_reports", "queue_depth", "instance_count", "database_query_time"}


def test_an_outage_is_told_once_and_so_is_its_end(
    worker: Worker, valkey: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Here of the reply store; one of the database looks the same from here."""
    worker.push(3)
    valkey.client.config_set("requirepass", "changed")
    try:
        for _ in range(3):
            _collect(worker)
    finally:
        valkey.client.execute_command("AUTH", "changed")
        valkey.client.config_set("requirepass", "")
    _collect(worker)
    told = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == [
        "collecting what was measured fails: AuthenticationError; trying again by and by",
        "collecting what was measured works again",
    ]
    assert worker.kept() == 3
    assert worker.bugs == []


def test_a_database_url_that_cannot_be_used_is_told_once(
    valkey: Server, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(valkey, "mysql://secret@host/ion")
    for _ in range(3):
        _collect(worker)
    worker.monitoring.close()
    assert [record.message for record in caplog.records] == [
        "collecting what was measured fails: UnusableUrl; trying again by and by"
    ]


def test_without_a_database_nothing_is_kept(valkey: Server) -> None:
    assert isinstance(Worker(valkey, "").monitoring, NoMonitoring)


def test_what_was_never_asked_for_is_never_opened(worker: Worker) -> None:
    worker.monitoring.close()
    worker.monitoring.collect()
    worker.monitoring.close()
    assert worker.kept() == 0
    assert not Path(worker.database_url.removeprefix("sqlite:///")).exists()


def _collect(worker: Worker) -> None:
    """Have one tick do its work."""
    monitoring = worker.monitoring
    assert isinstance(monitoring, Monitored)
    monitoring.collect()
    wait_until(lambda: not any(thread.is_alive() for thread in monitoring._aside._threads.values()))
