"""``send`` returns when the broker has a job: not before, and not only when it has ended."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from persona_system.errors import InvalidInput
from persona_system.pipeline import load_pipeline
from producers import IdempotencyConflict, Overloaded, PersonaClient, PersonaRequest, Unavailable
from tests.support.loopback import Loopback
from tests.support.loopback_client import loopback_client

KEY = "calm-medium-learning"
MINE = PersonaRequest("Why does it fail?", KEY, job_id="mine")


class SlowBroker(Loopback):
    """Takes a batch only when it is told to."""

    def __init__(self) -> None:
        super().__init__(load_pipeline(), lambda: time.time() * 1000)
        self.holding = True
        self.asked, self.may_take = threading.Event(), threading.Event()

    def publish(
        self, task: str, queue: str, batch_id: str, payload: bytes, jobs: int, note: str = ""
    ) -> None:
        self.asked.set()
        assert self.may_take.wait(10)
        super().publish(task, queue, batch_id, payload, jobs, note)


@pytest.fixture
def broker() -> SlowBroker:
    return SlowBroker()


@pytest.fixture
def client(broker: SlowBroker) -> Iterator[PersonaClient]:
    with loopback_client(broker) as made:
        yield made


def test_it_waits_for_the_broker_and_not_for_the_answer(client: PersonaClient, broker: SlowBroker) -> None:
    with ThreadPoolExecutor() as pool:
        sending = pool.submit(client.send, MINE)
        assert broker.asked.wait(10)
        assert not sending.done()

        broker.may_take.set()
        handle = sending.result(10)
        assert not handle.done()

        broker.release()
        assert handle.result(10).persona_used


def test_its_outcome_can_be_asked_for_by_id(client: PersonaClient, broker: SlowBroker) -> None:
    """A job of ``send`` is durable even if the caller has given it no id."""
    broker.may_take.set()
    handle = client.send(PersonaRequest("Why does it fail?", KEY))
    assert client.outcomes([handle.job_id, "another"]) == [None, None]
    assert client.knows(handle.job_id)

    broker.release()
    ended = handle.outcome(10)
    assert client.outcomes([handle.job_id, "another"]) == [ended, None]


def test_who_sends_what_is_on_its_way_is_told_at_once(client: PersonaClient, broker: SlowBroker) -> None:
    broker.may_take.set()
    first = client.send(MINE)
    second = client.send(MINE)
    assert len(broker.published) == 1

    broker.release()
    assert first.result(10) == second.result(10)


def test_who_sends_what_has_ended_is_told_at_once(client: PersonaClient, broker: SlowBroker) -> None:
    broker.may_take.set()
    broker.holding = False
    ended = client.send(MINE).outcome(10)

    assert client.send(MINE).outcome(10) == ended
    assert len(broker.published) == 1


@pytest.mark.parametrize(
    ("trouble", "told"), [("broken", Unavailable), ("full", Overloaded), ("store_broken", Unavailable)]
)
def test_what_the_broker_did_not_take_is_told(
    client: PersonaClient, broker: SlowBroker, trouble: str, told: type[Exception]
) -> None:
    broker.may_take.set()
    setattr(broker, trouble, True)

    with pytest.raises(told):
        client.send(MINE)


def test_another_request_under_the_id_is_refused(client: PersonaClient, broker: SlowBroker) -> None:
    broker.may_take.set()
    client.send(MINE)
    with pytest.raises(IdempotencyConflict):
        client.send(PersonaRequest("Something else", KEY, job_id="mine"))

    broker.claimed["theirs"] = b"the digest of another request"
    with pytest.raises(IdempotencyConflict):
        client.send(PersonaRequest("Something else", KEY, job_id="theirs"))


def test_bad_input_is_refused_before_anything_is_sent(client: PersonaClient, broker: SlowBroker) -> None:
    with pytest.raises(InvalidInput):
        client.send(PersonaRequest(" ", KEY))
    assert not broker.published
