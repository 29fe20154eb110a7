"""Step 4: what a chunk goes through until somebody answers."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import timedelta

import pytest

from persona_system.errors import InvalidInput
from producers.bulk import submit
from producers.bulk.answer import Answer
from producers.bulk.chunk import Chunk
from producers.bulk.submit import (
    MOST_TRIES,
    OVERTAKEN_S,
    SILENCE_S,
    GaveUp,
    Interrupted,
    Outcomes,
    Sender,
)
from producers.errors import DeadlineExceeded, JobDead, JobFailed, Overloaded, Unavailable
from producers.requests import JobOutcome, PersonaRequest

AWAY = Unavailable("the broker", "connection refused")
FULL = Overloaded("2,000 messages wait", 1.5)
FAILED: JobOutcome[Answer] = JobOutcome("j", "failed", None, JobFailed("j", "X", "broke"))
DEAD: JobOutcome[Answer] = JobOutcome("j", "dead", None, JobDead("j", "POISON", "crashed"))
EXPIRED: JobOutcome[Answer] = JobOutcome("j", "expired", None, DeadlineExceeded("j"))
UNSENT: JobOutcome[Answer] = JobOutcome("j", "unsent", None, AWAY)
REJECTED: JobOutcome[Answer] = JobOutcome("j", "rejected", None, InvalidInput("f", "p", "x"))


class World:
    """A fleet that answers from a script, and a clock that only waiting moves."""

    def __init__(self, *script: Exception | Outcomes, stop_after: float | None = None) -> None:
        self.script = list(script)
        self.now = 0.0
        self.waits: list[float] = []
        self.reasons: list[str] = []
        self.sent = 0
        self.batches: list[Sequence[PersonaRequest]] = []
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
        self.batches.append(requests)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        future: Future[Outcomes] = Future()
        future.set_result(step if len(step) == len(requests) else step * len(requests))
        return future

    def sender(self, patience_s: float = 60) -> Sender:
        return Sender(self.submit, timedelta(seconds=patience_s), self, self, lambda: self.now)

    def go(self, patience_s: float = 60, relieve: Callable[[], bool] = lambda: False) -> Outcomes:
        sender = self.sender(patience_s)
        return sender.settle([sender.send(CHUNK, relieve)]).settled()


CHUNK = Chunk([PersonaRequest("a")], [(1, None)])


def test_a_chunk_without_requests_needs_no_fleet() -> None:
    world = World(AWAY)
    sender = world.sender()
    assert sender.settle([sender.send(Chunk())]).settled() == []
    assert world.sent == 0


def test_overloaded_waits_as_long_as_it_is_told_to() -> None:
    world = World(FULL, FULL, [FAILED])
    assert world.go() == [FAILED]
    assert world.waits == [1.5, 1.5]


def test_overloaded_collects_what_is_in_flight_while_it_waits() -> None:
    """Two chunks are collected in the 1.5 s that the fleet asked for, and then the rest is waited out."""
    world = World(FULL, [FAILED])
    in_flight = [1, 2]

    def relieve() -> bool:
        if in_flight:
            in_flight.pop()
            world.now += 0.5
            return True
        return False

    assert world.go(relieve=relieve) == [FAILED]
    assert (world.waits, in_flight) == ([0.5], [])


def test_overloaded_halves_what_may_be_in_flight_and_answers_bring_it_back() -> None:
    world = World(FULL, FULL, [FAILED])
    sender = Sender(world.submit, timedelta(seconds=60), world, world, lambda: world.now, window=8)
    sent = sender.send(CHUNK)
    assert sender.credit.batches == 2
    sender.settle([sent])
    for _ in range(20):
        sender.settle([sender.send(CHUNK)])
    assert sender.credit.batches > 5


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
        assert sender.settle([sender.send(CHUNK)]).settled() == [FAILED]
    assert world.waits == [0.2, 0.4, 0.8, 1.6] * 2


@pytest.mark.parametrize("silence", [EXPIRED, UNSENT])
def test_a_chunk_that_nobody_answered_is_sent_again(silence: JobOutcome[Answer]) -> None:
    world = World([silence], [FAILED])
    assert world.go() == [FAILED]
    assert world.sent == 2


def test_what_a_worker_did_not_get_to_goes_again_alone() -> None:
    """Of three jobs one is answered, one refused before it was sent, one expires: the last goes again."""
    chunk = Chunk([PersonaRequest(text) for text in "abc"], [(1, None), (2, None), (3, None)])
    world = World([FAILED, REJECTED, EXPIRED], [DEAD])
    sender = world.sender()

    assert sender.settle([sender.send(chunk)]).settled() == [FAILED, REJECTED, DEAD]
    assert [[request.user_input for request in batch] for batch in world.batches] == [["a", "b", "c"], ["c"]]


def test_a_job_that_always_expires_while_its_neighbours_are_answered_has_expired() -> None:
    chunk = Chunk([PersonaRequest(text) for text in "ab"], [(1, None), (2, None)])
    world = World([FAILED, EXPIRED], [EXPIRED], [EXPIRED])
    sender = world.sender()
    sent = sender.send(chunk)
    sent.tries = MOST_TRIES - 1
    assert sender.settle([sent]).settled() == [FAILED, EXPIRED]


def test_a_future_that_fails_as_unavailable_is_sent_again() -> None:
    world = World([FAILED])
    sender = world.sender()
    sent = sender.send(CHUNK)
    lost: Future[Outcomes] = Future()
    lost.set_exception(AWAY)
    sent.flights = {lost: [0]}
    assert sender.settle([sent]).settled() == [FAILED]
    assert world.sent == 2


class Ticking(World):
    """A world where a second passes by looking at the clock, and nothing is answered before its time."""

    def __init__(self, answered_from: float = float("inf")) -> None:
        super().__init__([FAILED])
        self.answered_from = answered_from
        self.pending: list[Future[Outcomes]] = []

    def tick(self) -> float:
        self.now += 1.0
        return self.now

    def submit(self, requests: Sequence[PersonaRequest]) -> "Future[Outcomes]":
        self.sent += 1
        future: Future[Outcomes] = Future()
        if self.now >= self.answered_from:
            future.set_result([FAILED for _ in requests])
        self.pending.append(future)
        return future

    def ticking_sender(self, patience_s: float = 60) -> Sender:
        return Sender(self.submit, timedelta(seconds=patience_s), self, self, self.tick, window=8)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes by looking at the clock: real waiting adds nothing."""
    monkeypatch.setattr(submit, "_LOOK_EVERY_S", 0.001)


