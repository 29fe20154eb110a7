"""Every accepted job is settled exactly once, whatever happens to its batch."""

import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from persona_system.pipeline import load_pipeline
from producers.admission import QueueState
from producers.batching import Lane, PackedJob
from producers.dispatch import Dispatcher
from producers.errors import ClientClosed, IdempotencyConflict, Overloaded, Unavailable
from producers.pending import Gathered, Woken
from producers.requests import PersonaRequest, pack_job
from producers.settings import ClientSettings
from tests.support.loopback import Loopback
from tests.support.wait import wait_until
from workers.contract.payloads import Outcome, Status
from workers.contract.refs import PROCESS

LANE: Lane = (PROCESS, "interactive")
KEY = "calm-medium-learning"
PIPELINE = load_pipeline()


class Client:
    """A dispatcher on a loopback, and what it woke."""

    def __init__(self, **changes: Any) -> None:
        self.loopback = Loopback(PIPELINE, lambda: time.time() * 1000)
        self.woken: queue.SimpleQueue[Woken] = queue.SimpleQueue()
        settings = ClientSettings.model_validate({"broker_url": "memory://", **changes})
        self.dispatcher = Dispatcher(settings, lambda _: self.loopback.fleet(), self._wake)

    def _wake(self, woken: list[Woken]) -> None:
        for one in woken:
            self.woken.put(one)

    def submit(self, waiter: str, deadline_s: float = 10.0, job_id: str | None = None) -> None:
        job_id = self.dispatcher.new_job_id() if job_id is None else job_id
        deadline_ms = int((time.time() + deadline_s) * 1000)
        packed = pack_job(PersonaRequest("Why does it fail?"), KEY, job_id, deadline_ms)
        self.dispatcher.submit(LANE, (job_id, packed, None), waiter, deadline_s)

    def next(self) -> Woken:
        return self.woken.get(timeout=5.0)

    def next_status(self) -> tuple[str, Status]:
        """Return the next waiter that a worker's outcome, or a deadline, woke."""
        waiter, ended = self.next()
        assert isinstance(ended, Outcome)
        return waiter, ended.status


@pytest.fixture
def make_client() -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(**changes: Any) -> Client:
        made.append(Client(**changes))
        return made[-1]

    yield make
    for client in made:
        client.dispatcher.close(patience_s=0.2)


def test_a_job_is_answered(make_client: Callable[..., Client]) -> None:
    client = make_client()
    client.submit("me")

    assert client.next_status() == ("me", Status.OK)
    assert client.loopback.published == [("persona.process", "interactive", 1)]


def test_jobs_submitted_while_one_is_under_way_travel_together(make_client: Callable[..., Client]) -> None:
    client = make_client(linger_ms=50)
    client.loopback.holding = True
    client.submit("first")
    wait_until(lambda: client.loopback.published)
    for number in range(20):
        client.submit(str(number))

    wait_until(lambda: len(client.loopback.published) == 2)
    assert [jobs for _, _, jobs in client.loopback.published] == [1, 20]


def test_a_second_delivery_changes_nothing(make_client: Callable[..., Client]) -> None:
    client = make_client()
    client.loopback.deliveries = 3
    client.submit("first")
    assert client.next()[0] == "first"
    client.submit("second")

    assert client.next()[0] == "second"
    assert client.woken.empty()


def test_a_job_ends_at_its_deadline_and_a_late_answer_is_dropped(make_client: Callable[..., Client]) -> None:
    client = make_client()
    client.loopback.holding = True
    client.submit("me", deadline_s=0.05)

    assert client.next_status() == ("me", Status.EXPIRED)
    client.loopback.release()
    client.dispatcher.close(patience_s=1.0)
    assert client.woken.empty()


def test_a_broker_that_is_away_ends_jobs_and_comes_back(make_client: Callable[..., Client]) -> None:
    client = make_client()
    client.loopback.broken = True
    client.submit("before")
    assert isinstance(client.next()[1], Unavailable)

    client.loopback.broken = False
    client.submit("after")
    assert client.next_status() == ("after", Status.OK)


def test_an_id_that_is_under_way_is_not_taken_for_another_job(make_client: Callable[..., Client]) -> None:
    client = make_client()
    client.loopback.holding = True
    client.submit("me", job_id="mine")

    with pytest.raises(IdempotencyConflict, match="job_id was used for another request"):
        client.submit("me too", job_id="mine")


