"""What the watchdog remembers, and whom it spares."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from infra.local import watchdog
from tests.support.wait import wait_until

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"

Sleeper = subprocess.Popen[bytes]


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """A process in a group of its own that SIGTERM does not end."""
    argv = [sys.executable, "-S", "-c", STUBBORN]
    with subprocess.Popen(argv, start_new_session=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_it_remembers_who_started_and_forgets_who_ended() -> None:
    groups: watchdog.Groups = {}
    for line in (f"+{os.getpid()} 1", "+999999999 0", "-999999999", "-5", "", "noise"):
        watchdog.note(groups, line)

    assert groups == {os.getpid(): (1, watchdog.started(os.getpid()))}


def test_a_stubborn_group_is_killed_after_the_grace(sleeper: Sleeper) -> None:
    watchdog.end_all({sleeper.pid: (0, watchdog.started(sleeper.pid))}, grace_s=0.1)

    assert sleeper.wait(5) == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="start times are read from /proc")
def test_a_number_given_to_another_process_is_spared(sleeper: Sleeper) -> None:
    watchdog.end_all({sleeper.pid: (0, "12345")}, grace_s=0.1)

    assert sleeper.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="zombies are told apart in /proc")
def test_a_zombie_does_not_run(sleeper: Sleeper) -> None:
    """Its new parent may reap it late or never; waiting for that would use up the whole grace."""
    assert watchdog.runs(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)

    wait_until(lambda: not watchdog.runs(sleeper.pid))


def test_it_stops_watching_when_the_pipe_closes() -> None:
    read, write = os.pipe()
    os.write(write, f"+{os.getpid()} 0\n+12".encode())  # a line that is cut off by the end is no order
    os.close(write)

    try:
        assert list(watchdog.watch(read, os.getppid())) == [os.getpid()]
    finally:
        os.close(read)


def test_it_stops_watching_when_the_supervisor_is_not_its_parent_any_more() -> None:
    """A forked copy of the supervisor may hold the pipe open for ever."""
    read, write = os.pipe()
    seen: list[watchdog.Groups] = []
    watching = threading.Thread(target=lambda: seen.append(watchdog.watch(read, supervisor=-1)))
    watching.start()
    watching.join(5)
    os.close(write)
    os.close(read)

    assert seen == [{}]
