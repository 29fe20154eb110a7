"""Both tiers as one cache: what is not in this process is looked for in the store, and then kept here, too.

The local tier serves only while the shared one is up, and an answer enters it only while its tags' stamps
are known to be the present ones, looked at *after* it was put in: an invalidation that arrives in between
finds it there, or is noticed.  So nothing is served that was invalidated before the look-up began, as far
as news of it had reached this process.

Works with either tier alone: without *shared* in one process, with ``local=None`` on the store only.
"""

import os
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from persona_system.cache.counters import Counters
from persona_system.cache.flights import Flights
from persona_system.cache.keys import EVERYTHING, EVERYTHING_ID, tag_ids
from persona_system.cache.local import LocalCache
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.tiers import Found, Item, OwnTier, SharedTier, Ticket

_REFRESH_S = 5.0  # how long after an election nobody here stands for the same refresh


@dataclass(slots=True)
class Lookup:
    """What a look-up found, in the order of its keys.

    *refresh* are the places of answers that are due and that this caller was elected to compute anew; it
    may serve the old one meanwhile.  *ticket* is what computed answers are to be stored with.
    """

    values: list[bytes | None]
    refresh: list[int] = field(default_factory=list)
    local: int = 0  # hits by tier
    shared: int = 0
    ticket: Ticket = field(default_factory=dict)


