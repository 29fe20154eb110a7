"""What hangs is ended, and nothing else is."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.support.wait import wait_until
from workers.watchdog import EXIT_CODE, NoWatch, Watchdog


class Wound:
    """An alarm clock that notes how it is wound."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.when_put_off: Callable[[], object] = str

    def wind(self, seconds: float) -> None:
        if not seconds:
            self.when_put_off()
        self.seconds.append(seconds)


class Dog:
    """A watchdog whose time the test makes, and whose process does not end."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.left: list[int] = []
        self.alarm = Wound()
        self.watch = Watchdog(20.0, self.note, self.alarm, self.left.append, look_s=3600.0)

    def note(self, batch_id: str) -> None:
        self.noted.append(batch_id)
        raise OSError("the reply store is away")  # which changes nothing


@pytest.fixture
def dog() -> Iterator[Dog]:
    made = Dog()
    yield made
    made.watch.close()


def test_work_without_a_step_for_the_limit_ends_the_process_after_a_note(dog: Dog) -> None:
    work = dog.watch.begin()
    work.batch_id = "b1"
    for _ in range(20):
        dog.watch.look(1.0)
    assert not dog.left  # the first look only sees where it stands
    dog.watch.look(1.0)

    assert (dog.noted, dog.left) == (["b1"], [EXIT_CODE])


def test_a_step_is_enough_to_be_left_alone(dog: Dog) -> None:
    work = dog.watch.begin()
    for _ in range(100):
        for _ in range(15):
            dog.watch.look(1.0)
        work.steps += 1
    assert not dog.left


def test_a_worker_that_does_nothing_is_never_ended(dog: Dog) -> None:
    dog.watch.end(dog.watch.begin())
    for _ in range(100):
        dog.watch.look(1.0)
    assert not dog.left


def test_the_one_that_hangs_is_found_among_others(dog: Dog) -> None:
    stuck, busy = dog.watch.begin(), dog.watch.begin()
    stuck.batch_id, busy.batch_id = "stuck", "busy"
    for _ in range(21):
        busy.steps += 1
        dog.watch.look(1.0)
    assert dog.noted == ["stuck"]


def test_the_alarm_is_wound_while_there_is_work_and_only_then(dog: Dog) -> None:
    first, second = dog.watch.begin(), dog.watch.begin()
    assert len(dog.alarm.seconds) == 1  # it is wound already
    dog.watch.end(first)
    dog.watch.look(1.0)
    assert all(seconds > 21.0 for seconds in dog.alarm.seconds)

    dog.watch.end(second)
    dog.watch.look(1.0)
    assert dog.alarm.seconds[-1] == 0
    quiet = len(dog.alarm.seconds)
    dog.watch.look(1.0)
    assert len(dog.alarm.seconds) == quiet

    dog.watch.begin()
    assert dog.alarm.seconds[-1] > 21.0


def test_work_that_begins_while_the_alarm_is_put_off_has_one(dog: Dog) -> None:
    """The thread saw no work, and puts the alarm off; between the two, a batch begins."""
    dog.watch.end(dog.watch.begin())
    dog.alarm.when_put_off = dog.watch.begin
    dog.watch.look(1.0)

    assert dog.alarm.seconds[-1] > 21.0


def test_no_watch_watches_nothing() -> None:
    watch = NoWatch()
    watch.end(watch.begin())
    watch.close()


HANG = """
import ctypes, re, sys, time
from workers.watchdog import SignalAlarm, Watchdog
dog = Watchdog(float(sys.argv[1]), lambda batch: print("noted", batch, flush=True), SignalAlarm())
done = dog.begin()
dog.end(done)
time.sleep(float(sys.argv[2]))
print("hanging", flush=True)
work = dog.begin()
work.batch_id = "b1"
how = sys.argv[3]
if how == "sleeping":
    time.sleep(600)
elif how == "working":
    re.match("(a+)+$", "a" * 64 + "b")
else:
    ctypes.PyDLL(None).sleep(600)
"""


def hang(limit_s: float, idle_s: float, how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HANG, str(limit_s), str(idle_s), how],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_a_process_that_hangs_ends_by_itself_and_shows_where() -> None:
    ended = hang(0.4, 0.0, "sleeping")

    assert (ended.returncode, ended.stdout) == (EXIT_CODE, "hanging\nnoted b1\n")
    assert "most recent call first" in ended.stderr
    assert "<string>" in ended.stderr


@pytest.mark.parametrize("how", ["working", "stuck"])
def test_a_process_that_holds_the_lock_is_ended_by_the_kernel_and_shows_where(how: str) -> None:
    """A regular expression that explodes, and C that never comes back: no Python thread runs beside them."""
    ended = hang(0.4, 0.0, how)

    assert ended.returncode == -signal.SIGALRM
    assert ended.stdout == "hanging\n"
    assert "most recent call first" in ended.stderr


def test_idle_time_does_not_count() -> None:
    """Longer than the limit and its alarm without work; the alarm of the work before is not left wound."""
    ended = hang(0.2, 2.5, "sleeping")
    assert ended.stdout == "hanging\nnoted b1\n"


def test_closing_stops_the_thread() -> None:
    watch = Watchdog(20.0, lambda _: None, Wound())
    thread = watch._thread
    watch.close()
    wait_until(lambda: not thread.is_alive())
