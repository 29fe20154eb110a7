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

    assert list(watchdog.watch(read, os.getppid())) == [os.getpid()]


def test_it_stops_watching_when_the_supervisor_is_not_its_parent_any_more() -> None:
    """A forked copy of the supervisor may hold the pipe open for ever."""
    read, write = os.pipe()

    assert watchdog.watch(read, supervisor=-1) == {}

    with pytest.raises(BrokenPipeError):
        os.write(write, b"+5 0\n")  # whoever comes now is refused, and does not start
    os.close(write)


def test_children_that_were_starting_when_the_supervisor_died_are_still_heard() -> None:
    """Two are on their way; the first one's line must not end the wait for the second's."""
    read, write = os.pipe()
    seen: list[watchdog.Groups] = []
    watching = threading.Thread(target=lambda: seen.append(watchdog.watch(read, supervisor=-1)))
    watching.start()
    second = os.dup(write)
    for child, pid in ((write, 999999998), (second, 999999999)):
        os.write(child, f"+{pid} 1\n".encode())
        os.close(child)
        watching.join(0.1)  # the first line has been read by now

    watching.join(5)

    assert [sorted(groups) for groups in seen] == [[999999998, 999999999]]
