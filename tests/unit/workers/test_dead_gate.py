"""The gate of the dead queue: which calls it makes to Celery's consumer, and when."""

import logging
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from workers.contract import names
from workers.dead_queue import LONGEST_WAIT_S, DeadQueueGate, wait_s


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


def test_a_worker_that_is_not_connected_yet_has_nothing_to_leave() -> None:
    DeadQueueGate().leave("locked")
