"""What every composition of the cache does alike: local, store only, both; on Valkey and on Redis 7."""

import asyncio
import random
import threading

import pytest

from persona_system.cache.keys import EVERYTHING_ID, names_of, request_id, tag_ids, version_id
from persona_system.cache.once import compute_once, compute_once_async
from persona_system.cache.tiers import Item
from persona_system.cache.two_tier import TwoTierCache
from tests.backends.conftest import Backend
from tests.support.caching import EXACT, get, key, put

FOREIGN = (
    b"",
    b"\x00",
    b"hello",
    b"\xf1\x0e",
    b"\xf1\x0e\x01\x02" + bytes(40),
    b"\x93\x01\x02\x03",
    bytes(10_000),
)


def test_what_was_stored_is_found_and_the_rest_is_missing_in_order(backend: Backend) -> None:
    cache = backend.make()
    put(cache, "a", b"A")
    put(cache, "b", b"B")

    found = cache.lookup([key(name) for name in ("b", "x", "a", "b", "y")])

    assert found.values == [b"B", None, b"A", b"B", None]
    assert found.local + found.shared == 3
    assert found.refresh == []


def test_an_empty_batch_is_nothing(backend: Backend) -> None:
    cache = backend.make()
    assert cache.lookup([]).values == []
    cache.store([], {})
    cache.discard()
    assert cache.invalidate()


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_values_of_any_size_come_back_as_they_were(backend: Backend, size: int) -> None:
    cache, value = backend.make(), random.Random(size).randbytes(size)
    put(cache, "a", value)
    assert get(cache, "a") == value


def test_many_keys_at_once(backend: Backend) -> None:
    """2,500 is more than one command carries, and more than the local tier keeps."""
    cache = backend.make()
    keys = [key(n) for n in range(2_500)]
    ticket = cache.lookup([]).ticket
    cache.store([Item(one, b"%d" % n, (), EXACT) for n, one in enumerate(keys)], ticket)

    values = cache.lookup(keys).values

    assert all(value in {None, b"%d" % n} for n, value in enumerate(values))
    assert values.count(None) == (0 if backend.shared else 1_000)


def test_a_later_value_replaces_an_earlier_one(backend: Backend) -> None:
    cache = backend.make()
    put(cache, "a", b"1")
    put(cache, "a", b"2")
    assert get(cache, "a") == b"2"


def test_invalidating_a_tag_voids_its_answers_and_no_others(backend: Backend) -> None:
    cache = backend.make()
    put(cache, "a", b"A", "user:1", "persona:Lua")
    put(cache, "b", b"B", "user:2", "persona:Lua")
    put(cache, "c", b"C")

    assert cache.invalidate("user:1", "never used")
    assert [get(cache, name) for name in "abc"] == [None, b"B", b"C"]

    put(cache, "a", b"new", "user:1", "persona:Lua")
    assert get(cache, "a") == b"new"
    assert cache.invalidate("persona:Lua")
    assert [get(cache, name) for name in "abc"] == [None, None, b"C"]


def test_clearing_voids_everything(backend: Backend) -> None:
    cache = backend.make()
    put(cache, "a", b"A", "user:1")
    put(cache, "b", b"B")
    assert cache.clear()
    assert [get(cache, name) for name in "ab"] == [None, None]
    put(cache, "a", b"new", "user:1")
    assert get(cache, "a") == b"new"


def test_single_answers_can_be_dropped(backend: Backend) -> None:
    cache = backend.make()
    put(cache, "a", b"A")
    put(cache, "b", b"B")
    cache.discard(key("a"), key("never there"))
    assert [get(cache, name) for name in "ab"] == [None, b"B"]


def test_an_invalidation_between_look_up_and_store_voids_what_was_computed(backend: Backend) -> None:
    """The ticket holds the stamps from before; what was computed then may rest on old data."""
    cache = backend.make()
    tags = tag_ids(("user:1",))
    ticket = cache.lookup([key("a"), key("b")], tags).ticket
    cache.invalidate("user:1")
    cache.store([Item(key("a"), b"old", tags, EXACT), Item(key("b"), b"fine", (), EXACT)], ticket)
    assert [get(cache, name) for name in "ab"] == [None, b"fine"]


def test_a_tag_that_is_not_on_the_ticket_keeps_its_answer_out(backend: Backend) -> None:
    cache = backend.make()
    ticket = cache.lookup([key("a")], tag_ids(("user:1",))).ticket
    cache.store([Item(key("a"), b"A", tag_ids(("user:2",)), EXACT)], ticket)
    cache.store([Item(key("b"), b"B", (), EXACT)], {})
    assert [get(cache, name) for name in "ab"] == [None, None]


