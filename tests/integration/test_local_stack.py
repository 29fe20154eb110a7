"""The embedded stack with the real Valkey and stand-ins for the workers."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest
import redis
from kombu import Connection
from pydantic import SecretStr

from infra.local.errors import AlreadyRunning, StartFailed
from infra.local.process import State
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from infra.local.state import find_running
from tests.support.processes import left_of
from tests.support.stack import fake_worker_command
from tests.support.wait import wait_until

GONE_S = 10.0  # after a supervisor's death nothing of it may be left for longer

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "a directory" / ".ion"  # with a blank, as in many a home


@pytest.fixture
def settings(state_dir: Path) -> LocalSettings:
    return LocalSettings(
        state_dir=state_dir,
        broker_url=None,
        reply_url=None,
        cache_url=None,
        workers=2,
        beat=False,
        start_timeout_s=20,
        stop_grace_s=3,
    )


@pytest.fixture
def supervisor(state_dir: Path) -> Iterator[Start]:
    """Start supervisors as processes of their own; at the end nothing of them may be left."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.run_stack", "fake", *words],
            env={**os.environ, **_small(state_dir), **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        wait_until(lambda: find_running(state_dir) or process.poll() is not None, 30, "the stack's start")
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    wait_until(lambda: not left_of(state_dir), GONE_S, "the end of every process")


def client(state_dir: Path) -> redis.Redis:
    running = find_running(state_dir)
    assert running is not None
    assert running.urls is not None
    return redis.Redis.from_url(running.urls.reply_url)


def test_everything_is_up_inside_the_with_block_and_gone_after_it(settings: LocalSettings) -> None:
    with LocalStack(settings, worker_command=fake_worker_command) as stack:
        rows = stack.processes()
        assert [(row.name, row.state) for row in rows] == [
            ("valkey", State.READY),
            ("cache", State.READY),
            ("worker1", State.READY),
            ("worker2", State.READY),
        ]
        assert all(row.rss_bytes and row.rss_bytes > 1_000_000 for row in rows)
        assert find_running(settings.state_dir) is not None
        assert (settings.state_dir / "run" / "worker1.ready").read_text() == stack.urls.broker_url

    assert left_of(settings.state_dir) == []
    assert find_running(settings.state_dir) is None
    assert [row.pid for row in stack.processes()] == [None] * 4


def test_both_urls_reach_the_same_server_through_its_socket_only(settings: LocalSettings) -> None:
    with LocalStack(settings, worker_command=fake_worker_command) as stack:
        with Connection(stack.urls.broker_url) as kombu, kombu.SimpleQueue("tried") as queue:
            queue.put({"n": 1})
        with redis.Redis.from_url(stack.urls.reply_url) as server:
            assert server.llen("tried") == 1
            assert server.config_get("port") == {"port": "0"}
            assert server.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        places = (settings.state_dir, settings.state_dir / "valkey.sock", settings.state_dir / "cache.sock")
        assert [oct(place.stat().st_mode & 0o777) for place in places] == ["0o700"] * 3


def test_a_deep_directory_gets_short_sockets(tmp_path: Path, settings: LocalSettings) -> None:
    deep = tmp_path / ("d" * 100) / ".ion"
    settings = settings.model_copy(update={"state_dir": deep})

    with LocalStack(settings, worker_command=fake_worker_command):
        with client(deep) as server:
            assert server.ping()
        assert not list(deep.glob("*.sock"))


def test_a_second_start_is_told_who_runs_the_first(settings: LocalSettings) -> None:
    with LocalStack(settings, worker_command=fake_worker_command):
        with pytest.raises(AlreadyRunning) as caught:
            LocalStack(settings, worker_command=fake_worker_command).start()
        assert find_running(settings.state_dir) is not None  # the first one is unharmed

    assert caught.value.pid == os.getpid()


def test_a_worker_that_cannot_start_is_quoted_and_nothing_is_left(
    settings: LocalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_WORKER", "crash")

    with pytest.raises(StartFailed, match=r"(?s)worker\d ended 3 times.*the disk is on fire"):
        LocalStack(settings, worker_command=fake_worker_command).start()

    assert left_of(settings.state_dir) == []
    monkeypatch.delenv("FAKE_WORKER")
    with LocalStack(settings, worker_command=fake_worker_command):
        pass  # and the directory can be used again


def test_external_servers_are_passed_on_and_no_valkey_starts(settings: LocalSettings, tmp_path: Path) -> None:
    with LocalStack(settings, worker_command=fake_worker_command) as server:
        other = LocalSettings(
            state_dir=tmp_path / "other",
            broker_url=SecretStr(server.urls.broker_url),
            cache_url=None,
            workers=1,
            beat=False,
        )
        with LocalStack(other, worker_command=fake_worker_command) as stack:
            assert [row.name for row in stack.processes()] == ["worker1"]
            assert stack.urls == replace(server.urls, cache_url=None, database_url=None)
            ready = (other.state_dir / "run" / "worker1.ready").read_text()
            assert ready == server.urls.broker_url
            running = find_running(other.state_dir)
            assert running is not None
            assert running.urls is None
            assert server.urls.broker_url not in (other.state_dir / "stack.json").read_text()


def test_a_killed_valkey_returns_with_its_data_though_its_file_was_cut(settings: LocalSettings) -> None:
    """After kill -9 the append-only file may end in half a command; all whole ones are there again."""
    with LocalStack(settings, worker_command=fake_worker_command) as stack:
        with client(settings.state_dir) as server:
            server.set("kept", "yes")
        pid = stack.processes()[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # so that it cannot be back before the file is cut
        (log,) = (settings.state_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
        with log.open("ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nlo")
        os.kill(pid, signal.SIGKILL)

        wait_until(lambda: stack.processes()[0].restarts == 1 and stack.processes()[0].state is State.READY)

        with client(settings.state_dir) as server:
            assert server.get("kept") == b"yes"
        assert [row.restarts for row in stack.processes()] == [1, 0, 0, 0]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stopped_supervisor_ends_in_good_order(
    supervisor: Start, state_dir: Path, how: signal.Signals
) -> None:
    process = supervisor()

    process.send_signal(how)
    _, log = process.communicate(timeout=GONE_S)

    assert process.returncode == 0
    assert left_of(state_dir) == []
    assert log.count("stopped in good order") == 2
    assert "bye bye" in log


def test_a_supervisor_that_cannot_start_says_why_and_fails(supervisor: Start) -> None:
    process = supervisor(FAKE_WORKER="crash")
    _, log = process.communicate(timeout=GONE_S)

    assert process.returncode == 1
    assert "ended 3 times while starting; its last log lines:\n  the disk is on fire" in log


def test_a_second_supervisor_names_the_first_and_fails(supervisor: Start, state_dir: Path) -> None:
    first = supervisor()
    second = supervisor()
    _, log = second.communicate(timeout=GONE_S)

    assert second.returncode == 1
    assert f"(process {first.pid})" in log.replace("\n", " ")
    assert find_running(state_dir) is not None


def test_a_stop_while_it_starts_is_obeyed(state_dir: Path) -> None:
    """SIGTERM comes when the lock is held and the processes are on their way: an orderly, empty end."""
    process = _start_unwatched(state_dir)
    wait_until(partial(_has_lock, process.pid, state_dir), 20)

    process.terminate()

    assert process.wait(GONE_S) == 0
    assert left_of(state_dir) == []


def test_frozen_and_stubborn_processes_do_not_hold_up_the_end(supervisor: Start, state_dir: Path) -> None:
    """Workers get their 1 s, Valkey its 1.5 s, the cache 0.5 s; then all are killed."""
    process = supervisor(FAKE_WORKER="stubborn", ION_STOP_GRACE_S="1")
    for line in left_of(state_dir):
        if "valkey-server" in line:
            os.kill(int(line.split()[0]), signal.SIGSTOP)

    process.terminate()
    _, log = process.communicate(timeout=GONE_S)

    assert process.returncode == 0
    assert left_of(state_dir) == []
    assert log.count("did not stop within") == 4


def test_quiet_means_trouble_only(supervisor: Start, state_dir: Path) -> None:
    """Nothing about the start, but the death of a worker is told; nothing about the stop."""
    process = supervisor("quiet")
    worker = next(int(line.split()[0]) for line in left_of(state_dir) if "fake_worker" in line)
    os.kill(worker, signal.SIGKILL)
    assert process.stderr is not None
    told = process.stderr.readline()
    process.terminate()
    rest, _ = process.stderr.read(), process.wait(GONE_S)

    assert re.fullmatch(r"ion +\| worker\d ended \(signal 9\); next attempt in 0.2 s\n", told)
    assert re.fullmatch(r"(ion +\| worker\d is ready\n)?", rest)


def test_the_table_and_the_next_steps_come_before_the_wait(supervisor: Start) -> None:
    process = supervisor()
    process.terminate()
    _, log = process.communicate(timeout=GONE_S)

    heading = next(line for line in log.splitlines() if line.startswith("process"))
    assert heading.split() == ["process", "pid", "memory", "where"]
    assert "ion process" in log
    assert log.endswith("stopped\n")


def test_a_supervisor_killed_while_it_starts_leaves_nothing(state_dir: Path) -> None:
    """Killed at several moments of its start, between the lock and the last process."""
    for moment_s in (0, 0.01, 0.02, 0.04, 0.06, 0.09, 0.13, 0.2):
        process = _start_unwatched(state_dir)
        wait_until(partial(_has_lock, process.pid, state_dir), 20)
        _let_pass(moment_s)
        process.kill()
        process.wait()
        wait_until(lambda: not left_of(state_dir), GONE_S)


def _start_unwatched(state_dir: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.run_stack", "fake"],
        env={**os.environ, **_small(state_dir)},
        stderr=subprocess.DEVNULL,
    )


def _small(state_dir: Path) -> dict[str, str]:
    return {"ION_STATE_DIR": str(state_dir), "ION_WORKERS": "2", "ION_BEAT": "false"}


def _has_lock(pid: int, state_dir: Path) -> bool:
    lock = state_dir / "lock"
    return lock.exists() and lock.read_text() == str(pid)


def _let_pass(seconds: float) -> None:
    """Let time go by: the moment of a fault is what the test varies, not something it waits for."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= until)


@pytest.mark.parametrize("behaviour", ["", "stubborn"])
def test_a_killed_supervisor_leaves_nothing_and_the_data_survives(
    supervisor: Start, state_dir: Path, behaviour: str
) -> None:
    process = supervisor(FAKE_WORKER=behaviour)
    with client(state_dir) as server:
        server.set("kept", "yes")
    running = "\n".join(left_of(state_dir))
    assert [running.count(word) for word in ("valkey-server", "fake_worker", "sleep(600)")] == [2, 2, 2]

    process.kill()
    process.wait()

    assert find_running(state_dir) is None
    wait_until(lambda: not left_of(state_dir), GONE_S)
    supervisor()
    with client(state_dir) as server:
        assert server.get("kept") == b"yes"


def test_a_start_right_after_a_kill_waits_for_the_clean_up(supervisor: Start, state_dir: Path) -> None:
    """Two servers on one data directory would ruin it; stubborn workers make the clean-up take 3 s."""
    first = supervisor(FAKE_WORKER="stubborn")
    old = left_of(state_dir)
    first.kill()
    first.wait()

    supervisor()

    assert not set(old) & set(left_of(state_dir))


def test_what_survived_supervisor_and_watchdog_is_swept_at_the_next_start(
    supervisor: Start, state_dir: Path
) -> None:
    first = supervisor()
    children = psutil.Process(first.pid).children()
    (watchdog,) = (child for child in children if "watchdog.py" in " ".join(child.cmdline()))
    old = [line for line in left_of(state_dir) if "run_stack" not in line and "watchdog" not in line]
    first.send_signal(signal.SIGSTOP)  # or it would replace the watchdog
    watchdog.kill()
    first.kill()
    first.wait()
    assert set(old) <= set(left_of(state_dir))
    assert any("valkey-server" in line for line in old)

    supervisor()

    assert not set(old) & set(left_of(state_dir))


def test_a_replaced_watchdog_knows_who_was_there_before_it(supervisor: Start, state_dir: Path) -> None:
    process = supervisor()
    watchdogs = watchdogs_of(process)
    watchdogs[0].kill()
    wait_until(lambda: watchdogs_of(process) not in ([], watchdogs))

    process.kill()
    process.wait()

    wait_until(lambda: not left_of(state_dir), GONE_S)


def watchdogs_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children()
    return [
        child
        for child in children
        if child.status() != psutil.STATUS_ZOMBIE and "watchdog.py" in " ".join(child.cmdline())
    ]


def test_a_note_left_by_a_killed_supervisor_misleads_nobody(supervisor: Start, state_dir: Path) -> None:
    process = supervisor()
    process.kill()
    process.wait()

    assert json.loads((state_dir / "stack.json").read_text())["pid"] == process.pid
    assert find_running(state_dir) is None


def test_nothing_listens_on_the_network(supervisor: Start, state_dir: Path) -> None:
    supervisor()
    marked = [int(line.split()[0]) for line in left_of(state_dir)]

    listening = [
        connection
        for pid in marked
        for connection in psutil.Process(pid).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]

    assert listening == []
