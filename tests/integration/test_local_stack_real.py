"""The embedded stack as it ships: real Valkey, real Celery workers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

import celeryconfig
from infra.local.process import State
from infra.local.stack import LocalStack, ProcessInfo
from infra.local.state import find_running
from producers import PersonaClient, PersonaRequest
from tests.support.processes import left_of
from tests.support.stack import client_settings_for, start_stack
from tests.support.wait import wait_until

KEY = "calm-medium-learning"
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
        return {name for reply in app.control.ping(timeout=3.0, limit=len(BOTH)) for name in reply}


def test_workers_are_ready_when_the_stack_says_so(stack: LocalStack) -> None:
    wait_until(lambda: answering(stack.urls.broker_url) == BOTH, 30)  # it consumes; a ping may be too early

    workers = [row for row in stack.processes() if row.name.startswith("worker")]
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
    wait_until(lambda: answering(stack.urls.broker_url) == BOTH, 60)

    assert [row.pid for row in stack.processes()[1:]] == [row.pid for row in workers]


def kill(stack: LocalStack, name: str) -> None:
    """Kill a process of *stack* and wait until another one is in its place."""

    def row() -> ProcessInfo:
        return next(row for row in stack.processes() if row.name == name)

    before = row()
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: row().restarts == before.restarts + 1 and row().state is State.READY, 30)


def test_jobs_are_answered_while_the_cache_server_is_down_and_cached_when_it_is_back(
    stack: LocalStack,
) -> None:
    """SIGSTOP first: a server that hangs costs its timeout, not an answer."""
    cache = next(row.pid for row in stack.processes() if row.name == "cache")
    assert cache is not None
    with PersonaClient(client_settings_for(stack)) as client:
        assert client.process("before", KEY).content
        os.kill(cache, signal.SIGSTOP)
        try:
            assert client.process("while it hangs", KEY).content
        finally:
            os.kill(cache, signal.SIGCONT)
        kill(stack, "cache")
        assert client.process("right after its death", KEY).content

        wait_until(lambda: client.submit(PersonaRequest("asked again", KEY)).outcome().cached, 20)


def test_a_killed_worker_is_replaced(stack: LocalStack) -> None:
    kill(stack, "worker1")

    assert answering(stack.urls.broker_url) == BOTH


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_killed_supervisor_leaves_no_worker_and_can_be_started_again(tmp_path: Path, pool: str) -> None:
    state_dir = tmp_path / ".ion"
    ours = {"ION_STATE_DIR": str(state_dir), "ION_WORKERS": "2", "ION_WORKER_POOL": pool}
    environment = {**os.environ, **ours}
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
