"""``ion bulk run`` on files as they come: long, mixed with bad lines, packed, piped, interrupted, resumed."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.support.wait import wait_until

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ION = Path(sys.executable).with_name("ion")
MOST_RSS_KB = 150_000
KEYS = ("calm-medium-learning", "frustrated-burst-problem-solving", "urgent-flowing-plan")
BROKEN = (
    b'{"user_input": ',
    b"hello",
    b'["a"]',
    b'{"user_input": "\xff\xfe"}',
    b'{"user_input": ""}',
    b'{"user_input": "a", "resonance_key": "smug-medium-plan"}',
    b'{"user_input": "a", "mood": 1}',
    b'{"user_input": 5}',
    b'{"user_input": "a\\u0000b"}',
    b'{"user_input": "a\\ud800b"}',
    b'{"user_input": "' + b"x" * 40_000 + b'"}',
    b'{"user_input": "a", "context": {"history": [{"role": "boss", "content": "a"}]}}',
    b'{"user_input": "a", "context": {"preferred_persona": "Nobody"}}',
)


@pytest.fixture
def env(stack_env: Mapping[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ION_")}
    return {**clean, **stack_env}


def record(number: int) -> bytes:
    text = f"{number}번째 배포가 또 실패했어요. {{braces}} <b>%s</b>"
    return json.dumps({"id": number, "user_input": text, "resonance_key": KEYS[number % 3]}).encode()


def run(
    env: Mapping[str, str], *words: str | Path, stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [ION, "bulk", "run", *words], input=stdin, capture_output=True, env=env, timeout=100, check=False
    )


def ion(env: Mapping[str, str], *words: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([ION, *words], capture_output=True, env=env, timeout=60, check=False)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def read_whole(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def test_every_line_is_answered_or_named_in_the_rejects(env: dict[str, str], tmp_path: Path) -> None:
    lines = [record(number) for number in range(1, 5001)]
    bad = {17 + 97 * turn: BROKEN[turn % len(BROKEN)] for turn in range(50)}
    for number, line in bad.items():
        lines[number - 1] = line
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"\n".join(lines) + b"\n\n")

    done = run(env, source, "-o", tmp_path / "out.jsonl", "--json")

    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert {name: summary[name] for name in ("end", "read", "ok", "rejected", "failed", "blank")} == {
        "end": "complete",
        "read": 5001,
        "ok": 4950,
        "rejected": 50,
        "failed": 0,
        "blank": 1,
    }
    answers, rejects = read(tmp_path / "out.jsonl"), read(tmp_path / "out.rejects.jsonl")
    assert [reject["line"] for reject in rejects] == sorted(bad)
    assert all(reject["field"] and reject["problem"] and reject["fix"] for reject in rejects)
    assert [answer["line"] for answer in answers] == [n for n in range(1, 5001) if n not in bad]
    assert all(answer["id"] == answer["line"] for answer in answers)
    assert all(f"{answer['id']}번째" in answer["content"] for answer in answers)


def peak_rss_kb(command: list[str], env: dict[str, str]) -> int:
    """Run *command* and return its peak memory.

    A small process starts it: a child inherits the high-water mark of what it was forked from.
    """
    starter = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    run = subprocess.run(
        [sys.executable, "-S", "-c", starter, *command], env=env, capture_output=True, text=True, check=True
    )
    return int(run.stdout)


def test_memory_stays_flat_whatever_the_file_and_its_lines(env: dict[str, str], tmp_path: Path) -> None:
    """30,000 lines with one of 100 MB among them, which the file system holds as a hole."""
    source = tmp_path / "in.jsonl"
    with source.open("wb") as out:
        out.write(b"".join(record(number) + b"\n" for number in range(1, 15_001)))
        out.seek(100_000_000, os.SEEK_CUR)
        out.write(b"\n")
        out.write(b"".join(record(number) + b"\n" for number in range(15_002, 30_001)))

    command = [str(ION), "bulk", "run", str(source), "-o", str(tmp_path / "out.jsonl"), "-q"]
    assert peak_rss_kb(command, env) < MOST_RSS_KB
    assert [reject["line"] for reject in read(tmp_path / "out.rejects.jsonl")] == [15_001]
    with (tmp_path / "out.jsonl").open("rb") as answers:
        assert sum(1 for _ in answers) == 29_999


def test_csv_with_commas_quotes_and_line_breaks(env: dict[str, str], tmp_path: Path) -> None:
    texts = ['쉼표, 그리고 "따옴표"', "두 줄\n메시지", "plain"]
    with (tmp_path / "in.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "resonance_key", "user_id"])
        writer.writerows([number, text, "", "u1"] for number, text in enumerate(texts))
        writer.writerow(["9", "too", "many", "cells", "here"])

    done = run(env, tmp_path / "in.csv", "-o", tmp_path / "out.jsonl")

    assert done.returncode == 0, done.stderr
    answers = read(tmp_path / "out.jsonl")
    assert [(answer["line"], answer["id"]) for answer in answers] == [(2, "0"), (3, "1"), (5, "2")]
    assert all(text in answer["content"] for text, answer in zip(texts, answers, strict=True))
    assert [reject["line"] for reject in read(tmp_path / "out.rejects.jsonl")] == [6]


def test_a_wrong_header_fails_before_any_file_is_made(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("message,mood\nhi,good\n")
    done = run(env, tmp_path / "in.csv", "-o", tmp_path / "out.jsonl")
    assert done.returncode == 2
    assert b"no column user_input or text (found: message, mood)" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_pipes_on_both_sides(env: dict[str, str], tmp_path: Path) -> None:
    rejects = tmp_path / "bad.jsonl"
    done = run(env, "-", "-o", "-", "--rejects", rejects, stdin=record(1) + b"\nbad\n" + record(3))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["line"] for line in done.stdout.splitlines()] == [1, 3]
    assert [reject["line"] for reject in read(rejects)] == [2]
    assert b"read" in done.stderr


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("zst", zstd.compress)])
def test_packed_files(
    env: dict[str, str], tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    source = tmp_path / f"in.jsonl.{suffix}"
    source.write_bytes(pack(b"".join(record(number) + b"\n" for number in range(1, 101))))
    done = run(env, source, "-o", tmp_path / "out.jsonl", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert [answer["line"] for answer in read(tmp_path / "out.jsonl")] == list(range(1, 101))


def test_parquet_on_both_sides(env: dict[str, str], tmp_path: Path) -> None:
    table = pa.table({"id": [7, 8, 9], "user_input": ["하나", None, "three"], "mood": [1.0, 2.0, 3.0]})
    parquet.write_table(table, tmp_path / "in.parquet")

    refused = run(env, tmp_path / "in.parquet", "-o", tmp_path / "out.parquet")
    assert refused.returncode == 2
    assert b"has columns that are not known: mood" in refused.stderr

    done = run(env, tmp_path / "in.parquet", "-o", tmp_path / "out.parquet", "--ignore-columns")
    assert done.returncode == 0, done.stderr
    answers = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(answer["line"], answer["id"], answer["status"]) for answer in answers] == [
        (1, "7", "ok"),
        (3, "9", "ok"),
    ]
    assert "하나" in answers[0]["content"]
    assert [reject["line"] for reject in read(tmp_path / "out.rejects.jsonl")] == [2]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in.parquet",
        "out.parquet",
        "out.rejects.jsonl",
    ]


def test_answers_as_they_come_are_all_there(env: dict[str, str], tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"".join(record(number) + b"\n" for number in range(1, 2001)))
    done = run(env, source, "-o", tmp_path / "out.jsonl", "--as-completed", "--batch", "50", "-q")
    assert done.returncode == 0, done.stderr
    assert sorted(answer["line"] for answer in read(tmp_path / "out.jsonl")) == list(range(1, 2001))


def test_too_many_rejects_end_a_run_which_may_go_on_with_more_patience(
    env: dict[str, str], tmp_path: Path
) -> None:
    """Each tenth line is bad: 10 % are over 5 %, noticed once 1,000 lines are read; 20 % are allowed then."""
    lines = [b"bad" if number % 10 == 0 else record(number) for number in range(1, 3001)]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    where = (tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--json")

    failed = run(env, *where, "--max-reject-ratio", "0.05")
    summary = json.loads(failed.stdout)
    assert failed.returncode == 1
    assert (summary["end"], summary["state"], summary["last_line"]) == ("too_many_rejects", "failed", 1000)
    assert b"100 of 1,000 records were rejected, over 5.0%" in failed.stderr

    done = run(env, *where, "--max-reject-ratio", "0.2", "--resume")
    summary = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (summary["read"], summary["ok"], summary["rejected"]) == (3000, 2700, 300)
    assert [answer["line"] for answer in read(tmp_path / "out.jsonl")] == [
        number for number in range(1, 3001) if number % 10
    ]

    once_more = run(env, *where, "--resume")
    assert (once_more.returncode, json.loads(once_more.stdout)["read"]) == (0, 3000)
    assert b"is complete already" in once_more.stderr


def test_existing_results_are_kept(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(record(1))
    (tmp_path / "out.jsonl").write_text("precious")
    assert run(env, tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl").returncode == 2
    assert (tmp_path / "out.jsonl").read_text() == "precious"
    assert run(env, tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--force").returncode == 0


def start_from_a_pipe(env: Mapping[str, str], output: Path, *words: str) -> "subprocess.Popen[bytes]":
    """Start a run whose input is a pipe that stays open, and wait until it reads from it.

    With a window of one, the second batch is written when the third is read, and the third is sent then.
    """
    process = subprocess.Popen(
        [ION, "bulk", "run", "-", "-o", output, "--json", "--batch", "100", "--window", "1", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
    )
    assert process.stdin is not None
    process.stdin.write(PIPED)
    process.stdin.flush()
    wait_until(lambda: output.exists() and len(read_whole(output)) == 200, 60, "two batches of answers")
    return process


PIPED = b"".join(record(number) + b"\n" for number in range(1, 351))


def test_ctrl_c_ends_a_run_in_good_order_and_the_same_data_goes_on(
    env: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    process = start_from_a_pipe(env, output)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    summary = json.loads(out)
    assert process.returncode == 130
    assert (summary["end"], summary["last_line"]) == ("interrupted", 300)
    assert len(read(output)) == summary["ok"] == 300
    assert b"pipe the same data again with --resume" in err

    other = run(env, "-", "-o", output, "--resume", stdin=b"other data\n")
    assert other.returncode == 2
    assert b"standard input is not what run" in other.stderr

    again = run(env, "-", "-o", output, "--resume", "--json", stdin=PIPED)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["run"] == summary["run"]
    assert [answer["line"] for answer in read(output)] == list(range(1, 351))


def test_a_run_can_be_cancelled_from_elsewhere_though_it_waits_for_input(
    env: dict[str, str], tmp_path: Path
) -> None:
    process = start_from_a_pipe(env, tmp_path / "out.jsonl", "--run-id", "piped-1")

    cancelled = ion(env, "bulk", "cancel", "piped-1")
    assert b"asked process" in cancelled.stderr
    process.wait(60)  # its input is still open
    out, _ = process.communicate()

    summary = json.loads(out)
    assert (process.returncode, summary["state"], summary["last_line"]) == (130, "cancelled", 300)
    shown = json.loads(ion(env, "bulk", "show", "piped-1", "--json").stdout)
    assert (shown["state"], shown["read"], shown["pid"]) == ("cancelled", 300, process.pid)
    listed = json.loads(ion(env, "bulk", "list", "--json").stdout)
    assert shown in listed
    assert b"piped-1" in ion(env, "bulk", "list").stdout


def test_a_run_that_nobody_knows_is_a_usage_error(env: dict[str, str]) -> None:
    for words in (["show", "nobody"], ["cancel", "nobody"], ["resume", "nobody"]):
        assert ion(env, "bulk", *words).returncode == 2


def test_an_absent_fleet_ends_a_run_with_exit_code_3(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ION_")}
    away = {"ION_BROKER_URL": f"redis+socket://{tmp_path}/absent.sock", "ION_STATE_DIR": f"{tmp_path}/ion"}
    (tmp_path / "in.jsonl").write_bytes(record(1))

    done = run(
        {**clean, **away}, tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--patience", "1", "--json"
    )

    assert done.returncode == 3
    summary = json.loads(done.stdout)
    assert (summary["end"], summary["last_line"]) == ("unavailable", 0)
    assert f"ion bulk resume {summary['run']}".encode() in done.stderr


def test_a_database_that_is_away_ends_a_run_before_it_starts(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(record(1))
    (tmp_path / "taken").mkdir()
    env = {**env, "ION_DATABASE_URL": f"sqlite:///{tmp_path}/taken"}

    done = run(env, tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl")

    assert done.returncode == 3
    assert b"the database is not available" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
