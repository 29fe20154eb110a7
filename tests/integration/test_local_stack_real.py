"""The embedded stack as it ships: real Valkey, real Celery workers, Flower."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from celery import Celery

import celeryconfig
from infra.local.process import State
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from infra.local.state import find_running
from tests.support.processes import left_of
from tests.support.stack import start_stack
from tests.support.wait import wait_until

BOTH = {"worker1@ion", "worker2@ion"}
MAX_WORKER_BYTES = 120_000_000


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    started = start_stack(tmp_path)
    yield started
    started.stop()


def answering(broker_url: str) -> set[str]:
    """Return the workers that answer a ping through the broker."""
    with Celery("probe", set_as_current=False) as app:
        app.config_from_object(celeryconfig)
        app.conf.update(celeryconfig.broker_settings(broker_url))
        return {name for reply in app.control.ping(timeout=1.0) for name in reply}


def test_workers_are_ready_when_the_stack_says_so(stack: LocalStack) -> None:
    assert answering(stack.urls.broker_url) == BOTH

    workers = [row for row in stack.processes() if row.name != "valkey"]
    assert [(row.name, row.state) for row in workers] == [
        ("worker1", State.READY),
        ("worker2", State.READY),
    ]
    assert all((row.rss_bytes or 0) < MAX_WORKER_BYTES for row in workers)


def test_workers_outlive_their_server(stack: LocalStack) -> None:
    """Valkey is killed, comes back with its data, and the same two workers consume again."""
    valkey, *workers = stack.processes()
    assert valkey.pid is not None
    os.kill(valkey.pid, signal.SIGKILL)

    wait_until(lambda: stack.processes()[0].restarts == 1)
    wait_until(lambda: answering(stack.urls.broker_url) == BOTH, 30)

    assert [row.pid for row in stack.processes()[1:]] == [row.pid for row in workers]


def test_a_killed_worker_is_replaced(stack: LocalStack) -> None:
    pid = stack.processes()[1].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    wait_until(lambda: stack.processes()[1].restarts == 1 and stack.processes()[1].state is State.READY, 30)

    assert answering(stack.urls.broker_url) == BOTH


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_killed_supervisor_leaves_no_worker_and_can_be_started_again(tmp_path: Path, pool: str) -> None:
    state_dir = tmp_path / ".ion"
    environment = {**os.environ, "ION_STATE_DIR": str(state_dir), "ION_WORKERS": "2", "ION_WORKER_POOL": pool}
    for how in (signal.SIGKILL, signal.SIGTERM):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.run_stack", "real"],
            env=environment,
            stderr=subprocess.DEVNULL,
        ) as supervisor:
            try:
                wait_until(lambda: find_running(state_dir), 60, "the stack's start")
                supervisor.send_signal(how)
                supervisor.wait(10)
                wait_until(lambda: not left_of(state_dir), 10, f"the end of every process after {how.name}")
            finally:
                supervisor.kill()
    assert supervisor.returncode == 0


def test_flower_shows_the_workers_to_this_machine_only(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = LocalSettings(
        state_dir=tmp_path / "ion", broker_url=None, reply_url=None, workers=1, flower=True, flower_port=port
    )
    with LocalStack(settings) as stack:
        assert [row.name for row in stack.processes()] == ["valkey", "worker1", "flower"]
        page = f"http://127.0.0.1:{port}/workers?json=1"

        def shows_the_worker() -> bool:
            with urllib.request.urlopen(page, timeout=10) as answer:
                return b"worker1@ion" in answer.read()

        wait_until(shows_the_worker, 20)
        pid = stack.processes()[2].pid
        assert {c.laddr.ip for c in psutil.Process(pid).net_connections("tcp")} == {"127.0.0.1"}
