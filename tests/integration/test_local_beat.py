"""Celery beat in the embedded stack: it sends what is due, to the right queue, and comes back."""

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

import celeryconfig
from infra.local.process import State
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack, ProcessInfo
from tests.support.beats import Inbox, Tick
from tests.support.processes import left_of
from tests.support.stack import fake_worker_command
from tests.support.wait import wait_until
from workers.contract import names
from workers.contract.periodic import read_table

MAX_BEAT_BYTES = 100_000_000
ENTRIES = {entry.name: entry for entry in read_table(celeryconfig.beat_schedule)}
HOUR_MS = 3_600_000
LONG_S = 30


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    """A stack with beat, whose worker leaves the queues alone, an hour after its last stop."""
    with stack_of(tmp_path, beat=False) as earlier, redis.Redis.from_url(earlier.urls.reply_url) as server:
        then_ms = int(time.time() * 1000) - HOUR_MS
        for entry in ENTRIES.values():
            server.hset(names.BEAT_SLOTS, entry.name, f"{then_ms} {then_ms}")
    with stack_of(tmp_path, beat=True) as started:
        yield started
    assert left_of(started.settings.state_dir) == []


@pytest.fixture
def inbox(stack: LocalStack) -> Iterator[Inbox]:
    with Inbox(stack.urls.broker_url) as opened:
        yield opened


def stack_of(tmp_path: Path, *, beat: bool) -> LocalStack:
    settings = LocalSettings(
        state_dir=tmp_path / "ion", broker_url=None, reply_url=None, cache=False, workers=1, beat=beat
    )
    return LocalStack(settings, worker_command=fake_worker_command)


def beat(stack: LocalStack) -> ProcessInfo:
    return next(row for row in stack.processes() if row.name == "beat")


def warmings(inbox: Inbox) -> list[Tick]:
    return [tick for tick in inbox.read() if tick.entry == names.CACHE_WARM]


def test_an_hour_that_was_missed_is_one_tick_and_void_before_the_next_is_due(inbox: Inbox) -> None:
    """60 and 120 slots were missed.  One waits for its next slot where this one is half over."""
    wait_until(lambda: warmings(inbox), 20)
    now = datetime.now(UTC)

    ticks = inbox.read()
    assert {tick.entry for tick in ticks} <= ENTRIES.keys()
    for tick in ticks:
        entry = ENTRIES[tick.entry]
        if entry.period_s < LONG_S:
            continue  # its ticks may be void before they are read here
        assert now.timestamp() * 1000 - (tick.slot + 1) * entry.period_ms < entry.period_ms, "not long ago"
        life = datetime.fromisoformat(tick.headers["expires"]) - now
        assert timedelta() < life < timedelta(seconds=entry.period_s)
        assert tick.headers["ignore_result"] is True


def test_a_beat_that_ended_comes_back_and_repeats_nothing(stack: LocalStack, inbox: Inbox) -> None:
    wait_until(lambda: warmings(inbox), 20)
    before = beat(stack)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGTERM)

    wait_until(lambda: beat(stack).restarts == 1 and beat(stack).state is State.READY, 60)

    ticks = [(tick.entry, tick.slot) for tick in inbox.read()]
    assert len(ticks) == len(set(ticks))
    assert beat(stack).pid != before.pid


def test_beat_stays_small(stack: LocalStack) -> None:
    assert beat(stack).state is State.READY
    assert 0 < (beat(stack).rss_bytes or 0) < MAX_BEAT_BYTES
