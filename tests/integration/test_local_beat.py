"""Celery beat in the embedded stack: it sends what is due, to the right queue, and comes back."""

import json
import os
import shelve
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import celery
import pytest
import redis
from celery.beat import ScheduleEntry

import celeryconfig
from infra.local.process import State
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack, ProcessInfo
from tests.support.processes import left_of
from tests.support.stack import fake_worker_command
from tests.support.wait import wait_until
from workers.contract import names

QUEUE = f"{names.KEY_PREFIX}{names.MAINTENANCE}"
MAX_BEAT_BYTES = 100_000_000


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    """A stack with beat, whose worker leaves the queues alone, an hour after its last stop."""
    settings = LocalSettings(
        state_dir=tmp_path / "ion", broker_url=None, reply_url=None, cache=False, workers=1, beat=True
    )
    run_dir = settings.state_dir / "run"
    run_dir.mkdir(parents=True)
    _note_last_run(run_dir / "beat-schedule", datetime.now(UTC) - timedelta(hours=1))
    with LocalStack(settings, worker_command=fake_worker_command) as started:
        yield started
    assert left_of(settings.state_dir) == []


def beat(stack: LocalStack) -> ProcessInfo:
    return next(row for row in stack.processes() if row.name == "beat")


def test_what_is_due_is_sent_once_and_expires_before_it_is_due_again(stack: LocalStack) -> None:
    """An hour was missed: 60 and 120 times due, and still sent once each."""
    with redis.Redis.from_url(stack.urls.reply_url) as server:
        wait_until(lambda: server.llen(QUEUE) == len(celeryconfig.beat_schedule))
        now = datetime.now(UTC)
        headers = [json.loads(message)["headers"] for message in server.lrange(QUEUE, 0, -1)]

    assert {header["task"] for header in headers} == {names.CACHE_WARM, names.CACHE_PREFETCH}
    for header in headers:
        period_s = celeryconfig.beat_schedule[header["task"]]["schedule"]
        assert isinstance(period_s, int)
        assert timedelta() < datetime.fromisoformat(header["expires"]) - now < timedelta(seconds=period_s)
        assert header["ignore_result"] is True


def test_a_killed_beat_comes_back_and_does_not_repeat_itself(stack: LocalStack) -> None:
    with redis.Redis.from_url(stack.urls.reply_url) as server:
        wait_until(lambda: server.llen(QUEUE) == len(celeryconfig.beat_schedule))
        before = beat(stack)
        assert before.pid is not None
        os.kill(before.pid, signal.SIGTERM)  # it notes what it has sent

        wait_until(lambda: beat(stack).restarts == 1 and beat(stack).state is State.READY, 20)

        assert server.llen(QUEUE) == len(celeryconfig.beat_schedule)
    assert beat(stack).pid != before.pid


def test_beat_stays_small(stack: LocalStack) -> None:
    assert beat(stack).state is State.READY
    assert 0 < (beat(stack).rss_bytes or 0) < MAX_BEAT_BYTES


def _note_last_run(schedule: Path, last_run_at: datetime) -> None:
    """Leave the file of a beat that stopped at *last_run_at*."""
    app = celery.Celery("earlier", set_as_current=False)
    app.config_from_object(celeryconfig)
    with shelve.open(str(schedule)) as file:  # noqa: S301 - our own bytes
        file["entries"] = {
            name: ScheduleEntry(
                name=name, task=entry["task"], schedule=entry["schedule"], last_run_at=last_run_at, app=app
            )
            for name, entry in celeryconfig.beat_schedule.items()
        }
        file["__version__"], file["tz"], file["utc_enabled"] = celery.__version__, "UTC", True
