"""The supervisor with real processes: order, readiness, restarts, stops."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from infra.local.errors import StartCancelled, StartFailed
from infra.local.policy import RestartPolicy
from infra.local.process import ProcessSpec, State
from infra.local.supervisor import ProcessStatus, Supervisor
from tests.support.wait import wait_until

QUICK = RestartPolicy(first_delay_s=0.05, max_delay_s=0.4, loud_after=3, start_attempts=3)
SLEEPER = (
    "import time, pathlib, sys; pathlib.Path(sys.argv[1]).touch(); print('up', flush=True); time.sleep(600)"
)
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER

Run = Callable[..., Supervisor]


class Log:
    """The lines that a supervisor gave out."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        self.lines.append((name, line))

    def of(self, name: str) -> list[str]:
        return [line for who, line in self.lines if who == name]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def run(log: Log) -> Iterator[Run]:
    """Make supervisors that are stopped at the end, whatever happens."""
    made: list[Supervisor] = []

    def supervise(*stages: list[ProcessSpec], keep_fds: tuple[int, ...] = ()) -> Supervisor:
        made.append(Supervisor(stages, log, inherited=dict(os.environ), keep_fds=keep_fds))
        return made[-1]

    yield supervise
    for supervisor in made:
        supervisor.stop()


def spec(tmp_path: Path, name: str, script: str = SLEEPER, **options: object) -> ProcessSpec:
    """Return a Python one-liner that is ready when it has made its file."""
    file = tmp_path / f"{name}.ready"
    base = ProcessSpec(
        name=name,
        argv=(sys.executable, "-S", "-c", script, str(file)),
        ready=file.exists,
        prepare=lambda: file.unlink(missing_ok=True),
        ready_timeout_s=10.0,
        stop_grace_s=5.0,
        restart=QUICK,
    )
    return ProcessSpec(**{**{n: getattr(base, n) for n in base.__slots__}, **options})


def row(supervisor: Supervisor, name: str) -> ProcessStatus:
    return next(status for status in supervisor.status() if status.name == name)


def pid_of(supervisor: Supervisor, name: str) -> int:
    pid = row(supervisor, name).pid
    assert pid is not None
    return pid


def test_a_stage_starts_when_the_one_before_is_ready(tmp_path: Path, run: Run, log: Log) -> None:
    gate = threading.Event()
    first = spec(tmp_path, "first", ready=gate.is_set)
    supervisor = run([first], [spec(tmp_path, "second")])
    starting = threading.Thread(target=supervisor.start)
    starting.start()
    wait_until(lambda: log.of("first") == ["up"])
    assert row(supervisor, "second").pid is None

    gate.set()
    starting.join(10)

    assert [status.state for status in supervisor.status()] == [State.READY, State.READY]
    assert log.of("ion") == ["first is ready", "second is ready"]


def test_what_nobody_waits_for_comes_up_by_and_by(tmp_path: Path, run: Run, log: Log) -> None:
    """It ends at once, more often than a start may fail, and is tried again without holding anybody up."""
    late = spec(tmp_path, "late", "raise SystemExit(7)", awaited=False)
    supervisor = run([spec(tmp_path, "first")], [late])
    supervisor.start()

    assert row(supervisor, "first").state is State.READY
    wait_until(lambda: row(supervisor, "late").restarts > QUICK.start_attempts)
    assert "late ended (exit code 7); next attempt in 0.05 s" in log.of("ion")


def test_they_stop_in_reverse_order(tmp_path: Path, run: Run) -> None:
    """Each writes its name when it is told to stop."""
    diary = tmp_path / "diary"
    script = (
        "import pathlib, signal, sys\n"
        "def stop(*_):\n"
        f"    open({str(diary)!r}, 'a').write(sys.argv[1][-7] + ' '); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "signal.pause()"
    )
    supervisor = run(*([spec(tmp_path, name, script)] for name in "abc"))
    supervisor.start()

    supervisor.stop()

    assert diary.read_text().split() == ["c", "b", "a"]
    assert [status.pid for status in supervisor.status()] == [None, None, None]


def test_what_is_killed_comes_back(tmp_path: Path, run: Run, log: Log) -> None:
    supervisor = run([spec(tmp_path, "one"), spec(tmp_path, "two")])
    supervisor.start()
    before, other = pid_of(supervisor, "one"), pid_of(supervisor, "two")

    os.kill(before, signal.SIGKILL)

    wait_until(lambda: row(supervisor, "one").restarts == 1 and row(supervisor, "one").state is State.READY)
    assert pid_of(supervisor, "one") != before
    assert pid_of(supervisor, "two") == other
    assert "one ended (signal 9); next attempt in 0.05 s" in log.of("ion")


def test_a_process_that_keeps_dying_is_tried_again_loudly(tmp_path: Path, run: Run, log: Log) -> None:
    """Up once, then broken for good: pauses of 0.05, 0.1, 0.2, 0.4 and again 0.4 s, and its words shown."""
    broken = tmp_path / "broken"
    script = (
        f"import pathlib, sys; pathlib.Path({str(broken)!r}).exists() and sys.exit('no disk'); " + SLEEPER
    )
    supervisor = run([spec(tmp_path, "one", script)])
    supervisor.start()
    broken.touch()

    os.kill(pid_of(supervisor, "one"), signal.SIGKILL)

    wait_until(lambda: sum("next attempt in 0.4 s" in line for line in log.of("ion")) >= 2)
    pauses = [line.rsplit(" in ", 1)[1] for line in log.of("ion") if "next attempt" in line]
    assert pauses[:5] == ["0.05 s", "0.1 s", "0.2 s", "0.4 s", "0.4 s"]
    assert "ONE HAS ENDED 3 TIMES IN A ROW; it last said:" in log.of("ion")
    assert "  no disk" in log.of("ion")
    broken.unlink()
    wait_until(lambda: row(supervisor, "one").state is State.READY)