def test_an_answer_is_due_then_stale_then_dead(backend: Backend) -> None:
    """Due at 100 s: one caller refreshes, the others are served the old one; dead at 150 s."""
    cache = backend.make()
    put(cache, "a", b"A")

    backend.time.pass_by(99.9)
    assert cache.lookup([key("a")]).refresh == []
    backend.time.pass_by(0.1)
    elected = [cache.lookup([key("a"), key("x")], tag_ids(("t",))) for _ in range(3)]
    assert [found.values[0] for found in elected] == [b"A"] * 3
    assert [found.refresh for found in elected].count([0]) == 1
    assert cache.get_here(key("a")) is None or elected[0].refresh == [0]
    backend.time.pass_by(49.9)
    assert get(cache, "a") == b"A"
    backend.time.pass_by(0.1)
    assert get(cache, "a") is None


def test_the_ticket_of_a_refresh_lets_the_new_answer_in(backend: Backend) -> None:
    cache, tags = backend.make(), tag_ids(("seen", "never seen before"))
    put(cache, "a", b"old", "seen")
    backend.time.pass_by(100)
    found = cache.lookup([key("a")], tags)
    assert found.refresh == [0]
    cache.store([Item(key("a"), b"new", tags, EXACT)], found.ticket)
    backend.time.pass_by(99)
    assert (get(cache, "a"), cache.lookup([key("a")]).refresh) == (b"new", [])


def test_keys_of_another_version_or_request_never_meet(backend: Backend) -> None:
    cache = backend.make()
    put(cache, "a", b"A")
    others = [
        version_id("test") + request_id("b"),
        version_id("tesu") + request_id("a"),
        version_id("test") + request_id("a", None),
        version_id("test") + request_id(["a"]),
    ]
    assert cache.lookup(others).values == [None] * 4


def test_a_computation_runs_once_and_its_answer_is_kept(backend: Backend) -> None:
    cache, calls = backend.make(), []

    def compute() -> bytes:
        calls.append(1)
        return b"A"

    for _ in range(3):
        assert compute_once(cache, key("a"), compute, tags=tag_ids(("t",)), lifetime=EXACT) == b"A"
    assert len(calls) == 1
    cache.invalidate("t")
    assert compute_once(cache, key("a"), compute, tags=tag_ids(("t",)), lifetime=EXACT) == b"A"
    assert len(calls) == 2


def test_threads_share_one_computation_and_its_error(backend: Backend) -> None:
    cache, calls, outcomes = backend.make(), [], []
    everybody = threading.Barrier(8)
    begun, go = threading.Event(), threading.Event()

    def compute() -> bytes:
        calls.append(1)
        begun.set()
        assert go.wait(10)
        raise LookupError("no such thing")

    def ask() -> None:
        everybody.wait(10)
        try:
            compute_once(cache, key("a"), compute, lifetime=EXACT)
        except LookupError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go.set()
    for thread in threads:
        thread.join(10)
    assert outcomes == ["no such thing"] * 8
    assert compute_once(cache, key("a"), lambda: b"A", lifetime=EXACT) == b"A"


