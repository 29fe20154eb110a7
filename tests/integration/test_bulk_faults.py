"""Faults in the midst of a bulk run, with real processes: in the end each line has one result, in order."""

import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from infra.local.stack import LocalStack
from tests.support.bulk import BulkProcess, each_line_once, environment, write_messages
from tests.support.stack import start_stack
from tests.support.wait import wait_until

ROW_BYTES = 2_800  # of an answer, about
SLOWLY = ("--batch", "2", "--window", "1")  # a run that outlasts what a test does to it


@pytest.fixture
def env(stack_env: Mapping[str, str], tmp_path: Path) -> dict[str, str]:
    """The shared stack, with a database of the test's own."""
    return environment({**stack_env, "ION_DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db"})


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_producer_goes_on_where_it_was(env: dict[str, str], tmp_path: Path, seed: int) -> None:
    """Killed at three random places; odd seeds write answers in order, even ones as they come."""
    rows, ordered, chance = 10_000, seed % 2 == 1, random.Random(seed)
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_messages(source, rows)
    run = BulkProcess(env, source, output, *([] if ordered else ["--as-completed"]))

    kills = [run.kill_when_grown_by(int(chance.uniform(0.05, 0.3) * rows * ROW_BYTES)) for _ in range(3)]
    summary = run.finish()

    assert any(kills)
    assert each_line_once(source, output, ordered=ordered) == []
    assert summary["read"] == rows == summary["ok"] + summary["rejected"]


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[LocalStack]:
    started = start_stack(tmp_path)
    yield started
    started.stop()


@pytest.mark.timeout(300)
def test_a_run_outlives_a_killed_worker_and_a_killed_valkey(own_stack: LocalStack, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_messages(source, 15_000)
    env = environment({**own_stack.urls.environment(), "ION_STATE_DIR": str(own_stack.settings.state_dir)})
    process = BulkProcess(env, source, output).start()

    for name, share in (("worker1", 0.2), ("valkey", 0.4)):
        wait_until(lambda: output.exists() and output.stat().st_size > share * 15_000 * ROW_BYTES, 120)  # noqa: B023
        victim = next(row.pid for row in own_stack.processes() if row.name == name)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
    out, err = process.communicate(timeout=240)

    assert process.returncode == 0, err.decode()
    assert json.loads(out)["end"] == "complete"
    assert each_line_once(source, output) == []


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.timeout(300)
def test_a_full_disk_ends_a_run_which_goes_on_when_there_is_room(env: dict[str, str], tmp_path: Path) -> None:
    """The limit of a file's size stands for the disk: a write takes a part, the next one fails."""
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_messages(source, 3_000)
    run = BulkProcess(env, source, output)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY

    out, err = run.start(sys.executable, "-S", "-c", LIMITED, "3000001").communicate(timeout=120)

    summary = json.loads(out)
    assert (summary["end"], summary["state"]) == ("broken_output", "failed")
    assert 0 < summary["last_line"] < 3_000
    assert b"out.jsonl cannot be written: File too large" in err
    assert f"ion bulk resume {summary['run']}".encode() in err
    run.finish()
    assert each_line_once(source, output) == []


@pytest.mark.timeout(300)
def test_a_ledger_that_is_away_makes_the_run_wait_and_say_so(env: dict[str, str], tmp_path: Path) -> None:
    """Another process holds the database for as long as it takes the run to notice."""
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_messages(source, 100_000)
    process = BulkProcess(env, source, output, *SLOWLY).start()
    said: list[str] = []
    assert process.stderr is not None
    hearing = threading.Thread(target=_hear, args=(process, said))
    hearing.start()
    wait_until(lambda: output.exists() and output.stat().st_size > 0, 120)

    connection = sqlite3.connect(tmp_path / "ledger.db", timeout=60, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    wait_until(lambda: "waiting: the ledger is away: locked by another process" in said, 120)
    size = output.stat().st_size
    connection.execute("ROLLBACK")
    connection.close()
    wait_until(lambda: output.stat().st_size > size, 120, "the run goes on")
    process.send_signal(signal.SIGTERM)
    process.wait(120)
    hearing.join()
    assert process.returncode == 143


@pytest.mark.timeout(300)
def test_two_producers_do_not_work_at_one_run(env: dict[str, str], tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_messages(source, 100_000)
    run = BulkProcess(env, source, output, *SLOWLY)
    first = run.start()
    wait_until(lambda: output.exists() and output.stat().st_size > 0, 120)

    second = run.start()
    _, err = second.communicate(timeout=120)

    assert second.returncode == 1
    assert f"is under way in process {first.pid}".encode() in err
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=120)
    assert first.returncode == 130


@pytest.mark.timeout(300)
def test_an_input_that_was_changed_is_not_gone_on_with(env: dict[str, str], tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_messages(source, 20_000)
    run = BulkProcess(env, source, output)
    assert run.kill_when_grown_by(1_000_000)
    with source.open("a") as file:
        file.write("\n")

    refused = run.start()
    _, err = refused.communicate(timeout=120)

    assert refused.returncode == 2
    assert b"is not what run" in err
    assert output.stat().st_size > 1_000_000


def _hear(process: "subprocess.Popen[bytes]", said: list[str]) -> None:
    assert process.stderr is not None
    assert process.stdout is not None
    said.extend(line.decode().rstrip() for line in process.stderr)
    process.stderr.close()
    process.stdout.close()
