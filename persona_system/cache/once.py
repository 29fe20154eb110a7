"""Compute what is not in the cache once, however many ask: in this process, and in the fleet.

    hit            the answer; the one caller that is elected to refresh an answer that is due computes it
                   anew, everybody else is served what is there
    miss           one thread (or task) per process goes on, the others get what it gives
    lease taken    it looks again, computes, stores, and wakes the other processes with the answer
    lease refused  it waits to be woken; a killed owner costs it half a second, a store that goes away nothing
                   but the time to notice: then it computes by itself, and so it does without a store

What the computation raises reaches every caller that waited for it in this process; other processes
compute for themselves then.  The store's failures reach nobody.

Units:   values are packed bytes; ``_s`` are seconds.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from persona_system.cache.lease import Leases, Taken, Waited
from persona_system.cache.lifetime import Lifetime
from persona_system.cache.redis_store import Watch
from persona_system.cache.tiers import Item, Ticket
from persona_system.cache.two_tier import Lookup, TwoTierCache
from persona_system.errors import Unavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

SCOPE = "once"  # of the counts: computed, received (another process's answer), refresh_failed
PATIENCE_S = 30.0  # for another process that computes and lives


class NotKept(Exception):
    """A computation raises it to give its caller something that must not be stored."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An answer: where it is, what it may be invalidated by, how long it is good."""

    cache: TwoTierCache
    key: bytes
    tags: tuple[bytes, ...]
    lifetime: Lifetime

    def look(self) -> Lookup:
        """Look the answer up."""
        return self.cache.lookup((self.key,), self.tags)

    def keep(self, value: bytes, ticket: Ticket) -> None:
        """Store the computed *value*, and let those who wait for it have it."""
        self.cache.counters.add(SCOPE, computed=1)
        self.cache.store_one(Item(self.key, value, self.tags, self.lifetime), ticket)


def compute_once(
    cache: TwoTierCache,
    key: bytes,
    compute: Callable[[], bytes],
    *,
    tags: tuple[bytes, ...] = (),
    lifetime: Lifetime,
) -> bytes:
    """Return the answer under *key* (see ``keys``), computed if need be; raise what *compute* raises.

    *tags* come from ``tag_ids``.
    """
    here = _here(cache, key)
    if here is not None:
        return here
    wanted = Wanted(cache, key, tags, lifetime)
    found = wanted.look()
    old = found.values[0]
    if old is None:
        return cache.flights.join(key, lambda: _take_turn(wanted, compute, found.ticket))
    if not found.refresh:
        return old
    try:
        value = compute()
    except NotKept:
        raise
    except Exception as error:  # noqa: BLE001 - the old answer is still good
        _refresh_failed(cache, error)
        return old
    wanted.keep(value, found.ticket)
    return value


async def compute_once_async(
    cache: TwoTierCache,
    key: bytes,
    compute: Callable[[], Awaitable[bytes]],
    *,
    tags: tuple[bytes, ...] = (),
    lifetime: Lifetime,
) -> bytes:
    """Do what ``compute_once`` does, for tasks: what may wait for the store runs in a thread.

    A computation goes on while one of its callers waits, and is cancelled with the last of them.
    """
    here = _here(cache, key)
    if here is not None:
        return here
    wanted = Wanted(cache, key, tags, lifetime)
    found, led = await cache.flights.join_task("look", key, lambda: _in_thread(cache, wanted.look))
    old = found.values[0]
    if old is None:
        value, _ = await cache.flights.join_task(
            "compute", key, lambda: _take_turn_async(wanted, compute, found.ticket)
        )
        return value
    if not (found.refresh and led):
        return old
    try:
        value = await compute()
    except NotKept:
        raise
    except Exception as error:  # noqa: BLE001 - the old answer is still good
        _refresh_failed(cache, error)
        return old
    await _in_thread(cache, lambda: wanted.keep(value, found.ticket))
    return value


def _here(cache: TwoTierCache, key: bytes) -> bytes | None:
    """Return a fresh answer of this process; what is not here is counted by the look-up that follows."""
    if cache.local is None or cache.local.peek(key) is None:
        return None
    return cache.get_here(key)


def _take_turn(wanted: Wanted, compute: Callable[[], bytes], ticket: Ticket) -> bytes:
    turn = Turn(wanted, ticket)
    try:
        value = turn.begin()
        if value is None and not turn.mine:
            value = turn.wait()
        if value is None:
            value = compute()
            turn.finish(value)
    except Exception:
        turn.end(Waited.FAILED)
        raise
    except BaseException:
        turn.end(Waited.ABANDONED)
        raise
    return value