def test_an_id_that_comes_twice_in_a_batch_or_is_under_way_fails_alone(
    make_client: Callable[..., Client],
) -> None:
    client = make_client()
    client.loopback.holding = True
    client.submit("me", job_id="mine")
    ids = ["new", "mine", "new", "other"]
    gathered = Gathered("all", [None] * 4, 4)
    jobs: list[PackedJob] = [
        (job_id, pack_job(PersonaRequest("hi"), KEY, job_id, 2**50), None) for job_id in ids
    ]
    client.dispatcher.submit_batch(LANE, jobs, [0, 1, 2, 3], gathered, 10.0)
    wait_until(lambda: len(client.loopback.published) == 2)
    client.loopback.release()

    woken = dict([client.next(), client.next()])
    assert isinstance(woken["me"], Outcome)
    ends = woken["all"]
    assert isinstance(ends, list)
    assert [type(end) for end in ends] == [Outcome, IdempotencyConflict, IdempotencyConflict, Outcome]


def test_a_batch_of_nothing_but_known_ids_ends_at_once(make_client: Callable[..., Client]) -> None:
    client = make_client()
    client.loopback.holding = True
    client.submit("me", job_id="mine")
    packed = pack_job(PersonaRequest("hi"), KEY, "mine", 2**50)
    client.dispatcher.submit_batch(LANE, [("mine", packed, None)], [0], Gathered("all", [None], 1), 10.0)

    waiter, ends = client.next()
    assert waiter == "all"
    assert isinstance(ends, list)
    assert isinstance(ends[0], IdempotencyConflict)


def test_too_many_unanswered_jobs_are_refused(make_client: Callable[..., Client]) -> None:
    client = make_client(max_pending_jobs=2)
    client.loopback.holding = True
    client.submit("one")
    client.submit("two")

    with pytest.raises(Overloaded, match="2 jobs of this client are unanswered") as caught:
        client.submit("three")
    assert caught.value.retry_after_s > 0


def test_a_long_queue_is_refused(make_client: Callable[..., Client]) -> None:
    client = make_client(max_queue_batches=10)
    client.submit("one")
    client.next()
    client.loopback.state = QueueState(11)

    def refused() -> bool:
        try:
            client.submit("another")
        except Overloaded as error:
            return "11 batches wait on the queue interactive" in str(error)
        return False

    wait_until(refused)


def test_a_queue_that_does_not_move_is_refused(make_client: Callable[..., Client]) -> None:
    client = make_client(max_queue_age_s=0.05)
    client.loopback.holding = True
    client.submit("one")

    def refused() -> bool:
        try:
            client.submit("another")
        except Overloaded as error:
            return "has not moved" in str(error)
        return False

    wait_until(refused)


def test_a_message_that_was_lost_does_not_close_its_queue_for_ever(
    make_client: Callable[..., Client],
) -> None:
    """Nobody ever answers the first batch; once its deadline is over, another is let through."""
    client = make_client(max_queue_age_s=0.05, deadline_s=0.3)
    client.loopback.holding = True
    client.submit("lost", deadline_s=0.3)
    wait_until(lambda: client.loopback.published)

    def accepted() -> bool:
        try:
            client.submit("next")
        except Overloaded:
            return False
        return True

    wait_until(lambda: not accepted())
    client.loopback.lose()
    client.loopback.holding = False
    wait_until(accepted)


def test_closing_sends_what_is_gathered_and_waits_for_it(make_client: Callable[..., Client]) -> None:
    client = make_client(linger_ms=60_000)
    client.loopback.holding = True
    client.submit("first")
    wait_until(lambda: client.loopback.published)
    client.submit("gathered")
    client.loopback.holding = False
    client.dispatcher.close(patience_s=5.0)

    assert not client.dispatcher._pending
    assert {client.next()[0] for _ in range(2)} == {"first", "gathered"}


def test_closing_ends_what_is_left(make_client: Callable[..., Client]) -> None:
    client = make_client()
    client.loopback.holding = True
    client.submit("me")
    client.dispatcher.close(patience_s=0.1)

    assert isinstance(client.next()[1], ClientClosed)
    with pytest.raises(ClientClosed):
        client.submit("too late")
