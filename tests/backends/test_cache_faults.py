"""The store full, frozen, killed, stormed: right answers, bounded delay, a count and a log line."""

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest

from persona_system.cache import link
from persona_system.cache.keys import tag_ids
from persona_system.cache.lifetime import Lifetime
from persona_system.cache.local import LocalCache
from persona_system.cache.once import compute_once
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.redis_store import Subscription
from persona_system.cache.two_tier import TwoTierCache
from persona_system.errors import Unavailable
from tests.support.caching import EXACT, News, get, key, put
from tests.support.valkey import Server, server
from tests.support.wait import wait_until

TIMEOUT_S = 0.2  # of one question to the store; long enough for a busy machine to answer


class Fleet:
    """Caches of a server that may be hurt."""

    def __init__(self, store: Server, closing: ExitStack) -> None:
        self.store, self._closing = store, closing

    def make(self, *, local: bool = True) -> TwoTierCache:
        cache = TwoTierCache(LocalCache() if local else None, RedisCache(self.store.url, TIMEOUT_S))
        self._closing.callback(cache.close)
        cache.start()
        wait_until(lambda: cache.up)
        return cache


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with server() as store, ExitStack() as closing:
        yield Fleet(store, closing)


def count(cache: TwoTierCache, name: str) -> int:
    return cache.counters.counts().get("store", {}).get(name, 0)


def lines(caplog: pytest.LogCaptureFixture, part: str) -> int:
    return sum(part in record.getMessage() for record in caplog.records)


