"""One computation for the whole fleet: other processes wait, and are not let down by those they wait for."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from persona_system.cache import once
from persona_system.cache.keys import tag_ids
from persona_system.cache.lease import Taken
from persona_system.cache.local import LocalCache
from persona_system.cache.once import compute_once, compute_once_async
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.two_tier import TwoTierCache
from tests.backends.conftest import Backend
from tests.support.caching import EXACT, get, key, put
from tests.support.valkey import Server, server
from tests.support.wait import wait_until


class Interrupted(BaseException):
    """What ends a computation from outside."""


class Owner:
    """Another process's cache, at work on key "a" until it is let go."""

    def __init__(self, cache: TwoTierCache, answer: Callable[[], bytes]) -> None:
        self._begun, self._go = threading.Event(), threading.Event()
        self._cache, self._answer = cache, answer
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        assert self._begun.wait(10)

    def finish(self) -> None:
        self._go.set()
        self._thread.join(10)

    def _ask(self) -> None:
        with contextlib.suppress(LookupError, Interrupted):
            compute_once(self._cache, key("a"), self._compute, tags=tag_ids(("t",)), lifetime=EXACT)

    def _compute(self) -> bytes:
        self._begun.set()
        assert self._go.wait(30)
        return self._answer()


class Caller:
    """Asks for key "a" in a thread; counts what it has to compute itself."""

    def __init__(self, cache: TwoTierCache) -> None:
        self.computed, self.answers = 0, list[bytes]()
        self._cache = cache
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def answer(self) -> bytes:
        self._thread.join(20)
        return self.answers[0]

    def _ask(self) -> None:
        lifetime = EXACT
        tags = tag_ids(("t",))
        self.answers.append(compute_once(self._cache, key("a"), self._compute, tags=tags, lifetime=lifetime))

    def _compute(self) -> bytes:
        self.computed += 1
        return b"mine"


def waits(client: object, how_many: int = 1) -> bool:
    """Tell whether *how_many* wait to be woken for key "a"."""
    ((_, subscribers),) = client.pubsub_numsub(f"ion:cache:f:{key('a').hex()}")  # type: ignore[attr-defined]
    return bool(subscribers >= how_many)


def _interrupt() -> bytes:
    raise Interrupted


def _fail() -> bytes:
    raise LookupError


def test_others_wait_and_get_the_answer(shared: Backend) -> None:
    owner = Owner(shared.make(), lambda: b"A")
    callers = [Caller(shared.make()) for _ in range(3)]
    wait_until(lambda: waits(shared.client, 3))
    owner.finish()
    assert [caller.answer() for caller in callers] == [b"A"] * 3
    assert [caller.computed for caller in callers] == [0] * 3


def test_a_task_waits_as_well(shared: Backend) -> None:
    owner, cache = Owner(shared.make(), lambda: b"A"), shared.make()

    async def compute() -> bytes:
        return b"mine"

    async def story() -> bytes:
        asking = asyncio.create_task(
            compute_once_async(cache, key("a"), compute, tags=tag_ids(("t",)), lifetime=EXACT)
        )
        await asyncio.to_thread(wait_until, lambda: waits(shared.client))
        await asyncio.to_thread(owner.finish)
        return await asking

    assert asyncio.run(story()) == b"A"
    assert cache.counters.counts()["once"] == {"received": 1}


def test_when_the_owner_fails_the_others_compute_for_themselves(shared: Backend) -> None:
    owner, caller = Owner(shared.make(), _fail), Caller(shared.make())
    wait_until(lambda: waits(shared.client))
    owner.finish()
    assert (caller.answer(), caller.computed) == (b"mine", 1)
    assert get(shared.make(), "a") == b"mine"


def test_an_answer_that_was_invalidated_under_way_is_computed_again(shared: Backend) -> None:
    cache = shared.make()
    owner, caller = Owner(cache, lambda: b"old"), Caller(shared.make())
    wait_until(lambda: waits(shared.client))
    cache.invalidate("t")
    owner.finish()
    assert (caller.answer(), caller.computed) == (b"mine", 1)
    assert get(shared.make(), "a") == b"mine"