class TwoTierCache:
    """Packed answers by key; never raises for the store's sake.  Threads may share it; so may forks."""

    def __init__(
        self,
        local: LocalCache | None = None,
        shared: RedisCache | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.local = local
        self.redis = shared
        self._tier: SharedTier = OwnTier(clock) if shared is None else shared
        self._clock = clock
        self.counters = Counters() if shared is None else shared.counters
        self.flights = Flights()
        if shared is not None:
            shared.on_news.append(self._forget)
        afresh = weakref.WeakMethod(self._start_afresh)
        os.register_at_fork(after_in_child=lambda: (method := afresh()) and method())

    @property
    def up(self) -> bool:
        """Whether it serves: not before ``start``, and not while the store is away."""
        return self._tier.up

    def start(self) -> None:
        """Begin to serve, in the background; idempotent, also after a fork."""
        self._tier.start()

    def close(self) -> None:
        """Stop serving and give connections back."""
        self._tier.close()

    def get_here(self, key: bytes) -> bytes | None:
        """Return a fresh answer of this process, without any input or output; None for anything else."""
        if self.local is None or not self._tier.up:
            return None
        entry = self.local.get(key)
        return None if entry is None or entry.due_at <= self._clock() else entry.value

    def lookup(
        self,
        keys: Sequence[bytes],
        tags: Sequence[bytes] | None = (),
        *,
        there: bool = True,
        keep: bool = True,
    ) -> Lookup:
        """Look for *keys* in both tiers, with one question to the store for all of them.

        *tags* (from ``tag_ids``) are all those that an answer computed after this may carry; None: there
        will be none, and no ticket is needed.  *there*: whether to ask the store for answers.  *keep*:
        whether its answers enter the local tier.
        """
        found = Lookup([None] * len(keys))
        if not self._tier.up:
            return found
        due: list[int] = []
        wanted = () if tags is None else (*tags, EVERYTHING_ID)
        missing = self._look_here(keys, found, due)
        if there and (missing or due):
            self._look_there(keys, missing, wanted, found, due, keep=keep)
        if due:
            elected = self._tier.elect([keys[place] for place in due])
            found.refresh = [place for place, is_elected in zip(due, elected, strict=True) if is_elected]
        if wanted and not found.ticket and (missing or found.refresh or not keys):
            found.ticket = self._tier.lookup((), wanted)[1]
        return found

    def store(self, items: Sequence[Item], ticket: Ticket, *, keep: bool = True) -> None:
        """Keep computed answers, with the ticket of the look-up that went before.

        One whose tags were invalidated since is void from the start.
        """
        kept = self._tier.store(items, ticket)
        if keep:
            self._keep(
                [(item.key, found) for item, found in zip(items, kept, strict=True) if found is not None]
            )

    def store_one(self, item: Item, ticket: Ticket) -> None:
        """Keep one answer like ``store``, and wake the processes that wait for it."""
        if self.redis is None:
            self.store((item,), ticket)
        elif (found := self.redis.store_one(item, ticket)) is not None:
            self._keep([(item.key, found)])

    def take_in(self, key: bytes, sealed: bytes) -> bytes | None:
        """Keep and return the answer that another process sent; None when it is not good any more."""
        found = None if self.redis is None else self.redis.opened(key, sealed)
        if found is None:
            return None
        self._keep([(key, found)])
        return found.value

    def invalidate(self, *tags: str) -> bool:
        """Void every answer with one of *tags*, everywhere; False: as soon as the store is back."""
        ids = tag_ids(tags)
        if self.redis is None:
            self._forget(ids)
        return self._tier.invalidate(ids)

    def clear(self) -> bool:
        """Void everything, everywhere; False: as soon as the store is back."""
        return self.invalidate(EVERYTHING)

    def discard(self, *keys: bytes) -> None:
        """Drop single answers from the store and from this process, not from others': for those, use tags."""
        self._tier.discard(keys)
        if self.local is not None:
            for key in keys:
                self.local.discard(key)

    def _look_here(self, keys: Sequence[bytes], found: Lookup, due: list[int]) -> list[int]:
        if self.local is None:
            return list(range(len(keys)))
        get, values, now, missing = self.local.get, found.values, self._clock(), []
        for place, key in enumerate(keys):
            entry = get(key)
            if entry is None:
                missing.append(place)
                continue
            values[place] = entry.value
            if entry.due_at <= now:
                entry.due_at = now + _REFRESH_S  # the other threads here need not stand
                due.append(place)
        found.local = len(keys) - len(missing)
        return missing

    def _look_there(
        self,
        keys: Sequence[bytes],
        missing: list[int],
        tags: Sequence[bytes],
        found: Lookup,
        due: list[int],
        *,
        keep: bool,
    ) -> None:
        """Ask the store for what is missing, and for what is due: it may have been refreshed elsewhere."""
        asked = [*missing, *due]
        was_due = set(due)
        answers, found.ticket = self._tier.lookup([keys[place] for place in asked], tags)
        now = self._clock()
        kept: list[tuple[bytes, Found]] = []
        renewed: set[int] = set()  # elsewhere, since they came here
        for place, answer in zip(asked, answers, strict=True):
            if answer is None:
                continue
            is_due = answer.due_at <= now
            if place not in was_due:
                found.shared += 1
                if is_due:
                    due.append(place)
            elif is_due:
                continue  # the store has nothing newer than what is here
            else:
                renewed.add(place)
            found.values[place] = answer.value
            kept.append((keys[place], answer._replace(due_at=now + _REFRESH_S) if is_due else answer))
        if renewed:
            due[:] = [place for place in due if place not in renewed]
        if keep:
            self._keep(kept)

    def _keep(self, answers: Sequence[tuple[bytes, Found]]) -> None:
        """Take *answers* into the local tier, except what is invalidated by the time it is there."""
        local = self.local
        if local is None or not answers:
            return
        current = self._tier.current
        stamps = {id(found.stamped): found.stamped for _, found in answers}  # few distinct ones in a batch
        tags = {
            one: tuple([tag for tag, _ in stamped if tag != EVERYTHING_ID])
            for one, stamped in stamps.items()
            if current(stamped)
        }
        for key, found in answers:
            if (of_answer := tags.get(id(found.stamped))) is not None:
                local.put(key, found.value, found.due_at, found.dead_at, of_answer)
        void = {one for one in tags if not current(stamps[one])}
        if void:
            for key, found in answers:
                if id(found.stamped) in void:
                    local.discard(key)

    def _forget(self, tags: Sequence[bytes] | None) -> None:
        if self.local is None:
            return
        if tags is None or EVERYTHING_ID in tags:
            self.local.clear()
        else:
            self.local.invalidate(tags)

    def _start_afresh(self) -> None:
        self.flights = Flights()
        if self.redis is None:  # whose locks a thread of the parent may have held
            self._tier = OwnTier(self._clock)
            self.counters.start_afresh()
        if self.local is not None:
            self.local.start_afresh()
