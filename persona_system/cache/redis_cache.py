"""The shared tier: answers in Redis or Valkey, coherent with every other process that uses them.

Keys of the store, all under one namespace (``ion:cache:``), nearly all with a lifetime:

    e:{version and request}   an answer in its envelope, as long as it may be served
    t:{tag}                   a tag's stamp, a day; of endpoints, personas and everything, for good
    l:{version and request}   who computes this answer, half a second, renewed
    r:{version and request}   who refreshes it, 5 s
    stats                     a hash of counts, 30 days after the last one
    n:{name}                  a note, for good; see ``notes``
    popular, popular:fading   how often each request is asked, a day; see ``trends``
    seen                      who asked what, as digests, 10 minutes; see ``sightings``
    q:{request}               what was asked, as long as its answer may be served; the workers' ``recipes``
    ahead, ahead:reporter     what is to be computed ahead, a minute; the workers' ``prefetching``

Channels: ``news`` tells which tags were invalidated, ``f:{key}`` wakes those who wait for one answer.

What can go wrong with the store ends in a miss, a count and a log line; see ``Link``.
Units:   ``_ms`` are milliseconds; clocks are the process's monotonic one (seconds) and the wall clock
         (seconds since the Unix epoch), which only serves to tell an answer's age.
"""

import functools
import logging
import os
import random
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from persona_system.cache.counters import Counters
from persona_system.cache.envelope import CLOCK_SLACK_MS, Stamped, seal, unseal
from persona_system.cache.keys import EVERYTHING_ID, names_of
from persona_system.cache.lease import Leases, Waited
from persona_system.cache.link import Channel, Link
from persona_system.cache.redis_store import RedisStore
from persona_system.cache.shared_counts import SharedCounts
from persona_system.cache.shared_stamps import SharedStamps, tags_in
from persona_system.cache.tiers import Found, Item, Stamper, Ticket
from persona_system.errors import Unavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

NAMESPACE = "ion:cache:"
SCOPE = "store"  # of this tier's counts
REFRESH_LEASE_MS = 5_000
TICK_S = 1.0
_MAX_PENDING = 100_000  # invalidations that wait for the store to come back