def test_an_answer_that_never_comes_ends_the_run_after_its_patience() -> None:
    """Jobs that were accepted may have a deadline beyond the patience of the run."""
    world = Ticking()
    sender = world.ticking_sender(patience_s=10)
    sent = sender.send(CHUNK)
    with pytest.raises(GaveUp, match="no worker answers"):
        sender.settle([sent])
    assert set(world.reasons) == {"no answer yet"}


def test_a_long_silence_makes_the_oldest_chunk_go_once_more() -> None:
    """Its message may be lost with the broker that had it; a second answer does no harm."""
    world = Ticking(answered_from=SILENCE_S)
    sender = world.ticking_sender()
    assert sender.settle([sender.send(CHUNK)]).settled() == [FAILED]
    assert world.sent == 2


def test_a_chunk_that_others_overtook_goes_once_more() -> None:
    world = Ticking()
    sender = world.ticking_sender()
    first, second = sender.send(CHUNK), sender.send(CHUNK)
    world.pending[1].set_result([FAILED])
    world.answered_from = 0

    assert sender.settle([first, second]) is first
    assert world.sent == 3
    assert OVERTAKEN_S <= world.now < SILENCE_S


def test_whichever_is_answered_first_counts() -> None:
    world = Ticking()
    sender = world.ticking_sender()
    first, second = sender.send(CHUNK), sender.send(CHUNK)
    world.pending[1].set_result([FAILED])

    assert sender.settle([first, second], ordered=False) is second


def test_an_urgent_stop_does_not_wait_for_the_answer() -> None:
    world = Ticking()
    world.urgent = True
    sender = world.ticking_sender()
    with pytest.raises(Interrupted):
        sender.settle([sender.send(CHUNK)])


def test_a_stop_ends_the_waiting() -> None:
    world = World(AWAY, stop_after=1.0)
    with pytest.raises(Interrupted):
        world.go()
    assert world.now < 2


def test_a_bug_is_not_taken_for_silence() -> None:
    with pytest.raises(ZeroDivisionError):
        World(ZeroDivisionError()).go()
