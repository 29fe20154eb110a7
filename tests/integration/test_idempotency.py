"""What is sent again under its id is not done again, and its outcome can be had by whoever knows the id."""

import asyncio
import dataclasses
import uuid
from collections.abc import Iterator

import msgspec
import pytest
import redis

from infra.local.stack import LocalStack
from producers import AsyncPersonaClient, IdempotencyConflict, PersonaClient, PersonaRequest, Unavailable
from producers.outcomes import RedisOutcomes
from producers.ports import Claim, Fleet, Publisher
from producers.settings import ClientSettings
from tests.support.valkey import Server, server
from workers.contract import names
from workers.contract.payloads import Outcome, Problem, Status

KEY = "calm-medium-learning"
ONE, OTHER = b"1" * 16, b"2" * 16  # digests of requests


@pytest.fixture(scope="module")
def valkey() -> Iterator[Server]:
    with server() as made:
        yield made


@pytest.fixture
def outcomes(valkey: Server) -> Iterator[RedisOutcomes]:
    valkey.client.flushall()
    made = RedisOutcomes(redis.Redis.from_url(valkey.url))
    yield made
    made.close()


def end(valkey: Server, outcome: Outcome) -> None:
    """Write how a job ended, as a worker does."""
    valkey.client.hset(names.outcome_key(outcome.id), "o", msgspec.msgpack.encode(outcome))


def test_an_id_belongs_to_the_request_that_came_first(outcomes: RedisOutcomes) -> None:
    assert outcomes.claim([("a", ONE), ("b", ONE)]) == [Claim.OURS, Claim.OURS]
    assert outcomes.claim([("a", ONE), ("b", OTHER), ("c", OTHER)]) == [
        Claim.OURS,
        Claim.CONFLICT,
        Claim.OURS,
    ]


def test_a_job_that_has_ended_is_answered_with_its_outcome(outcomes: RedisOutcomes, valkey: Server) -> None:
    ended = Outcome("a", Status.REJECTED, problem=Problem("INVALID_INPUT", "is empty"))
    outcomes.claim([("a", ONE)])
    assert outcomes.find("a") is None
    end(valkey, ended)

    assert outcomes.claim([("a", ONE), ("a", OTHER)]) == [ended, Claim.CONFLICT]
    assert outcomes.find("a") == ended


@pytest.mark.parametrize("status", [Status.EXPIRED, Status.FAILED, Status.DEAD])
def test_a_job_that_ended_without_an_answer_may_be_sent_again(
    outcomes: RedisOutcomes, valkey: Server, status: Status
) -> None:
    outcomes.claim([("a", ONE)])
    end(valkey, Outcome("a", status))

    assert outcomes.claim([("a", ONE)]) == [Claim.OURS]
    found = outcomes.find("a")
    assert found is not None
    assert found.status is status


def test_an_id_is_forgotten_after_an_hour_and_not_before(outcomes: RedisOutcomes, valkey: Server) -> None:
    assert not outcomes.knows("a")
    outcomes.claim([("a", ONE)])
    assert outcomes.knows("a")
    assert 3_500 < valkey.client.ttl(names.outcome_key("a")) <= 3_600

    valkey.client.expire(names.outcome_key("a"), 5)
    outcomes.claim([("a", ONE)])  # asking again keeps it
    assert valkey.client.ttl(names.outcome_key("a")) > 3_500


def test_many_ids_take_one_round_trip(outcomes: RedisOutcomes, valkey: Server) -> None:
    """1,200 jobs are three scripts in one pipeline."""
    jobs = [(f"job {n}", ONE) for n in range(1_200)]
    assert outcomes.claim(jobs) == [Claim.OURS] * 1_200
    end(valkey, Outcome("job 777", Status.OK))

    valkey.client.config_resetstat()
    claims = outcomes.claim(jobs)
    assert [place for place, claim in enumerate(claims) if claim is not Claim.OURS] == [777]
    assert valkey.client.info("commandstats")["cmdstat_eval"]["calls"] == 3


def test_a_store_that_is_away_is_told() -> None:
    with server() as own:
        outcomes = RedisOutcomes(redis.Redis.from_url(own.url))
        outcomes.claim([("a", ONE)])
        own.stop()
        with pytest.raises(Unavailable, match="the reply store"):
            outcomes.claim([("a", ONE)])
        with pytest.raises(Unavailable, match="the reply store"):
            outcomes.find("a")
        with pytest.raises(Unavailable, match="the reply store"):
            outcomes.knows("a")
        own.start()
        assert outcomes.claim([("a", ONE)]) == [Claim.OURS]
        outcomes.close()


# -- with workers ---------------------------------------------------------------------------------------


@pytest.fixture
def job_id() -> str:
    return f"order-{uuid.uuid4().hex}"


