"""What surrounds a bulk run on the command line: files, progress, signals, exit codes."""

import inspect
import signal
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from producers.bulk.chunk import BATCH_JOBS
from producers.bulk.collect import Counts, Progress
from producers.bulk.errors import NotResumable, UnusableOutput
from producers.bulk.files import Files, targets
from producers.bulk.inputs import Input
from producers.bulk.keeper import Held
from producers.bulk.run import PATIENCE, WINDOW, End, Options, Summary
from producers.cli import bulk
from producers.cli.bulk_progress import LineWatcher, pace
from producers.cli.bulk_work import exit_code, options_of, submitting
from producers.cli.interruption import Interruption, on_signals
from producers.requests import PersonaRequest


def summary(end: End = "complete", failed: int = 0) -> Summary:
    return Summary(end, "", 10, 10 - failed, 0, failed, 0, 10, 2.0)


@pytest.mark.parametrize(
    ("end", "failed", "code"),
    [
        ("complete", 0, 0),
        ("complete", 1, 1),
        ("interrupted", 0, 130),
        ("unavailable", 0, 3),
        ("broken_input", 0, 2),
        ("broken_output", 0, 1),
        ("too_many_rejects", 0, 1),
        ("taken_over", 0, 1),
    ],
)
def test_the_exit_code_tells_how_the_run_ended(end: End, failed: int, code: int) -> None:
    assert exit_code(summary(end, failed)) == code


def test_a_terminated_run_says_by_which_signal() -> None:
    assert exit_code(summary("interrupted"), signal.SIGTERM) == 143


def test_the_commands_defaults_are_the_engines() -> None:
    """They stand in the command as numbers, so that its help needs none of the engine."""
    defaults = {name: option.default for name, option in inspect.signature(bulk.run).parameters.items()}
    assert (defaults["batch"], defaults["window"]) == (BATCH_JOBS, WINDOW)
    assert defaults["patience"] == PATIENCE.total_seconds()


def test_rejects_go_beside_the_output() -> None:
    assert targets("in.jsonl", "a/out.jsonl", None).rejects == "a/out.rejects.jsonl"
    assert targets("in.jsonl", "out", None).rejects == "out.rejects.jsonl"


@pytest.mark.parametrize(
    ("source", "output", "rejects", "problem"),
    [
        ("in.jsonl", "in.jsonl", None, "is the input"),
        ("in.jsonl", "./in.jsonl", None, "is the input"),
        ("in.jsonl", "link.jsonl", None, "is the input"),
        ("in.jsonl", "out.jsonl", "in.jsonl", "is the input"),
        ("in.jsonl", "out.jsonl", "out.jsonl", "is the output and the rejects file"),
        ("in.jsonl", "-", None, "--rejects is missing"),
        ("in.jsonl", "out.jsonl", "-", "cannot be standard output"),
    ],
)
def test_no_two_files_are_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    output: str,
    rejects: str | None,
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").touch()
    (tmp_path / "link.jsonl").symlink_to("in.jsonl")
    with pytest.raises(UnusableOutput, match=problem):
        targets(source, output, rejects)


@pytest.mark.parametrize("existing", ["out.jsonl", "out.rejects.jsonl"])
def test_an_existing_file_is_kept_unless_forced(tmp_path: Path, existing: str) -> None:
    target = targets("-", str(tmp_path / "out.jsonl"), None)
    (tmp_path / existing).write_text("old")

    with pytest.raises(UnusableOutput, match=r"exists.*--force"):
        Files.refuse_existing(target)

    with closing(Files(target)) as files:
        assert (tmp_path / existing).read_text() == "old"
        files.cut()
        files.output.write(b"new")
    assert (tmp_path / "out.jsonl").read_text() == "new"


def test_files_that_were_made_for_nothing_are_removed(tmp_path: Path) -> None:
    with closing(Files(targets("-", str(tmp_path / "out.jsonl"), None))):
        assert (tmp_path / "out.jsonl").exists()
    assert not list(tmp_path.iterdir())


def test_two_runs_never_write_one_file(tmp_path: Path) -> None:
    target = targets("-", str(tmp_path / "out.jsonl"), None)
    with closing(Files(target)) as files:
        files.cut()
        with pytest.raises(UnusableOutput, match="written by another run"):
            Files(target)
    Files(target).close()
    assert (tmp_path / "out.jsonl").exists()


