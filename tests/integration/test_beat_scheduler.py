"""Beat's looks, one at a time: slots of an hour, so that one test lies in one slot (or a few in two)."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

import celeryconfig
from tests.support.beats import Inbox, Tick, urls_of
from tests.support.valkey import Server, server
from workers.app import create_app
from workers.beat.scheduler import LeasedScheduler
from workers.contract import names
from workers.contract.periodic import Periodic, read_table, table
from workers.settings import WorkerSettings

HOURLY = Periodic("report", "a.report", 3_600, missed="once")


@pytest.fixture
def store() -> Iterator[Server]:
    with server() as started:
        yield started


@pytest.fixture
def inbox(store: Server) -> Iterator[Inbox]:
    with Inbox(urls_of(store).broker_url) as opened:
        yield opened


class Schedulers:
    """Beats without their loops."""

    def __init__(self, store: Server) -> None:
        urls = urls_of(store)
        self.url = urls.reply_url
        self.app = Celery("beats", set_as_current=False)
        self.app.config_from_object(celeryconfig)
        self.app.conf.update(
            {**celeryconfig.broker_settings(urls.broker_url), "beat_schedule": table(HOURLY)}
        )
        self._made = list[LeasedScheduler]()

    def new(self, **given: Any) -> LeasedScheduler:
        self._made.append(LeasedScheduler(app=self.app, url=self.url, **given))
        return self._made[-1]

    def close(self) -> None:
        for scheduler in self._made:
            scheduler.close()
        self.app.close()


@pytest.fixture
def beats(store: Server) -> Iterator[Schedulers]:
    made = Schedulers(store)
    yield made
    made.close()


def assert_sent_once(ticks: list[Tick]) -> None:
    assert len(ticks) >= 1
    assert len({tick.slot for tick in ticks}) == len(ticks)


def test_who_leads_sends_what_is_due_and_sleeps_until_its_next_look(beats: Schedulers, inbox: Inbox) -> None:
    leader, other = beats.new(), beats.new()

    sleeps_s = [scheduler.tick() for scheduler in (leader, other, leader, other)]

    assert_sent_once(inbox.read())
    assert all(0 < sleep_s <= celeryconfig.beat_max_loop_interval for sleep_s in sleeps_s)


def test_who_stood_by_remembers_what_was_sent_when_the_server_forgets(
    beats: Schedulers, inbox: Inbox, store: Server
) -> None:
    leader, other = beats.new(), beats.new()
    leader.tick()
    other.tick()
    inbox.read()
    store.client.flushall()

    other.tick()
    leader.tick()

    assert_sent_once(inbox.read())


def test_the_next_leader_knows_the_slots_of_the_one_before(beats: Schedulers, inbox: Inbox) -> None:
    first = beats.new()
    first.tick()
    first.close()

    beats.new().tick()

    assert_sent_once(inbox.read())


def test_who_was_stopped_between_the_claim_and_the_message_sends_none(
    beats: Schedulers, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Its clock: the look at 0 s, trusted at 1 s twice, the claim, and then it is 30 s later."""
    stopped = beats.new()
    clock = iter([0.0, 1.0, 1.0, 30.0]).__next__
    stopped._lease._monotonic = clock

    with caplog.at_level(logging.WARNING, "workers.beat"):
        stopped.tick()

    assert inbox.read() == []
    assert "of report has no tick: the lead ended meanwhile" in caplog.text


def test_nothing_is_sent_before_a_clock_that_went_back_has_passed_the_last_slot(
    beats: Schedulers, inbox: Inbox, store: Server
) -> None:
    slot = int(store.client.time()[0]) // HOURLY.period_s + 2
    store.client.hset(names.BEAT_SLOTS, HOURLY.name, f"{slot * HOURLY.period_ms} 0")

    beats.new().tick()

    assert inbox.read() == []


def test_a_beat_is_ready_when_it_knows_who_leads_and_not_after_its_end(
    beats: Schedulers, store: Server, tmp_path: Path
) -> None:
    ready_file = tmp_path / "run" / "beat.ready"
    beat = beats.new(ready_file=ready_file)
    store.kill()
    beat.tick()
    assert not ready_file.exists()

    store.start()
    beat.tick()
    assert ready_file.exists()

    beat.close()
    beat.close()
    assert not ready_file.exists()
    assert store.client.get(names.BEAT_LEAD) is None, "given up"


def test_every_entry_names_a_task_that_workers_have(store: Server) -> None:
    app = create_app(WorkerSettings.model_validate({"broker_url": urls_of(store).broker_url}))
    try:
        assert {entry.task for entry in read_table(app.conf.beat_schedule)} <= set(app.tasks)
    finally:
        app.close()