def test_a_refresh_that_fails_leaves_the_old_answer(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    cache = backend.make()
    put(cache, "a", b"old")
    backend.time.pass_by(100)

    def fail() -> bytes:
        raise LookupError("private")

    assert compute_once(cache, key("a"), fail, lifetime=EXACT) == b"old"
    assert cache.counters.counts()["once"]["refresh_failed"] == 1
    assert ["LookupError" in record.message for record in caplog.records] == [True]
    assert "private" not in caplog.text


def test_the_elected_caller_refreshes(backend: Backend) -> None:
    cache = backend.make()
    put(cache, "a", b"old")
    backend.time.pass_by(100)
    assert compute_once(cache, key("a"), lambda: b"new", lifetime=EXACT) == b"new"
    assert get(cache, "a") == b"new"


def test_tasks_share_one_computation(backend: Backend) -> None:
    cache, calls = backend.make(), []

    async def compute() -> bytes:
        calls.append(1)
        await asyncio.sleep(0)
        return b"A"

    async def ask() -> bytes:
        return await compute_once_async(cache, key("a"), compute, tags=tag_ids(("t",)), lifetime=EXACT)

    async def story() -> None:
        assert await asyncio.gather(*[ask() for _ in range(50)]) == [b"A"] * 50
        assert await ask() == b"A"

    asyncio.run(story())
    assert len(calls) == 1


def test_a_task_refreshes_and_a_failing_refresh_is_not_told(backend: Backend) -> None:
    cache = backend.make()
    put(cache, "a", b"old")
    put(cache, "b", b"old")
    backend.time.pass_by(100)

    async def renew() -> bytes:
        return b"new"

    async def fail() -> bytes:
        raise LookupError

    async def story() -> None:
        assert await compute_once_async(cache, key("a"), renew, lifetime=EXACT) == b"new"
        assert await compute_once_async(cache, key("b"), fail, lifetime=EXACT) == b"old"
        with pytest.raises(LookupError):
            await compute_once_async(cache, key("c"), fail, lifetime=EXACT)

    asyncio.run(story())
    assert get(cache, "a") == b"new"


# -- what else may lie in the store ----------------------------------------------------------------------


def stored_name(cache: TwoTierCache, name: object) -> str:
    assert cache.redis is not None
    return names_of(f"{cache.redis.namespace}e:".encode(), [key(name)])[0].decode()


def test_foreign_bytes_under_our_keys_are_misses(shared: Backend, caplog: pytest.LogCaptureFixture) -> None:
    cache = shared.make()
    name = stored_name(cache, "a")
    for foreign in FOREIGN:
        shared.client.set(name, foreign)
        assert get(cache, "a") is None
    shared.client.delete(name)
    shared.client.hset(name, "a", "hash")
    assert get(cache, "a") is None
    put(cache, "a", b"A")
    assert get(cache, "a") == b"A"
    assert cache.counters.counts()["store"]["corrupt"] == len(FOREIGN)
    assert len(caplog.records) == 1  # once a minute, since the clock stands still


def test_any_changed_byte_is_a_miss(shared: Backend) -> None:
    cache = shared.make()
    put(cache, "a", b"value", "t")
    name = stored_name(cache, "a")
    sealed = shared.client.get(name)
    assert isinstance(sealed, bytes)
    reader = shared.make()
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1 << at % 8
        shared.client.set(name, bytes(changed))
        assert get(reader, "a") is None, at
    for length in range(len(sealed)):
        shared.client.set(name, sealed[:length])
        assert get(reader, "a") is None, length
    shared.client.set(name, sealed)
    assert get(reader, "a") == b"value"


def test_an_answer_copied_under_another_key_is_a_miss(shared: Backend) -> None:
    cache = shared.make()
    put(cache, "a", b"A")
    shared.client.copy(stored_name(cache, "a"), stored_name(cache, "b"))
    assert get(cache, "b") is None


@pytest.mark.parametrize("jump_s", [-3600.0, -6.0, 151.0, 3600.0 * 24 * 365])
def test_a_clock_that_jumps_costs_misses_only(shared: Backend, jump_s: float) -> None:
    """The wall clock tells the age of the store's answers; this process's own do not depend on it."""
    cache = shared.make()
    put(cache, "a", b"A")
    shared.time.wall_s += jump_s
    assert get(shared.make(), "a") is None
    assert get(cache, "a") == (b"A" if cache.local else None)
    put(cache, "a", b"B")
    assert get(shared.make(), "a") == b"B"


def test_lost_stamps_cost_misses_only(shared: Backend) -> None:
    """Evicted or expired: what carries them is void for whoever did not know them."""
    cache = shared.make()
    put(cache, "a", b"A", "t")
    shared.client.delete(*shared.client.keys("ion:cache:t:*"))
    other = shared.make()
    assert get(other, "a") is None
    put(other, "a", b"B", "t")
    assert get(other, "a") == b"B"
    assert get(cache, "a") in {b"A", b"B"}
    cache.invalidate("t")
    assert get(cache, "a") is None


def test_foreign_stamps_keep_answers_out(shared: Backend) -> None:
    cache = shared.make()
    (tag,) = tag_ids(("t",))
    shared.client.set(f"ion:cache:t:{tag.hex()}", "short")
    put(cache, "a", b"A", "t")
    assert get(cache, "a") is None
    assert cache.counters.counts()["store"]["refused"] >= 1


def test_every_key_in_the_store_has_a_lifetime_but_the_stamps_of_all_answers(shared: Backend) -> None:
    cache = shared.make()
    compute_once(cache, key("a"), lambda: b"A", tags=tag_ids(("t",)), lifetime=EXACT)
    shared.time.pass_by(100)
    cache.lookup([key("a")])
    assert cache.redis is not None
    cache.redis.stats()
    client = shared.client
    names = [bytes(name) for name in client.scan_iter("*")]
    assert {name.split(b":")[2] for name in names} >= {b"e", b"t", b"r", b"stats"}
    everything = b"ion:cache:t:" + EVERYTHING_ID.hex().encode()
    assert [name for name in names if client.pttl(name) < 0] == [everything]
