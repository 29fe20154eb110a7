"""Four worker processes, several clients, one cache: computed once, seen by all, gone for all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack, ignore_line
from persona_system.cache import LocalCache, RedisCache, TwoTierCache
from persona_system.errors import InvalidInput
from persona_system.models import Context
from producers import PersonaClient, PersonaRequest
from producers.settings import ClientSettings
from tests.support.stack import client_settings_for, slow_worker_command, start_stack
from tests.support.wait import wait_until

WORKERS = 4
KEY = "calm-medium-learning"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Four workers and a cache."""
    stack = start_stack(tmp_path_factory.mktemp("fleet"), WORKERS)
    yield stack
    stack.stop()


@pytest.fixture
def cached(fleet: LocalStack) -> Iterator[TwoTierCache]:
    """The fleet's cache, seen from this process."""
    assert fleet.urls.cache_url is not None
    shared = RedisCache(fleet.urls.cache_url, timeout_s=2.0)
    assert shared.wait_until_up(10)
    cache = TwoTierCache(LocalCache(), shared)
    yield cache
    cache.close()


def patient(stack: LocalStack, **changes: object) -> ClientSettings:
    return client_settings_for(stack, cache_timeout_ms=2_000, deadline_s=60, **changes)


def computed(cache: TwoTierCache) -> int:
    """Return how many answers the workers have computed so far."""
    assert cache.redis is not None
    return sum(counts.get("computed", 0) for name, counts in cache.redis.stats().items() if name == "process")


def answer(client: PersonaClient, text: str, context: Context | None = None) -> bool:
    """Ask, and tell whether the answer came from the cache."""
    outcome = client.submit(PersonaRequest(text, KEY, context)).outcome()
    assert outcome.result is not None
    assert text in outcome.result.content
    return outcome.cached


def test_what_one_client_asked_is_known_to_the_others(fleet: LocalStack) -> None:
    with PersonaClient(patient(fleet)) as one, PersonaClient(patient(fleet)) as other:
        wait_until(lambda: answer(one, "asked by one"))

        wait_until(lambda: answer(other, "asked by one"))


def test_a_hit_needs_no_worker_at_all(tmp_path: Path) -> None:
    """With every worker gone, what is cached is still answered, and nothing else is."""
    stack = start_stack(tmp_path, workers=1)
    try:
        with PersonaClient(patient(stack)) as client:
            wait_until(lambda: answer(client, "known"))
            with redis.Redis.from_url(stack.urls.reply_url) as broker:
                before = broker.info("commandstats").get("cmdstat_lpush", {}).get("calls", 0)
                assert all(answer(client, "known") for _ in range(100))
                assert broker.info("commandstats").get("cmdstat_lpush", {}).get("calls", 0) == before
    finally:
        stack.stop()


def test_an_invalidation_reaches_clients_and_workers(fleet: LocalStack, cached: TwoTierCache) -> None:
    with PersonaClient(patient(fleet)) as client, PersonaClient(patient(fleet, cache_url="")) as through:
        persona = client.process("soon void", KEY).persona_used
        wait_until(lambda: answer(client, "soon void"))
        wait_until(lambda: all(answer(through, "soon void") for _ in range(20)))  # every worker has it

        assert cached.invalidate(f"persona:{persona}")

        wait_until(lambda: not answer(client, "soon void"), 5)  # computed anew, then cached again
        wait_until(lambda: answer(client, "soon void"))


def test_people_with_one_text_have_answers_of_their_own(fleet: LocalStack) -> None:
    ann, bob = Context(user_id="ann"), Context(user_id="bob")
    with PersonaClient(patient(fleet)) as client:
        wait_until(lambda: answer(client, "the same words", ann))

        assert not answer(client, "the same words", bob)
        found = client.process("the same words", KEY, context=ann).content
        assert "ann" in found
        assert "bob" not in found


def test_metadata_comes_back_with_a_cached_answer(fleet: LocalStack) -> None:
    with PersonaClient(patient(fleet)) as client:
        wait_until(lambda: answer(client, "with metadata"))
        for number in (1, 2):
            request = PersonaRequest("with metadata", KEY, metadata={"number": number})
            outcome = client.submit(request).outcome()

            assert outcome.cached
            assert outcome.unwrap().metadata == {"number": number}
        assert client.process("with metadata", KEY).metadata is None


@pytest.mark.parametrize("metadata", [{"text": "\ud800"}, {"number": 2**70}], ids=["half a pair", "a number"])
def test_metadata_that_cannot_be_packed_is_refused_with_a_cached_answer_too(
    fleet: LocalStack, metadata: dict[str, object]
) -> None:
    with PersonaClient(patient(fleet)) as client:
        wait_until(lambda: answer(client, "with bad metadata"))
        with pytest.raises(InvalidInput, match="metadata cannot be packed"):
            client.process("with bad metadata", KEY, metadata=metadata)


def test_who_wants_no_cached_answer_gets_none(fleet: LocalStack) -> None:
    with PersonaClient(patient(fleet)) as client:
        wait_until(lambda: answer(client, "fresh, please"))
        request = PersonaRequest("fresh, please", KEY, use_cache=False)

        assert not client.submit(request).outcome().cached


def test_a_slow_answer_is_computed_once_in_the_fleet(tmp_path: Path) -> None:
    """Forty callers, four workers, batches of one: the lease holder computes, the others are woken."""

    settings = LocalSettings(
        state_dir=tmp_path / "ion", broker_url=None, reply_url=None, workers=WORKERS, beat=False
    )
    with LocalStack(settings, ignore_line, slow_worker_command) as stack:
        assert stack.urls.cache_url is not None
        shared = RedisCache(stack.urls.cache_url, timeout_s=2.0)
        cache = TwoTierCache(None, shared)
        assert shared.wait_until_up(10)
        with PersonaClient(patient(stack, cache_url="", max_batch_jobs=1)) as client:
            # each worker learns how long its analyser takes
            handles = [client.submit(PersonaRequest(f"to begin with {n}")) for n in range(40)]
            assert all(handle.outcome().status == "ok" for handle in handles)
            wait_until(lambda: computed(cache) == 40)

            handles = [client.submit(PersonaRequest("everybody asks this")) for _ in range(40)]
            answers = [handle.outcome() for handle in handles]

            assert len({one.unwrap().content for one in answers}) == 1
            assert [one.cached for one in answers].count(False) == 1
            wait_until(lambda: computed(cache) == 41)
        cache.close()