class RedisCache:
    """Answers shared through the server at *url*, which the cache bears for *timeout_s* at most.

    Others may take part: *on_news* is told which tags were invalidated, here or elsewhere, and None when
    news may have been missed; *on_up* is called when the store is there (again), *on_tick* every second.
    They run in the link's thread, news also in one that invalidates or loses the link; they must be quick,
    and may raise Unavailable.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float = 0.05,
        namespace: str = NAMESPACE,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.counters = Counters()
        self.namespace = namespace
        self._store = RedisStore(url, timeout_s)
        self._clock, self._wall, self._random = clock, wall, random.random
        self._answers = f"{namespace}e:".encode()
        self._counts = SharedCounts(self._store, namespace, self.counters)
        self._stamps = SharedStamps(self._store, namespace)
        self._pending: dict[bytes, object] = {}  # tag -> which invalidation of it
        self._complained: dict[str, float] = {}
        self._ticked = 0.0
        self.leases = Leases(self._store, namespace)
        self.on_news: list[Callable[[Sequence[bytes] | None], object]] = []
        self.on_up: list[Callable[[RedisStore], object]] = []
        self.on_tick: list[Callable[[RedisStore], object]] = []
        self._link = Link(self)
        child = weakref.WeakMethod(self._start_afresh)
        os.register_at_fork(after_in_child=lambda: (method := child()) and method())

    # -- serving -------------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        """Whether the server answers, news reach this process, and no invalidation of its own waits."""
        return self._link.up and not self._pending

    def start(self) -> None:
        """Begin to connect, in the background; idempotent."""
        self._link.start()

    def wait_until_up(self, patience_s: float) -> bool:
        """Start, and return whether it serves within *patience_s*."""
        return self._link.wait_until_up(patience_s)

    def close(self) -> None:
        """Hand on the last counts and stop serving."""
        self._tried(self._flush, otherwise=None)
        if self._pending:
            self._complain("invalidations still wait for the cache store; its answers run out by age")
        self._link.close()
        self._store.close()

    def lookup(self, keys: Sequence[bytes], tags: Sequence[bytes]) -> tuple[list[Found | None], Ticket]:
        """Return what is there for each key, and the ticket for *tags*, in one round trip as a rule."""
        if self.up:
            try:
                return self._lookup(keys, tags)
            except Unavailable as error:
                self._lost(error)
        return [None] * len(keys), {}

    def store(self, items: Sequence[Item], ticket: Ticket) -> list[Found | None]:
        """Keep *items* for every process; return each as a look-up would give it."""
        kept, writes = self._sealed(items, ticket)
        if writes:
            self._write(lambda: self._store.set_many(writes))
        return kept

    def store_one(self, item: Item, ticket: Ticket) -> Found | None:
        """Keep *item* like ``store``.  A lease that this process holds on it ends, and who waits is woken.

        With what was invalidated meanwhile, nobody is woken: one of them computes it anew.
        """
        if not self.leases.holds(item.key):
            return self.store((item,), ticket)[0]
        (found,), writes = self._sealed((item,), ticket)
        if found is not None and not self.current(found.stamped):
            self._write(functools.partial(self.leases.release, item.key, Waited.ABANDONED))
            return None
        for _, sealed, dead_ms in writes:
            self._write(functools.partial(self.leases.fulfil, item.key, sealed, dead_ms))
        return found

    def _sealed(
        self, items: Sequence[Item], ticket: Ticket
    ) -> tuple[list[Found | None], list[tuple[bytes, bytes, int]]]:
        now, created_ms, stamper = self._clock(), int(self._wall() * 1000), Stamper(ticket)
        kept: list[Found | None] = []
        writes: list[tuple[bytes, bytes, int]] = []
        for item, name in zip(items, names_of(self._answers, [item.key for item in items]), strict=True):
            stamped = stamper(item.tags)
            if stamped is None:
                kept.append(None)
                continue
            due_ms, dead_ms = item.lifetime.draw_ms(self._random)
            kept.append(Found(item.value, now + due_ms / 1000, now + dead_ms / 1000, stamped))
            writes.append((name, seal(item.key, item.value, created_ms, due_ms, dead_ms, stamped), dead_ms))
        return kept, writes

    def _write(self, write: Callable[[], bool]) -> None:
        """Let *write* tell whether the store took what it was given, if the store is there."""
        if not self._tried(write, otherwise=True):
            self._refused()

    def keep_stamps_of(self, tags: Iterable[bytes]) -> None:
        """Let the stamps of *tags*, a few that many answers carry, stay in the store for good.

        A server that is short of memory drops what expires; dropping such a stamp would void all those.
        """
        self._stamps.standing.update(tags)

    def doubt(self, tags: Sequence[bytes]) -> None:
        """Ask the store for the stamps of *tags* before they are used again: news may be on its way."""
        self._stamps.known.changed((*tags, EVERYTHING_ID))

    def current(self, stamped: Stamped) -> bool:
        """Tell whether these tags are known to have these stamps now."""
        return self._stamps.known.current(stamped)

    def elect(self, keys: Sequence[bytes]) -> list[bool]:
        """Tell for each due key whether this caller is the one of the fleet to refresh it."""
        nobody = [False] * len(keys)
        return self._tried(lambda: self.leases.elect(keys, REFRESH_LEASE_MS), otherwise=nobody)

    def invalidate(self, tags: Sequence[bytes]) -> bool:
        """Void every answer with one of *tags*, in every process.

        False: the store is away.  Until it is back nothing is served from here, and then this comes first.
        """
        self._void(tags)
        if self._link.up:
            try:
                self._stamps.delete(tags)
            except Unavailable as error:
                self._lost(error)
            else:
                self.counters.add(SCOPE, invalidations=len(tags))
                return True
        if len(self._pending) + len(tags) > _MAX_PENDING:
            self._complain("too many invalidations wait for the cache store; it will be cleared instead")
            self._pending = {EVERYTHING_ID: object()}
        else:
            self._pending.update(dict.fromkeys(tags, object()))
        return False

    def discard(self, keys: Sequence[bytes]) -> None:
        """Drop the answers under *keys*; other processes may serve their copies until those are dead."""
        self.ask(lambda store: store.run(("UNLINK", *names_of(self._answers, list(keys)))))

    def ask(self, question: Callable[[RedisStore], object]) -> bool:
        """Let *question* use the store; tell whether the store was there to the end."""

        def asked() -> bool:
            question(self._store)
            return True

        return self._tried(asked, otherwise=False)

    def opened(self, key: bytes, sealed: bytes) -> Found | None:
        """Return a *sealed* answer that another process sent, if it is still good."""
        return self._tried(lambda: self._validated([self._open(key, sealed)], {})[0], otherwise=None)

    def _lookup(self, keys: Sequence[bytes], tags: Sequence[bytes]) -> tuple[list[Found | None], Ticket]:
        stamps, mark = self._stamps, self._stamps.known.mark()
        ticket = {tag: stamp for tag in tags if (stamp := stamps.known.get(tag)) is not None}
        asked = [tag for tag in tags if tag not in ticket]
        names = names_of(self._answers, list(keys)) + stamps.names(asked)
        answers = self._store.get_many(names) if names else []
        if asked:
            ticket |= stamps.take_in(asked, answers[len(keys) :], mark)
        found = self._validated(
            [self._open(key, stored) for key, stored in zip(keys, answers, strict=False)], ticket
        )
        absent = [tag for tag in asked if tag not in ticket]
        now = self._clock()
        if absent and (not found or any(one is None or one.due_at <= now for one in found)):
            # something will be computed, and stored with these tags
            ticket |= stamps.create(absent)
            if any(tag not in ticket for tag in absent):
                self._refused()
        return found, ticket

    def _validated(self, opened: list[Found | None], ticket: dict[bytes, bytes]) -> list[Found | None]:
        """Return *opened* without what was invalidated; brings *ticket* up to date where it asks."""
        stamps = self._stamps
        doubtful = stamps.doubtful([one.stamped for one in opened if one is not None], ticket)
        fresh: Ticket = {}
        if doubtful:
            fresh = stamps.fetch(doubtful)
            ticket.update({tag: stamp for tag, stamp in fresh.items() if tag in ticket})
        valid = [one if one and stamps.valid(one.stamped, ticket, fresh) else None for one in opened]
        if doubtful:
            self.counters.add(SCOPE, void=valid.count(None) - opened.count(None))
        return valid

    def _open(self, key: bytes, stored: bytes | None) -> Found | None:
        if stored is None:
            return None
        envelope = unseal(key, stored)
        if envelope is None:
            self.counters.add(SCOPE, corrupt=1)
            self._complain("an answer in the cache store was not readable; it is computed again")
            return None
        age_ms = self._wall() * 1000 - envelope.created_ms
        if age_ms >= envelope.dead_ms or age_ms < -CLOCK_SLACK_MS:  # a clock jumped, or theirs is ahead
            self.counters.add(SCOPE, aged=1)
            return None
        made_at = self._clock() - max(0.0, age_ms) / 1000
        return Found(
            envelope.value,
            made_at + envelope.due_ms / 1000,
            made_at + envelope.dead_ms / 1000,
            envelope.stamped,
        )

    def _void(self, tags: Sequence[bytes]) -> None:
        self._stamps.known.changed(tags)
        self._tell(tags)

    def _tell(self, tags: Sequence[bytes] | None) -> None:
        for hear in self.on_news:
            hear(tags)

    # -- the link's listener -------------------------------------------------------------------------

    def connect(self) -> Channel:
        """Subscribe, see that the server answers in time, and do first what waited for it."""
        self._store.close()  # connections to a server that has gone would each fail somebody
        channel = self._store.subscribe(self._stamps.channel)
        try:
            self._store.run(("PING",))
            self._store.prepare_watch()
            self._catch_up()
        except Unavailable:
            channel.close()
            raise
        return channel

    def _catch_up(self) -> None:
        """Invalidate what could not be invalidated while the store was away."""
        if not self._pending:
            return
        waiting = self._pending.copy()
        self._stamps.delete(tuple(waiting))
        for tag, which in waiting.items():
            if self._pending.get(tag) is which:  # not invalidated once more meanwhile
                del self._pending[tag]

    def hear(self, payload: bytes) -> None:
        """Void what another process, or this one, has invalidated."""
        self.counters.add(SCOPE, news=1)
        self._void(tags_in(payload))

    def forget(self) -> None:
        """Void everything this process holds: news may have been missed."""
        self._stamps.known.forget_all()
        self._tell(None)

    def broke(self) -> None:
        """Count the outage, whoever noticed it."""
        self.counters.add(SCOPE, outages=1)

    def arrived(self) -> None:
        """Do what waited for the store to be there."""
        for job in self.on_up:
            job(self._store)

    def tick(self) -> None:
        """Renew leases; hand on the counts once a second, and prolong the stamps once an hour."""
        self._catch_up()  # with what came while the link was coming up
        self.leases.renew()
        if self._clock() - self._ticked >= TICK_S:
            self._ticked = self._clock()
            self._stamps.prolong(self._ticked)
            for job in self.on_tick:
                job(self._store)
            self._flush()

    def stats(self) -> dict[str, dict[str, int]]:
        """Return the counts of all processes so far, by scope and name; raise Unavailable."""
        self._flush()
        return self._counts.read()

    def _flush(self) -> None:
        if not self._counts.hand_on():
            self._complain("the cache store does not take counts (out of memory or read-only)")

    # -- trouble -------------------------------------------------------------------------------------

    def _tried(self, work: Callable[[], T], otherwise: T) -> T:
        """Return what *work* gives, or *otherwise* when the store is away or fails it."""
        if self._link.up:
            try:
                return work()
            except Unavailable as error:
                self._lost(error)
        return otherwise

    def report(self, error: Unavailable) -> None:
        """Note that the store failed somebody who uses the leases."""
        self._lost(error)

    def _refused(self) -> None:
        self.counters.add(SCOPE, refused=1)
        self._complain("the cache store takes no writes (out of memory or read-only)")

    def _lost(self, error: Unavailable) -> None:
        self._link.lost(error)

    def _complain(self, what: str) -> None:
        """Log *what*, at most once a minute: the counts tell how often."""
        now = self._clock()
        if now - self._complained.get(what, -60.0) >= 60.0:
            self._complained[what] = now
            logger.warning("%s", what)

    def _start_afresh(self) -> None:
        """Leave the parent's thread, locks and connections to the parent; the next use connects."""
        self._link = Link(self)
        standing, self._stamps = self._stamps.standing, SharedStamps(self._store, self.namespace)
        self._stamps.standing = standing
        self.leases = Leases(self._store, self.namespace)
        self.counters.start_afresh()
