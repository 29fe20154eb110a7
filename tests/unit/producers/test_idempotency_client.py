"""The client's part in doing nothing twice: who sends, who waits along, and who is refused."""

import time
from collections.abc import Iterator

import pytest

from persona_system.models import Context
from persona_system.pipeline import load_pipeline
from producers import IdempotencyConflict, PersonaClient, PersonaRequest, Unavailable
from producers.requests import digest_of
from tests.support.loopback import Loopback
from tests.support.loopback_client import loopback_client
from tests.support.wait import wait_until
from workers.contract.payloads import Outcome, Status

KEY = "calm-medium-learning"
MINE = PersonaRequest("Why does it fail?", KEY, job_id="mine")


@pytest.fixture
def loopback() -> Loopback:
    return Loopback(load_pipeline(), lambda: time.time() * 1000)


@pytest.fixture
def client(loopback: Loopback) -> Iterator[PersonaClient]:
    with loopback_client(loopback) as made:
        yield made


def digest(request: PersonaRequest, task: str = "persona.process") -> bytes:
    return digest_of(task, request, KEY)


def test_a_callers_id_makes_a_job_durable(client: PersonaClient, loopback: Loopback) -> None:
    client.submit(MINE).result(5)
    client.submit(PersonaRequest("Why does it fail?", KEY)).result(5)

    assert list(loopback.claimed) == ["mine"]
    assert list(loopback.ended) == ["mine"]


def test_a_job_that_has_ended_is_answered_without_being_sent(
    client: PersonaClient, loopback: Loopback
) -> None:
    first = client.submit(MINE).outcome(5)
    second = client.submit(MINE).outcome(5)

    assert second == first
    assert len(loopback.published) == 1


def test_only_those_of_a_batch_that_have_not_ended_are_sent(
    client: PersonaClient, loopback: Loopback
) -> None:
    client.submit(MINE).result(5)
    requests = [PersonaRequest("new"), MINE, PersonaRequest("other", job_id="mine"), PersonaRequest("newer")]
    outcomes = client.submit_batch(requests).result(5)

    assert [outcome.status for outcome in outcomes] == ["ok", "ok", "rejected", "ok"]
    assert [jobs for _, _, jobs in loopback.published] == [1, 2]


def test_a_job_without_an_answer_so_far_is_sent_again(client: PersonaClient, loopback: Loopback) -> None:
    """Its first message was lost for all that we know; the worker settles it once."""
    loopback.claimed["mine"] = digest(MINE)

    assert client.submit(MINE).outcome(5).status == "ok"


def test_whoever_asks_for_what_is_under_way_waits_along(client: PersonaClient, loopback: Loopback) -> None:
    loopback.holding = True
    first, second = client.submit(MINE), client.submit(MINE)
    batch = client.submit_batch([MINE, PersonaRequest("beside it"), MINE])
    wait_until(lambda: len(loopback.published) == 2)
    loopback.release()

    assert first.result(5) == second.result(5)
    assert [outcome.status for outcome in batch.result(5)] == ["ok"] * 3
    assert [jobs for _, _, jobs in loopback.published] == [1, 1]


def test_another_request_under_an_id_that_is_under_way_is_refused_at_once(
    client: PersonaClient, loopback: Loopback
) -> None:
    loopback.holding = True
    client.submit(MINE)

    with pytest.raises(IdempotencyConflict, match="job_id was used for another request"):
        client.submit(PersonaRequest("Something else", KEY, job_id="mine"))
    (refused,) = client.submit_batch([PersonaRequest("Something else", KEY, job_id="mine")]).result(5)
    assert isinstance(refused.error, IdempotencyConflict)


def test_an_id_that_another_process_used_is_refused(client: PersonaClient, loopback: Loopback) -> None:
    loopback.claimed["mine"] = b"another digest .."

    ended = client.submit(MINE).outcome(5)
    assert (ended.status, loopback.published) == ("rejected", [])
    assert isinstance(ended.error, IdempotencyConflict)


def test_nothing_is_sent_that_could_not_be_claimed(client: PersonaClient, loopback: Loopback) -> None:
    loopback.store_broken = True

    with pytest.raises(Unavailable):
        client.submit(MINE).result(5)
    assert loopback.published == []


def test_what_is_refused_before_it_is_sent_leaves_its_id_free(client: PersonaClient) -> None:
    outcomes = client.process_many([PersonaRequest("", job_id="mine"), PersonaRequest("good", job_id="mine")])

    assert [outcome.status for outcome in outcomes] == ["rejected", "ok"]


def test_a_job_that_ran_out_of_time_is_not_ended_for_good(client: PersonaClient, loopback: Loopback) -> None:
    loopback.claimed["mine"] = digest(MINE)
    loopback.record([Outcome("mine", Status.EXPIRED)])

    assert client.outcome("mine") is not None
    assert client.submit(MINE).outcome(5).status == "ok"


def test_an_outcome_is_read_as_the_waiter_would_have_read_it(
    client: PersonaClient, loopback: Loopback
) -> None:
    assert client.outcome("mine") is None
    assert not client.knows("mine")

    ended = client.submit(MINE).outcome(5)
    assert client.outcome("mine") == ended
    assert client.knows("mine")
    assert loopback.published[0][2] == 1


@pytest.mark.parametrize(
    "other",
    [
        PersonaRequest("Why does it fail!", KEY),
        PersonaRequest("Why does it fail?", KEY, context=Context(user_id="u")),
        PersonaRequest("Why does it fail?", KEY, metadata={"n": 1}),
    ],
)
def test_requests_differ_in_what_the_answer_depends_on(other: PersonaRequest) -> None:
    assert digest(other) != digest(MINE)
    assert digest(MINE, "persona.recommend") != digest(MINE)
    assert digest_of("persona.process", MINE, None) != digest(MINE)


def test_the_order_of_metadata_makes_no_other_request() -> None:
    one = PersonaRequest("hi", metadata={"a": 1, "b": {"c": 2, "d": 3}})
    same = PersonaRequest("hi", metadata={"b": {"d": 3, "c": 2}, "a": 1})

    assert digest(one) == digest(same)
    assert len(digest(PersonaRequest("hi", metadata={"n": {1: "keys that are no text"}}))) == 16