def test_files_are_cut_to_what_the_ledger_knows(tmp_path: Path) -> None:
    target = targets("-", str(tmp_path / "out.jsonl"), None)
    (tmp_path / "out.jsonl").write_bytes(b"one\ntwo\nthr")
    (tmp_path / "out.rejects.jsonl").write_bytes(b"")

    with closing(Files(target)) as files:
        files.cut(8, 0)
        files.output.write(b"3\n")
        files.sync()
    assert (tmp_path / "out.jsonl").read_bytes() == b"one\ntwo\n3\n"


@pytest.mark.parametrize(("held", "problem"), [(b"one\n", "holds less"), (b"one\ntwo!three", "is not what")])
def test_a_file_that_is_not_what_the_run_left_is_kept(tmp_path: Path, held: bytes, problem: str) -> None:
    target = targets("-", str(tmp_path / "out.jsonl"), None)
    (tmp_path / "out.jsonl").write_bytes(held)
    with closing(Files(target)) as files, pytest.raises(NotResumable, match=problem):
        files.cut(8, 0)
    assert (tmp_path / "out.jsonl").read_bytes() == held


def test_a_device_may_be_an_output(tmp_path: Path) -> None:
    target = targets("-", "/dev/null", str(tmp_path / "r.jsonl"))
    with closing(Files(target)) as files:
        files.cut()
        files.sync()
    assert not target.lasting


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    target = targets("-", str(tmp_path / "absent" / "out.jsonl"), None)
    with pytest.raises(UnusableOutput, match="No such file"):
        Files(target)


@pytest.mark.parametrize("name", ["out.jsonl.gz", "out.zst", "out.csv"])
def test_an_output_is_not_called_what_it_is_not(name: str) -> None:
    with pytest.raises(UnusableOutput, match="would be JSONL"):
        targets("in.jsonl", name, None)


def test_pace_is_told_by_the_share_of_the_input() -> None:
    """1,000 records in 2 s are 500/s; a quarter of the bytes in 2 s leaves 6 s."""
    at = pace(1000, 25, 100, 2.0)
    assert (at.per_s, at.share, at.left_s) == (500.0, 0.25, 6.0)
    assert pace(1000, 0, None, 2.0).share is None
    assert pace(0, 0, 100, 0.0).left_s is None


def test_lines_of_progress_come_now_and_then_and_a_reason_to_wait_once() -> None:
    now = [0.0]
    told: list[str] = []
    source = Input("in", iter(()), lambda: 50, 100)
    watcher = LineWatcher(source, told.append, clock=lambda: now[0], every_s=5)

    for seconds in (1.0, 4.0, 6.0, 7.0, 12.0):
        now[0] = seconds
        watcher.progress(Counts(read=600, rejected=6))
    assert told == [
        "600 read, 6 rejected, 100/s, 50%, about 6 s left",
        "600 read, 6 rejected, 50/s, 50%, about 12 s left",
    ]

    watcher.waiting("the broker is away", 2.0)
    watcher.waiting("the broker is away", 4.0)
    assert told[2:] == ["waiting: the broker is away"]


def test_the_first_signal_asks_and_the_second_is_urgent() -> None:
    stop = Interruption()
    with on_signals(stop):
        signal.raise_signal(signal.SIGTERM)
        assert (stop.requested, stop.urgent, stop.signal_number) == (True, False, signal.SIGTERM)
        assert stop.wait(60)
        signal.raise_signal(signal.SIGTERM)
        assert stop.urgent
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_breaks_off_reading() -> None:
    stop = Interruption()
    stop.breakable = True
    with pytest.raises(KeyboardInterrupt), on_signals(stop):
        signal.raise_signal(signal.SIGINT)
    assert stop.requested


def test_operators_see_which_run_a_batch_is_of_and_how_far_it_is() -> None:
    notes: list[str] = []
    client: Any = SimpleNamespace(submit_batch_as=lambda _ref, _requests, _queue, note: notes.append(note))
    held = Held("k3f9", "token", lambda: None, lambda: 0.125)
    session: Any = SimpleNamespace(run_id="k3f9", before=Progress(Counts(read=12_000)), held=held)

    submit = submitting(client, session)
    submit([PersonaRequest("hello")] * 500)
    submit([PersonaRequest("hello")] * 500)

    assert notes == ["run k3f9, 12,500 sent, 12%", "run k3f9, 13,000 sent, 12%"]


def test_a_resumed_run_has_the_options_that_it_was_started_with() -> None:
    given = {"batch": 7, "window": 3, "patience": 9.0, "ordered": False, "max_reject_ratio": 0.5}
    assert options_of(given) == Options(
        batch_jobs=7, window=3, patience=timedelta(seconds=9), ordered=False, max_reject_ratio=0.5
    )
    assert options_of({}) == Options()