def watched(cache: TwoTierCache, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each question that this thread asks the store."""
    assert cache.redis is not None
    asked: list[str] = []
    me, store = threading.get_ident(), cache.redis._store
    connection = store._connection

    def counted() -> object:
        if threading.get_ident() == me:
            asked.append("question")
        return connection()

    monkeypatch.setattr(store, "_connection", counted)
    return asked


# -- memory ----------------------------------------------------------------------------------------------


def test_a_full_store_serves_what_it_has_and_refuses_the_rest(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    cache, other = fleet.make(), fleet.make(local=False)
    news = News(other)
    put(cache, "a", b"A", "t")
    fleet.store.client.config_set("maxmemory", 1)

    assert get(other, "a") == b"A"
    put(cache, "b", b"B", "t")  # its stamps are known: this process may keep it
    put(cache, "c", b"C", "new tag")  # and this one's cannot be made
    assert [get(cache, name) for name in "abc"] == [b"A", b"B", None]
    assert [get(other, name) for name in "abc"] == [b"A", None, None]
    assert compute_once(other, key("d"), lambda: b"D", tags=tag_ids(("t",)), lifetime=EXACT) == b"D"
    assert cache.invalidate("t")  # needs no memory
    news.wait_for(1)
    assert get(other, "a") is None
    assert (cache.up, other.up) == (True, True)
    assert count(cache, "refused") >= 2
    assert lines(caplog, "takes no writes") <= 2  # one per cache


def test_counts_that_a_full_store_refuses_are_not_lost(fleet: Fleet) -> None:
    cache = fleet.make()
    assert cache.redis is not None
    fleet.store.client.config_set("maxmemory", 1)
    cache.counters.add("process", hits=7)
    assert "process" not in cache.redis.stats()
    fleet.store.client.config_set("maxmemory", 0)
    assert cache.redis.stats()["process"] == {"hits": 7}


def test_foreign_bytes_in_place_of_the_counts_are_told_as_unavailable(fleet: Fleet) -> None:
    cache = fleet.make()
    assert cache.redis is not None
    fleet.store.client.set("ion:cache:stats", "text")
    with pytest.raises(Unavailable, match="statistics"):
        cache.redis.stats()
    assert cache.up


def test_a_store_that_evicts_gives_right_answers_or_none(fleet: Fleet) -> None:
    """2 MB of room for 8 MB of answers, and their stamps are evicted like everything else."""
    cache, other = fleet.make(local=False), fleet.make(local=False)
    client = fleet.store.client
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", int(client.info("memory")["used_memory"]) + 2_000_000)
    for n in range(800):
        put(cache, n, b"%d:" % n + bytes(10_000), f"tag:{n % 50}")
    assert client.info("stats")["evicted_keys"] > 0

    found = [get(one, n) for one in (cache, other, fleet.make()) for n in range(800)]

    wanted = [b"%d:" % n + bytes(10_000) for n in range(800)] * 3
    assert all(value in {None, want} for value, want in zip(found, wanted, strict=True))
    assert any(found)
    news = News(other)
    cache.invalidate(*[f"tag:{n}" for n in range(50)])
    news.wait_for(1)
    assert not any(get(other, n) for n in range(800))


# -- away ------------------------------------------------------------------------------------------------


def test_a_frozen_store_costs_one_question_then_nothing(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = fleet.make()
    put(cache, "a", b"A", "t")
    asked = watched(cache, monkeypatch)
    fleet.store.freeze()

    assert get(cache, "b") is None  # one timeout, unless the link noticed before
    assert len(asked) <= 1
    asked.clear()
    for n in range(100):
        assert compute_once(cache, key(n), lambda: b"N", tags=tag_ids(("t",)), lifetime=EXACT) == b"N"
    assert cache.lookup([key("a")]).values == [None]  # news may have been missed
    assert cache.get_here(key("a")) is None
    put(cache, "c", b"C")
    cache.discard(key("a"))
    assert cache.invalidate("t") is False
    assert asked == []
    assert (count(cache, "outages"), lines(caplog, "the cache is off")) == (1, 1)

    fleet.store.thaw()
    wait_until(lambda: cache.up)
    assert get(cache, "a") is None  # the invalidation came first
    put(cache, "a", b"new", "t")
    assert get(cache, "a") == b"new"
    assert lines(caplog, "the cache is on again") == 1


def test_a_frozen_store_is_noticed_without_anybody_asking(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "PING_EVERY_S", 0.2)
    cache = fleet.make()
    put(cache, "a", b"A")
    fleet.store.freeze()
    wait_until(lambda: not cache.up)
    assert cache.get_here(key("a")) is None


def test_a_killed_store_is_used_again_when_it_is_back(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Connections of before are not tried one after the other."""
    cache = fleet.make()
    put(cache, "a", b"A")
    assert cache.redis is not None
    with ExitStack() as open_now:
        for _ in range(5):
            open_now.enter_context(cache.redis._store._connection()).connect()
    fleet.store.kill()
    wait_until(lambda: not cache.up)
    assert get(cache, "a") is None
    connected: list[str] = []
    subscribe = cache.redis._store.subscribe

    def counted(channel: str) -> Subscription:
        connection = subscribe(channel)
        connected.append(channel)
        return connection

    monkeypatch.setattr(cache.redis._store, "subscribe", counted)
    fleet.store.start()
    wait_until(lambda: cache.up)
    assert len(connected) == 1  # at the first attempt
    for n in range(20):
        put(cache, n, b"N")
    assert [get(cache, n) for n in range(20)] == [b"N"] * 20
    assert get(cache, "a") is None
    assert count(cache, "outages") == 1
    assert lines(caplog, "the cache is off") == 1


def test_connections_do_not_run_out(fleet: Fleet) -> None:
    """300 are made and dropped one after the other, as by a process that lives for months."""
    cache = fleet.make()
    assert cache.redis is not None
    store = cache.redis._store
    for _ in range(150):
        store.subscribe("channel").close()
        store.close()
        put(cache, "a", b"A")
    assert get(cache, "a") == b"A"
    assert (cache.up, count(cache, "outages")) == (True, 0)


def test_a_store_that_was_never_there_is_told_once_and_found_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with server() as store, ExitStack() as closing:
        store.stop()
        cache = TwoTierCache(LocalCache(), RedisCache(store.url, TIMEOUT_S))
        closing.callback(cache.close)
        with caplog.at_level(logging.WARNING):
            cache.start()
            wait_until(lambda: lines(caplog, "the cache is off"))
        assert compute_once(cache, key("a"), lambda: b"A", lifetime=EXACT) == b"A"
        assert cache.invalidate("t") is False
        store.start()
        wait_until(lambda: cache.up)
        put(cache, "a", b"A")
        assert get(cache, "a") == b"A"
        assert lines(caplog, "the cache is off") == 1


def test_closing_while_the_store_is_away_is_quick_and_quiet(fleet: Fleet) -> None:
    cache = fleet.make()
    fleet.store.kill()
    cache.invalidate("t")
    cache.close()
    assert not cache.up
    assert get(cache, "a") is None
    cache.close()


# -- much ------------------------------------------------------------------------------------------------


def test_a_storm_of_invalidations_is_heard(fleet: Fleet) -> None:
    """100,000 tags at once; the two answers that carry the first and the last of them are void."""
    cache, other = fleet.make(), fleet.make()
    tags = [f"user:{n}" for n in range(100_000)]
    for name, tag in (("first", tags[0]), ("last", tags[-1]), ("kept", "user:none")):
        put(cache, name, b"A", tag)
        assert get(other, name) == b"A"
    news = News(other)

    if not cache.invalidate(*tags):  # a busy machine took longer than the timeout
        wait_until(lambda: cache.up)
    wait_until(lambda: sum(len(heard or tags) for heard in news.heard) >= len(tags))

    for one in (cache, other, fleet.make()):
        assert [get(one, name) for name in ("first", "last")] == [None, None]
    wait_until(lambda: cache.up and other.up)
    put(cache, "first", b"B", tags[0])
    assert get(other, "first") == b"B"


def test_more_invalidations_than_can_wait_clear_the_cache(fleet: Fleet) -> None:
    cache, other = fleet.make(), fleet.make()
    put(other, "a", b"A", "user:0")
    fleet.store.freeze()
    assert cache.invalidate("first") is False
    assert cache.invalidate(*[f"user:{n}" for n in range(100_000)]) is False
    fleet.store.thaw()
    wait_until(lambda: cache.up and other.up)
    assert get(cache, "a") is None
    assert get(other, "a") is None


def test_short_lives_end_in_the_store_too(fleet: Fleet) -> None:
    cache = fleet.make(local=False)
    put(cache, "a", b"A", life=Lifetime(timedelta(milliseconds=50)))
    wait_until(lambda: get(cache, "a") is None)
    wait_until(lambda: not list(fleet.store.client.scan_iter("ion:cache:e:*")))


# -- forks -----------------------------------------------------------------------------------------------

FORKS = """
import os, sys, threading
from persona_system.cache.local import LocalCache
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.two_tier import TwoTierCache
from tests.support.caching import get, put

cache = TwoTierCache(LocalCache(), RedisCache(sys.argv[1], 2.0))
alone = TwoTierCache(LocalCache())
assert cache.redis.wait_until_up(10)
put(cache, "before", b"parent", "t")
put(alone, "before", b"parent", "t")
done = threading.Event()

def hammer():  # so that a fork finds locks held
    n = 0
    while not done.is_set():
        n += 1
        put(cache, n % 50, b"N", "u"); put(alone, n % 50, b"N", "u"); alone.invalidate("u")

threads = [threading.Thread(target=hammer) for _ in range(3)]
[thread.start() for thread in threads]
for _ in range(5):
    lock = alone._tier._lock
    lock.acquire()  # as if a thread of the parent were at it
    child = os.fork()
    if child:
        lock.release()
    else:
        try:
            assert not cache.up and get(cache, "before") is None  # no news reach it yet
            assert cache.redis.wait_until_up(10)
            assert get(cache, "before") == b"parent"
            put(cache, "mine", b"child", "t")
            assert get(cache, "mine") == b"child"
            put(alone, "mine", b"child", "t")
            assert (get(alone, "mine"), get(alone, "before")) == (b"child", None)
            cache.close()
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status == 0
done.set()
[thread.join() for thread in threads]
assert cache.up and get(cache, "mine") == b"child" and get(alone, "before") == b"parent"
cache.close()
print("fine")
"""


def test_a_fork_leaves_both_with_a_cache_of_their_own(fleet: Fleet) -> None:
    forking = (
        "-W",
        "ignore::DeprecationWarning",
    )  # Python 3.12 and later warn of forks beside threads: the point
    command = [sys.executable, *forking, "-c", FORKS, fleet.store.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "fine\n", done.stdout + done.stderr
    assert done.stderr == ""
