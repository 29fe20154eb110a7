"""Step 4: what a chunk goes through until somebody answers."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import timedelta

import pytest

from persona_system.errors import InvalidInput
from persona_system.models import Response
from producers.bulk.chunk import Chunk
from producers.bulk.submit import GaveUp, Interrupted, Outcomes, Sender
from producers.errors import DeadlineExceeded, JobFailed, Overloaded, Unavailable
from producers.requests import JobOutcome, PersonaRequest

AWAY = Unavailable("the broker", "connection refused")
FULL = Overloaded("2,000 messages wait", 1.5)
FAILED: JobOutcome[Response] = JobOutcome("j", "failed", None, JobFailed("j", "X", "broke"))
EXPIRED: JobOutcome[Response] = JobOutcome("j", "expired", None, DeadlineExceeded("j"))
UNSENT: JobOutcome[Response] = JobOutcome("j", "unsent", None, AWAY)
REJECTED: JobOutcome[Response] = JobOutcome("j", "rejected", None, InvalidInput("f", "p", "x"))


class World:
    """A fleet that answers from a script, and a clock that only waiting moves."""

    def __init__(self, *script: Exception | Outcomes, stop_after: float | None = None) -> None:
        self.script = list(script)
        self.now = 0.0
        self.waits: list[float] = []
        self.reasons: list[str] = []
        self.sent = 0
        self.breakable = self.urgent = False
        self.stop_after = stop_after

    @property
    def requested(self) -> bool:
        return self.stop_after is not None and self.now >= self.stop_after

    def wait(self, seconds: float) -> bool:
        self.waits.append(round(seconds, 3))
        self.now += seconds
        return self.requested

    def waiting(self, why: str, seconds: float) -> None:
        assert seconds > 0
        self.reasons.append(why)

    def submit(self, requests: Sequence[PersonaRequest]) -> "Future[Outcomes]":
        self.sent += 1
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        future: Future[Outcomes] = Future()
        future.set_result([outcome for outcome in step for _ in requests])
        return future

    def sender(self, patience_s: float = 60) -> Sender:
        return Sender(self.submit, timedelta(seconds=patience_s), self, self, lambda: self.now)

    def go(self, patience_s: float = 60, relieve: Callable[[], bool] = lambda: False) -> Outcomes:
        sender = self.sender(patience_s)
        return sender.settle(sender.send(CHUNK, relieve))


CHUNK = Chunk([PersonaRequest("a")], [(1, None)])


def test_a_chunk_without_requests_needs_no_fleet() -> None:
    world = World(AWAY)
    sender = world.sender()
    assert sender.settle(sender.send(Chunk())) == []
    assert world.sent == 0


def test_overloaded_waits_as_long_as_it_is_told_to() -> None:
    world = World(FULL, FULL, [FAILED])
    assert world.go() == [FAILED]
    assert world.waits == [1.5, 1.5]


def test_overloaded_first_collects_what_is_in_flight() -> None:
    world = World(FULL, FULL, [FAILED])
    in_flight = [1, 2]

    def relieve() -> bool:
        return bool(in_flight) and bool(in_flight.pop())

    assert world.go(relieve=relieve) == [FAILED]
    assert (world.waits, in_flight) == ([], [])


def test_an_overload_that_says_at_once_does_not_spin() -> None:
    world = World(Overloaded("full", 0.0), [FAILED])
    world.go()
    assert world.waits == [0.01]


def test_unavailable_is_tried_again_with_longer_and_longer_waits() -> None:
    """0.2, 0.4, ... up to 5 seconds each."""
    world = World(*[AWAY] * 7, [FAILED])
    assert world.go() == [FAILED]
    assert world.waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert world.reasons[0] == "the broker is not available: connection refused"


@pytest.mark.parametrize("silence", [AWAY, FULL, [EXPIRED], [UNSENT]])
def test_the_run_gives_up_when_nothing_is_answered_for_its_patience(silence: Exception | Outcomes) -> None:
    world = World(silence)
    with pytest.raises(GaveUp):
        world.go(patience_s=10)
    assert world.now == pytest.approx(10)


def test_no_patience_gives_up_at_the_first_silence() -> None:
    world = World(AWAY)
    with pytest.raises(GaveUp, match="connection refused"):
        world.go(patience_s=0)
    assert world.waits == []


def test_an_answer_renews_the_patience() -> None:
    """Twice 7 s of silence with an answer between them are no 10 s of silence."""
    world = World(*[AWAY] * 4, [FAILED], *[AWAY] * 4, [FAILED])
    sender = world.sender(patience_s=5)
    for _ in range(2):
        assert sender.settle(sender.send(CHUNK)) == [FAILED]
    assert world.waits == [0.2, 0.4, 0.8, 1.6] * 2


@pytest.mark.parametrize("silence", [[EXPIRED], [UNSENT], [REJECTED, EXPIRED]])
def test_a_chunk_that_nobody_answered_is_sent_again(silence: Outcomes) -> None:
    world = World(silence, [FAILED])
    assert world.go() == [FAILED]
    assert world.sent == 2


@pytest.mark.parametrize("answer", [[FAILED, EXPIRED], [REJECTED]])
def test_a_chunk_that_was_answered_in_part_is_not(answer: Outcomes) -> None:
    world = World(answer)
    assert world.go() == answer
    assert world.sent == 1


def test_a_future_that_fails_as_unavailable_is_sent_again() -> None:
    world = World([FAILED])
    sender = world.sender()
    sent = sender.send(CHUNK)
    lost: Future[Outcomes] = Future()
    lost.set_exception(AWAY)
    assert sender.settle(type(sent)(CHUNK, lost)) == [FAILED]


class Never(Future[Outcomes]):
    """Has no answer, however long one waits; does not really wait."""

    def result(self, timeout: float | None = None) -> Outcomes:
        assert timeout is not None
        raise TimeoutError


class Ticking(World):
    """A world where time passes by looking at the clock."""

    def tick(self) -> float:
        self.now += 3.0
        return self.now


def test_an_answer_that_never_comes_ends_the_run_after_its_patience() -> None:
    """Jobs that were accepted may have a deadline beyond the patience of the run."""
    world = Ticking([FAILED])
    sender = Sender(world.submit, timedelta(seconds=10), world, world, world.tick)
    sent = sender.send(CHUNK)
    with pytest.raises(GaveUp, match="no worker answers"):
        sender.settle(type(sent)(CHUNK, Never()))
    assert set(world.reasons) == {"no answer yet"}


def test_an_urgent_stop_does_not_wait_for_the_answer() -> None:
    world = World([FAILED])
    world.urgent = True
    sent = world.sender().send(CHUNK)
    with pytest.raises(Interrupted):
        world.sender().settle(type(sent)(CHUNK, Never()))


def test_a_stop_ends_the_waiting() -> None:
    world = World(AWAY, stop_after=1.0)
    with pytest.raises(Interrupted):
        world.go()
    assert world.now < 2


def test_a_bug_is_not_taken_for_silence() -> None:
    with pytest.raises(ZeroDivisionError):
        World(ZeroDivisionError()).go()
