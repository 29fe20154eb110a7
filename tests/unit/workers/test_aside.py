"""Work that is done aside: one of a kind at a time, whoever asks and however often."""

import threading
from collections.abc import Iterator

import pytest

from tests.support.wait import wait_until
from workers.operations.aside import Aside


class Slow:
    """Work that takes until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.times = 0

    def __call__(self) -> None:
        self.times += 1
        self.begun.release()
        assert self.go.acquire(timeout=10)


@pytest.fixture
def bugs() -> list[str]:
    return []


@pytest.fixture
def aside(bugs: list[str]) -> Iterator[Aside]:
    made = Aside(lambda doing, error: bugs.append(f"{doing}: {type(error).__name__}"))
    yield made
    assert made.close(10)


def test_what_is_asked_for_while_it_is_done_is_dropped(aside: Aside) -> None:
    work = Slow()
    aside.start("look", work)
    assert work.begun.acquire(timeout=10)
    for _ in range(5):
        aside.start("look", work)
    work.go.release(2)
    wait_until(lambda: _idle(aside))
    assert work.times == 1
    aside.start("look", work)
    wait_until(lambda: work.times == 2)


def test_kinds_do_not_wait_for_each_other(aside: Aside) -> None:
    work, done = Slow(), threading.Event()
    aside.start("look", work)
    aside.start("tidy", done.set)
    assert done.wait(10)
    work.go.release()


def test_the_end_waits_for_what_is_under_way_and_begins_nothing_more(aside: Aside) -> None:
    work = Slow()
    aside.start("look", work)
    assert not aside.close(0.0)
    aside.start("tidy", work)
    work.go.release()
    assert aside.close(10)
    assert work.times == 1


def test_a_bug_is_reported_once_until_it_worked_again(aside: Aside, bugs: list[str]) -> None:
    def broken() -> None:
        raise ArithmeticError

    def well() -> None:
        pass

    for work in (broken, broken, well, broken):
        aside.start("look", work)
        wait_until(lambda: _idle(aside))
    assert bugs == ["look: ArithmeticError"] * 2


def _idle(aside: Aside) -> bool:
    return not any(thread.is_alive() for thread in aside._threads.values())