def test_an_owner_that_hangs_is_not_waited_for_forever(
    shared: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "PATIENCE_S", 0.2)
    owner, caller = Owner(shared.make(), lambda: b"late"), Caller(shared.make())
    assert (caller.answer(), caller.computed) == (b"mine", 1)
    owner.finish()


@pytest.mark.parametrize("when", ["waiting", "computing"])
def test_a_cancelled_task_leaves_no_lease(shared: Backend, when: str) -> None:
    cache = shared.make()
    owner = Owner(shared.make(), _interrupt) if when == "waiting" else None

    async def story() -> None:
        begun = asyncio.Event()

        async def compute() -> bytes:
            begun.set()
            await asyncio.Event().wait()
            return b""

        asking = asyncio.create_task(
            compute_once_async(cache, key("a"), compute, tags=tag_ids(("t",)), lifetime=EXACT)
        )
        if owner is None:
            await begun.wait()
            assert list(shared.client.scan_iter("ion:cache:l:*"))
        else:
            await asyncio.to_thread(wait_until, lambda: waits(shared.client))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        if owner is not None:
            await asyncio.to_thread(owner.finish)

    asyncio.run(story())
    wait_until(lambda: not list(shared.client.scan_iter("ion:cache:l:*")))
    assert cache.redis is not None
    wait_until(lambda: not cache.redis.leases._held)  # type: ignore[union-attr]
    assert Caller(shared.make()).answer() == b"mine"


def test_a_lease_is_renewed_while_its_owner_computes(shared: Backend) -> None:
    owner = Owner(shared.make(), lambda: b"A")
    (lease,) = shared.client.scan_iter("ion:cache:l:*")
    shared.client.pexpire(lease, 300)
    wait_until(lambda: shared.client.pttl(lease) > 300)
    owner.finish()
    assert not shared.client.exists(lease)


def test_when_the_owner_is_interrupted_one_of_the_others_goes_on(shared: Backend) -> None:
    owner = Owner(shared.make(), _interrupt)
    callers = [Caller(shared.make()) for _ in range(3)]
    wait_until(lambda: waits(shared.client, 3))
    owner.finish()
    assert [caller.answer() for caller in callers] == [b"mine"] * 3
    assert sum(caller.computed for caller in callers) == 1