async def _take_turn_async(wanted: Wanted, compute: Callable[[], Awaitable[bytes]], ticket: Ticket) -> bytes:
    cache, turn = wanted.cache, Turn(wanted, ticket)
    try:
        value = await _in_thread(cache, turn.begin)
        if value is None and not turn.mine:
            value = await asyncio.get_running_loop().run_in_executor(cache.flights.waits(), turn.wait)
        if value is not None:
            return value
        value = await compute()
        await _in_thread(cache, lambda: turn.finish(value))
    except Exception:
        await _in_thread(cache, lambda: turn.end(Waited.FAILED))
        raise
    except BaseException:  # cancelled, perhaps with the loop: nothing can be awaited
        turn.give_up()
        raise
    return value


async def _in_thread(cache: TwoTierCache, work: Callable[[], T]) -> T:
    """Run *work* where it may wait for the store; without a store there is nothing to wait for."""
    if cache.redis is None or not cache.redis.up:
        return work()
    return await asyncio.to_thread(work)


class Turn:
    """The right to compute one answer: how a process gets it, or another process's answer instead.

    *ticket* is that of the look-up that found nothing.  May be given up from another thread than the one
    that is about to get it.
    """

    def __init__(self, wanted: Wanted, ticket: Ticket) -> None:
        self._wanted = wanted
        self._leases: Leases | None = None
        self._lock = threading.Lock()
        self._given_up = False
        self._ticket = ticket
        self.mine = False

    def begin(self) -> bytes | None:
        """Try once to get the turn; return the answer if it has come meanwhile."""
        redis = self._wanted.cache.redis
        if redis is not None and redis.up:
            self._leases = redis.leases
        return self._try()

    def wait(self) -> bytes | None:
        """Wait for the answer of whoever has the turn, or for the turn."""
        leases, watch = self._leases, None
        if leases is None:
            return None
        try:
            watch = leases.watch(self._wanted.key)
            while not self._given_up:
                value = self._try()  # the answer may have come before the watch began
                if value is None and not self.mine:
                    value = self._wait(leases, watch)
                if value is not None or self.mine:
                    return value
        except Unavailable as error:
            return self._alone(error)
        else:
            return None
        finally:
            if watch is not None:
                watch.close()

    def finish(self, value: bytes) -> None:
        """Store the computed *value* and wake those who wait for it."""
        self._wanted.keep(value, self._ticket)
        self.end(Waited.FAILED)  # unless the answer has been told, which ends the lease

    def end(self, why: Waited) -> None:
        """Let others have the turn."""
        if self._leases is None:
            return
        try:
            self._leases.release(self._wanted.key, why)
        except Unavailable as error:
            self._report(error)

    def give_up(self) -> None:
        """Let others have the turn, now or as soon as it is here; returns at once."""
        with self._lock:
            self._given_up = True
            held = self.mine and self._leases is not None
        if held:
            threading.Thread(target=self.end, args=(Waited.ABANDONED,), daemon=True).start()

    def _try(self) -> bytes | None:
        """Take the lease if it is free; look again if the last owner may just have finished."""
        taken = Taken.LOOK_AGAIN
        try:
            if self._leases is not None:
                taken = self._leases.take(self._wanted.key)
        except Unavailable as error:
            return self._alone(error)
        if taken is Taken.BY_ANOTHER:
            return None
        if taken is Taken.LOOK_AGAIN or not self._ticket:
            return self._look()
        self._claim(free=True)
        return None

    def _look(self) -> bytes | None:
        found = self._wanted.look()
        self._ticket = found.ticket
        self._claim(free=found.values[0] is None)
        return found.values[0]

    def _claim(self, *, free: bool) -> None:
        with self._lock:
            self.mine = free and not self._given_up
        if not self.mine:
            self.end(Waited.ABANDONED)

    def _wait(self, leases: Leases, watch: Watch) -> bytes | None:
        cache, key = self._wanted.cache, self._wanted.key
        outcome = leases.wait(key, watch, PATIENCE_S)
        if outcome is Waited.FAILED:
            return self._alone()
        if outcome is Waited.ABANDONED:
            self._ticket = {}  # what is computed now must not carry stamps of the time before the wait
            if cache.redis is not None:
                cache.redis.doubt(self._wanted.tags)
            return None
        value = cache.take_in(key, outcome)
        if value is not None:
            cache.counters.add(SCOPE, received=1)
        return value

    def _alone(self, error: Unavailable | None = None) -> bytes | None:
        """Go on without a lease."""
        if error is not None:
            self._report(error)
        self._leases = None
        return self._look()

    def _report(self, error: Unavailable) -> None:
        redis = self._wanted.cache.redis
        if redis is not None:
            redis.report(error)


def _refresh_failed(cache: TwoTierCache, error: Exception) -> None:
    cache.counters.add(SCOPE, refresh_failed=1)
    logger.warning("an answer could not be refreshed (%s); the old one is served", type(error).__name__)