def test_a_start_that_cannot_succeed_names_the_process_and_its_last_words(tmp_path: Path, run: Run) -> None:
    script = "import sys; print('reading'); sys.exit('no such option: --x')"
    supervisor = run([spec(tmp_path, "good")], [spec(tmp_path, "bad", script)])

    with pytest.raises(StartFailed) as caught:
        supervisor.start()

    assert (caught.value.name, caught.value.why) == ("bad", "ended 3 times while starting")
    assert set(caught.value.tail) == {"reading", "no such option: --x"}
    assert [status.pid for status in supervisor.status()] == [None, None]


def test_a_program_that_does_not_exist_is_named(tmp_path: Path, run: Run) -> None:
    supervisor = run([spec(tmp_path, "ghost", argv=("/nowhere/program",))])

    with pytest.raises(StartFailed, match="/nowhere/program: No such file or directory"):
        supervisor.start()


def test_a_start_that_takes_too_long_fails(tmp_path: Path, run: Run) -> None:
    slow = spec(tmp_path, "slow", ready=lambda: False, ready_timeout_s=0.3)
    supervisor = run([slow])

    with pytest.raises(StartFailed, match=r"slow was not ready within 0\.3 s"):
        supervisor.start()


def test_a_start_can_be_cancelled(tmp_path: Path, run: Run, log: Log) -> None:
    supervisor = run([spec(tmp_path, "one", ready=lambda: False)])
    caught: list[BaseException] = []

    def start() -> None:
        try:
            supervisor.start()
        except StartCancelled as error:
            caught.append(error)

    starting = threading.Thread(target=start)
    starting.start()
    wait_until(lambda: log.of("one") == ["up"])
    supervisor.request_stop()
    starting.join(10)

    assert len(caught) == 1
    assert row(supervisor, "one").pid is None


def test_who_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path, run: Run, log: Log) -> None:
    supervisor = run([spec(tmp_path, "mule", STUBBORN, stop_grace_s=0.2)])
    supervisor.start()
    pid = pid_of(supervisor, "mule")

    supervisor.stop()

    assert not psutil.pid_exists(pid)
    assert any(line.startswith("mule did not stop within 0.2 s: killed") for line in log.of("ion"))


def test_a_second_request_waits_for_nobody(tmp_path: Path, run: Run) -> None:
    """With a grace of ten minutes, only the second request can end this test."""
    supervisor = run([spec(tmp_path, "mule", STUBBORN, stop_grace_s=600)])
    supervisor.start()

    supervisor.request_stop()
    supervisor.request_stop()

    assert supervisor.wait(10)


def test_what_a_dead_process_had_started_dies_too(tmp_path: Path, run: Run, log: Log) -> None:
    """A prefork parent that is killed leaves its pool behind; the group is ended before the restart."""
    script = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; "
        "time.sleep(600)']); print(child.pid, flush=True); " + SLEEPER
    )
    supervisor = run([spec(tmp_path, "pool", script)])
    supervisor.start()
    wait_until(lambda: log.of("pool"))
    grandchild = int(log.of("pool")[0])

    os.kill(pid_of(supervisor, "pool"), signal.SIGKILL)

    wait_until(lambda: not _lives(grandchild))


def test_a_watchdog_that_dies_is_replaced(tmp_path: Path, run: Run, log: Log) -> None:
    supervisor = run([spec(tmp_path, "one")])
    supervisor.start()
    first = supervisor._guard.pid

    os.kill(first, signal.SIGKILL)

    wait_until(lambda: "the watchdog ended; another one is watching" in log.of("ion"))
    assert supervisor._guard.pid != first
    assert _lives(supervisor._guard.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="open files are read from /proc")
def test_children_hold_nothing_of_the_supervisor(tmp_path: Path, run: Run) -> None:
    """Neither the watchdog's pipe, which would blind it, nor anything else beyond the standard three."""
    supervisor = run([spec(tmp_path, "one")])
    supervisor.start()

    held = [fd.name for fd in Path(f"/proc/{pid_of(supervisor, 'one')}/fd").iterdir()]

    assert sorted(held) == ["0", "1", "2"]


def test_long_broken_and_unfinished_lines_arrive(tmp_path: Path, run: Run, log: Log) -> None:
    """100,000 letters come whole or in pieces, a wrong byte is replaced, the last word needs no newline."""
    script = (
        "import os, pathlib, sys; os.write(1, b'x' * 100_000 + b'\\n'); os.write(1, b'a \\xff byte\\n'); "
        "os.write(1, b'last words'); pathlib.Path(sys.argv[1]).touch(); import time; time.sleep(600)"
    )
    supervisor = run([spec(tmp_path, "one", script)])
    supervisor.start()
    supervisor.stop()

    lines = log.of("one")
    assert sum(line.count("x") for line in lines) == 100_000
    assert lines[-2:] == ["a � byte", "last words"]


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