def test_an_answer_that_came_just_before_the_lease_is_used(
    shared: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = shared.make(), shared.make()
    assert other.redis is not None
    leases = other.redis.leases
    take = leases.take

    def late(wanted: bytes) -> Taken:
        put(one, "a", b"A")
        return take(wanted)

    monkeypatch.setattr(leases, "take", late)
    assert compute_once(other, key("a"), lambda: b"mine", lifetime=EXACT) == b"A"
    assert not list(shared.client.scan_iter("ion:cache:l:*"))
    assert leases._held == {}


def test_what_cannot_be_stored_leaves_no_lease(shared: Backend) -> None:
    cache, many = shared.make(), tag_ids(tuple([f"user:{n}" for n in range(256)]))
    with pytest.raises(ValueError, match="at most 255 tags"):
        compute_once(cache, key("a"), lambda: b"A", tags=many, lifetime=EXACT)
    assert not list(shared.client.scan_iter("ion:cache:l:*"))


def test_a_thread_that_is_interrupted_takes_nobody_with_it(shared: Backend) -> None:
    cache = shared.make()

    def interrupted() -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_once(cache, key("a"), interrupted, lifetime=EXACT)
    assert not list(shared.client.scan_iter("ion:cache:l:*"))
    assert compute_once(cache, key("a"), lambda: b"A", lifetime=EXACT) == b"A"


def test_a_watch_hears_only_its_own_key_on_a_connection_used_before(shared: Backend) -> None:
    cache = shared.make()
    assert cache.redis is not None
    leases = cache.redis.leases
    first = leases.watch(key("a"))
    for name in "aab":  # one is still unread when the watch ends
        shared.client.publish(f"ion:cache:f:{key(name).hex()}", "x")
    first.close()
    first.close()
    second, third = leases.watch(key("b")), leases.watch(key("c"))
    assert second._connection is first._connection
    assert third._connection is not first._connection
    shared.client.publish(f"ion:cache:f:{key('a').hex()}", "late")
    shared.client.publish(f"ion:cache:f:{key('b').hex()}", "B")
    assert [payload for _, payload in second.poll(10)] == [b"B"]
    second.close()
    third.close()


# -- real processes --------------------------------------------------------------------------------------


@pytest.fixture
def store() -> Iterator[Server]:
    """A server that may be hurt."""
    with server() as made:
        yield made


def made(store: Server, closing: ExitStack) -> TwoTierCache:
    cache = TwoTierCache(LocalCache(), RedisCache(store.url, 0.2))
    closing.callback(cache.close)
    cache.start()
    wait_until(lambda: cache.up)
    return cache


def test_a_store_that_dies_frees_those_who_wait(store: Server) -> None:
    with ExitStack() as closing:
        owner = Owner(made(store, closing), lambda: b"A")
        callers = [Caller(made(store, closing)) for _ in range(2)]
        wait_until(lambda: waits(store.client, 2))
        store.kill()
        assert [caller.answer() for caller in callers] == [b"mine"] * 2
        owner.finish()


def test_a_store_that_freezes_frees_those_who_wait(store: Server) -> None:
    with ExitStack() as closing:
        owner, caller = Owner(made(store, closing), lambda: b"A"), Caller(made(store, closing))
        wait_until(lambda: waits(store.client))
        store.freeze()
        assert caller.answer() == b"mine"
        store.thaw()
        owner.finish()


HANGS = """
import sys, threading
from persona_system.cache.once import compute_once
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.two_tier import TwoTierCache
from tests.support.caching import EXACT, key

cache = TwoTierCache(None, RedisCache(sys.argv[1], 2.0))
assert cache.redis.wait_until_up(10)

def compute():
    print("begun", flush=True)
    threading.Event().wait()

compute_once(cache, key("a"), compute, lifetime=EXACT)
"""


def test_a_killed_owner_is_followed_by_one_of_those_who_wait(store: Server) -> None:
    """Its lease lasts for half a second more; then one computes, and wakes the other."""
    command = [sys.executable, "-c", HANGS, store.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner, ExitStack() as closing:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"begun\n"
        callers = [Caller(made(store, closing)) for _ in range(2)]
        wait_until(lambda: waits(store.client, 2))
        owner.kill()
        assert [caller.answer() for caller in callers] == [b"mine"] * 2
        assert sum(caller.computed for caller in callers) == 1


CROWD = """
import os, sys, threading, time
import redis
from persona_system.cache.local import LocalCache
from persona_system.cache.once import compute_once
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.two_tier import TwoTierCache
from tests.support.caching import EXACT, key

url, processes, threads, keys = sys.argv[1], 8, 2, 5

def child():
    counter = redis.Redis.from_url(url)
    cache = TwoTierCache(LocalCache(), RedisCache(url, 2.0))
    assert cache.redis.wait_until_up(10)
    counter.incr("ready")
    while int(counter.get("ready")) < processes:
        time.sleep(0.001)
    def ask():
        for n in range(keys):
            def compute():
                counter.incr(f"computed:{n}")
                time.sleep(0.02)
                return b"%d" % n
            assert compute_once(cache, key(n), compute, lifetime=EXACT) == b"%d" % n
            counter.incr("answered")
    asking = [threading.Thread(target=ask) for _ in range(threads)]
    [thread.start() for thread in asking]
    [thread.join() for thread in asking]
    cache.close()

children = []
for _ in range(processes):
    pid = os.fork()
    if not pid:
        try:
            child()
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
    children.append(pid)
sys.exit(max(os.waitpid(pid, 0)[1] for pid in children) and 1)
"""


def test_a_crowd_of_processes_and_threads_computes_each_answer_once(store: Server) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CROWD, store.url], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert [store.client.get(f"computed:{n}") for n in range(5)] == [b"1"] * 5
    assert store.client.get("answered") == b"80"