def test_another_process_can_ask_for_the_outcome(
    client: PersonaClient, client_settings: ClientSettings, job_id: str
) -> None:
    response = client.submit(PersonaRequest("Why does it fail?", KEY, job_id=job_id)).result(30)

    with PersonaClient(client_settings) as other:
        assert other.knows(job_id)
        found = other.outcome(job_id)
        assert found is not None
        assert (found.job_id, found.unwrap()) == (job_id, response)
        assert not other.knows("nobody's")
        assert other.outcome("nobody's") is None


def test_the_same_request_again_has_the_outcome_of_the_first_and_is_not_done_again(
    client: PersonaClient, client_settings: ClientSettings, stack: LocalStack, job_id: str
) -> None:
    """The outcome on record is made recognisable, so that one that was worked out anew would differ."""
    request = PersonaRequest("Is it done twice?", KEY, metadata={"b": 1, "a": 2}, job_id=job_id)
    first = client.submit(request).outcome(30)
    assert (first.status, first.cached) == ("ok", False)
    marked = Outcome(job_id, Status.REJECTED, problem=Problem("MARKED", "was marked by a test", "text"))
    with redis.Redis.from_url(stack.urls.reply_url) as valkey:
        valkey.hset(names.outcome_key(job_id), "o", msgspec.msgpack.encode(marked))

    again = PersonaRequest("Is it done twice?", KEY, metadata={"a": 2, "b": 1}, job_id=job_id)
    with PersonaClient(client_settings) as other:
        assert "was marked by a test" in str(other.submit(again).outcome(30).error)


class InDoubt:
    """Publishes, and loses the broker's answer the first time."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.told = False
        self.queue_state = publisher.queue_state
        self.close = publisher.close

    def publish(
        self, task: str, queue: str, batch_id: str, payload: bytes, jobs: int, note: str = ""
    ) -> None:
        self._publisher.publish(task, queue, batch_id, payload, jobs, note)
        if not self.told:
            self.told = True
            raise Unavailable("the broker", "it did not answer in time; what was sent may have been taken")


def test_what_was_sent_in_doubt_and_sent_again_has_one_outcome(
    client_settings: ClientSettings, job_id: str
) -> None:
    """Both messages reach a worker; the answers differ in their time, unless they are one.

    An answer may overtake the doubt, which then meets who asks next: so the third is the first without.
    """
    request = PersonaRequest("Was it taken?", KEY, job_id=job_id, use_cache=False)
    with PersonaClient(client_settings) as client:
        connect = client._core._connect

        def doubtfully(client_id: str) -> Fleet:
            fleet = connect(client_id)
            return dataclasses.replace(fleet, publisher=InDoubt(fleet.publisher))

        client._core._connect = doubtfully  # type: ignore[method-assign]
        *doubtful, last = [client.submit(request).outcome(30) for _ in range(3)]
        answered = last.unwrap()
        for end in doubtful:
            assert isinstance(end.error, Unavailable) or end.unwrap() == answered
        found = client.outcome(job_id)
        assert found is not None
        assert found.unwrap() == answered


def test_another_request_under_the_same_id_is_refused(
    client: PersonaClient, client_settings: ClientSettings, job_id: str
) -> None:
    client.submit(PersonaRequest("This is mine", KEY, job_id=job_id)).result(30)
    with PersonaClient(client_settings) as other:
        ended = other.submit(PersonaRequest("This is another", KEY, job_id=job_id)).outcome(30)
        (bulk,) = other.submit_batch([PersonaRequest("Yet another", KEY, job_id=job_id)]).result(30)

    for refused in (ended, bulk):
        assert refused.status == "rejected"
        assert isinstance(refused.error, IdempotencyConflict)
        assert str(refused.error) == ("job_id was used for another request; use a new id for another request")


def test_the_clients_own_ids_can_be_durable_too(client: PersonaClient) -> None:
    handle = client.submit(PersonaRequest("Keep it", KEY, durable=True))
    response = handle.result(30)

    found = client.outcome(handle.job_id)
    assert found is not None
    assert found.unwrap() == response
    passing = client.submit(PersonaRequest("Do not", KEY))
    passing.result(30)
    assert client.outcome(passing.job_id) is None


def test_what_the_client_refuses_claims_nothing(client: PersonaClient, job_id: str) -> None:
    (ended,) = client.process_many([PersonaRequest("hi", "calm-medium-gossip", job_id=job_id)])

    assert ended.status == "rejected"
    assert not client.knows(job_id)


def test_the_async_client_asks_without_holding_its_loop(client_settings: ClientSettings, job_id: str) -> None:
    async def ask() -> None:
        async with AsyncPersonaClient(client_settings) as client:
            request = PersonaRequest("Why does it fail?", KEY, job_id=job_id)
            one, other = await asyncio.gather(client.submit(request), client.submit(request))
            assert one == other
            found = await client.outcome(job_id)
            assert found is not None
            assert found.unwrap() == one
            assert await client.knows(job_id)

    asyncio.run(ask())
