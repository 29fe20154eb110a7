"""The gate of the dead queue: which calls it makes to Celery's consumer, and when."""

import logging
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from celery.exceptions import Reject

from tests.support.dead_letters import letter
from workers.contract import names
from workers.contract.dead_letters import DeadLetter
from workers.dead.dead_queue import LONGEST_WAIT_S, CountedLetters, DeadQueueGate, _keeper, _tidier, wait_s
from workers.monitoring.recorder import MemoryRecorder
from workers.settings import WorkerSettings
from workers.store.errors import StoreUnavailable, UnusableUrl
from workers.tasks.dead import Retention


class Consumer:
    """Celery's consumer, as far as the gate knows it; time passes when a test says so."""

    def __init__(self) -> None:
        self.timer = self
        self.consuming = True
        self.cancelled = 0
        self.waits: list[tuple[float, Callable[[], Any]]] = []

    def call_soon(self, call: Callable[..., Any], *args: Any) -> None:
        call(*args)

    def call_after(self, seconds: float, call: Callable[[], Any]) -> None:
        self.waits.append((seconds, call))

    def cancel_task_queue(self, queue: str) -> None:
        assert queue == names.DEAD
        self.consuming, self.cancelled = False, self.cancelled + 1

    def add_task_queue(self, queue: str) -> None:
        assert queue == names.DEAD
        self.consuming = True

    def pass_by(self) -> float:
        """Let the next wait pass; return how long it was."""
        seconds, call = self.waits.pop(0)
        call()
        return seconds


def attached() -> tuple[DeadQueueGate, Consumer]:
    gate, consumer = DeadQueueGate(), Consumer()
    gate.attach(consumer)
    return gate, consumer


def test_each_failure_in_a_row_waits_longer_up_to_the_longest() -> None:
    waits = [wait_s(failures) for failures in range(1, 2_000)]
    assert waits[:6] == [1, 2, 4, 8, 16, LONGEST_WAIT_S]
    assert all(one <= other for one, other in pairwise(waits))


def test_a_failure_leaves_the_queue_and_the_time_takes_it_up_again(caplog: pytest.LogCaptureFixture) -> None:
    gate, consumer = attached()
    with caplog.at_level(logging.WARNING):
        gate.leave("the disk is full")
        assert not consumer.consuming
        assert consumer.pass_by() == 1
        assert consumer.consuming
        gate.leave("the disk is full")
        assert consumer.pass_by() == 2
        gate.well()
        gate.well()
        gate.leave("the disk is full")
        assert consumer.pass_by() == 1, "after a letter was kept, it is another outage"
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in said] == [
        "DEAD LETTERS WAIT ON THEIR QUEUE",
        "the database takes dead letters again",
        "DEAD LETTERS WAIT ON THEIR QUEUE",
    ]


def test_several_letters_that_fail_together_are_one_failure() -> None:
    gate, consumer = attached()
    gate.leave("locked")
    gate.leave("locked")
    assert (consumer.cancelled, len(consumer.waits)) == (1, 1)


def test_a_lost_connection_does_not_lose_the_wait() -> None:
    """Its timers go with it, and the queue would never be consumed again."""
    gate, consumer = attached()
    gate.leave("locked")
    another = Consumer()
    another.consuming = False
    gate.attach(another)
    assert another.pass_by() == 1
    assert another.consuming
    consumer.pass_by()  # should it come all the same, it changes nothing
    assert not consumer.consuming


@pytest.mark.parametrize(
    ("error", "said", "reported"),
    [
        (StoreUnavailable("the database", "locked"), "the database is not available: locked", 0),
        (UnusableUrl("names no file", "name one"), "ION_DATABASE_URL names no file; name one", 0),
        (ZeroDivisionError("my private words"), "an internal error (ZeroDivisionError)", 1),
    ],
)
def test_a_letter_that_cannot_be_kept_goes_back_whatever_the_reason(
    error: Exception, said: str, reported: int
) -> None:
    """Celery would acknowledge what raises anything else, and the letter would be lost."""

    class Broken:
        def keep(self, _: DeadLetter) -> bool:
            raise error

        def tidy(self, before_ms: int, most: int) -> int:
            raise AssertionError(before_ms, most)

    bugs: list[str] = []
    keep = _keeper(Broken(), lambda: lambda doing, _: bugs.append(doing))
    with pytest.raises(Reject) as caught:
        keep(b"rubbish")
    assert (caught.value.requeue, caught.value.reason) == (True, said)
    assert len(bugs) == reported


def test_upkeep_that_fails_waits_for_its_next_time(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def keep(self, letter: DeadLetter) -> bool:
            raise AssertionError(letter.id)

        def tidy(self, _: int, __: int) -> int:
            raise StoreUnavailable("the database", "locked")

    _tidier(Broken(), Retention(), lambda: lambda *_: None)()
    assert "old dead letters stay for now" in caplog.text


def test_a_letter_that_is_news_is_counted_by_its_reason() -> None:
    class Book:
        def __init__(self) -> None:
            self.known: set[str] = set()

        def keep(self, letter: DeadLetter) -> bool:
            news = letter.id not in self.known
            self.known.add(letter.id)
            return news

        def tidy(self, before_ms: int, most: int) -> int:
            return before_ms + most

    recorder = MemoryRecorder("local", "test", lambda: 0.0)
    letters = CountedLetters(Book(), lambda: recorder)
    for one in (letter(id="a"), letter(id="b"), letter(id="a")):
        letters.keep(one)
    (cell,) = recorder.take().cells
    assert (cell.metric, cell.labels, cell.total) == ("dead_letters", (letter().reason.value,), 2)
    assert letters.tidy(1, 2) == 3


def test_an_empty_database_url_means_none() -> None:
    given = {"broker_url": "redis://nowhere"}
    assert WorkerSettings.model_validate({**given, "database_url": ""}).database_url is None
    assert WorkerSettings.model_validate({**given, "database_url": "sqlite:////x"}).database_url is not None


def test_a_worker_that_is_not_connected_yet_has_nothing_to_leave() -> None:
    DeadQueueGate().leave("locked")
