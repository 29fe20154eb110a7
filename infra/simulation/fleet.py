"""A fleet of workers over one shared store, on simulated time: the product's design beside the legacy one.

Each request goes to a random worker.  It is looked up in the worker's own tier, then in the store; found in
neither it is computed and kept in both.  An answer that is due is served as it is, and one caller computes
it anew, unless the store has a newer one already.  An invalidation voids the answers of one tag in the store
at once, and in the workers where it is pushed.

What is simulated is the design, with the product's own local tier and lifetimes; the store is a dictionary
of unlimited size, and computing takes no time.
"""

import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NamedTuple, Protocol

from infra.simulation.traces import Request
from persona_system.cache.lifetime import Lifetime
from persona_system.cache.local import Entry, LocalCache

TAGS: Final = 50  # every answer has one of so many


class Tier(Protocol):
    """What the fleet asks of a worker's own tier; ``LocalCache`` has it."""

    def get(self, key: bytes) -> Entry | None:
        """Return the living entry under *key*."""

    def peek(self, key: bytes) -> Entry | None:
        """Return the living entry under *key* and leave no trace."""

    def put(self, key: bytes, value: bytes, due_at: float, dead_at: float, tags: tuple[bytes, ...]) -> Entry:
        """Keep *value*."""

    def invalidate(self, tags: Iterable[bytes]) -> int:
        """Drop what has one of *tags*."""


class LegacyTier:
    """LRU with a short life of its own, to which no invalidation comes."""

    def __init__(self, max_entries: int, life_s: float, clock: Callable[[], float]) -> None:
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._max_entries, self._life_s, self._clock = max_entries, life_s, clock

    def get(self, key: bytes) -> Entry | None:
        """See Tier."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.dead_at <= self._clock():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry

    def peek(self, key: bytes) -> Entry | None:
        """See Tier."""
        entry = self._entries.get(key)
        return None if entry is None or entry.dead_at <= self._clock() else entry

    def put(self, key: bytes, value: bytes, due_at: float, dead_at: float, tags: tuple[bytes, ...]) -> Entry:
        """See Tier."""
        dead_at = min(dead_at, self._clock() + self._life_s)
        self._entries[key] = entry = Entry(key, value, due_at, dead_at, tags)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
        return entry

    def invalidate(self, tags: Iterable[bytes]) -> int:
        """Hear nothing."""
        del tags
        return 0


@dataclass(frozen=True, slots=True)
class Design:
    """What a fleet is made of."""

    tier: Callable[[Callable[[], float]], Tier]  # given the clock
    lifetime: Lifetime


def product(max_entries: int = 1_500) -> Design:
    """Return the product's design with its default lifetimes."""
    lifetime = Lifetime(timedelta(seconds=300), grace=timedelta(seconds=1_500))
    return Design(lambda clock: LocalCache(max_entries, clock=clock), lifetime)


def legacy(max_entries: int = 1_500) -> Design:
    """Return the legacy design: LRU, 45 s in a worker, 300 s in the store, nothing pushed."""
    lifetime = Lifetime(timedelta(seconds=300), early=0.0, jitter=0.0)
    return Design(lambda clock: LegacyTier(max_entries, 45.0, clock), lifetime)


class Stored(NamedTuple):
    """An answer in the store."""

    value: bytes
    due_at: float
    dead_at: float


@dataclass(slots=True)
class Tally:
    """What happened; hits by endpoint."""

    requests: Counter[str] = field(default_factory=Counter)
    local: Counter[str] = field(default_factory=Counter)
    shared: Counter[str] = field(default_factory=Counter)
    computed: int = 0  # on a miss
    refreshed: int = 0  # computed anew while the old one was served
    stale: int = 0  # answers served although invalidated before

    def figures(self) -> dict[str, Any]:
        """Return the rates; each is a share of all requests, or of those of one endpoint."""
        total = self.requests.total()
        return {
            "requests": total,
            "local": round(self.local.total() / total, 4),
            "shared": round(self.shared.total() / total, 4),
            "combined": round((self.local.total() + self.shared.total()) / total, 4),
            "computed": self.computed,
            "refreshed": self.refreshed,
            "stale": self.stale,
            "endpoints": {
                endpoint: {
                    "requests": requests,
                    "local": round(self.local[endpoint] / requests, 4),
                    "combined": round((self.local[endpoint] + self.shared[endpoint]) / requests, 4),
                }
                for endpoint, requests in sorted(self.requests.items())
            },
        }


class Fleet:
    """Workers, their store and its clock."""

    def __init__(self, design: Design, workers: int, seed: int) -> None:
        self.now_s = 0.0
        self.tally = Tally()
        self.workers = [design.tier(self._clock) for _ in range(workers)]
        self._design = design
        self._rng = random.Random(f"fleet {seed}")  # noqa: S311  a simulation must repeat itself
        self._store: dict[bytes, Stored] = {}
        self._versions = [
            0
        ] * TAGS  # of each tag, raised by an invalidation; an answer's value is its version

    def ask(self, request: Request, worker: int | None = None) -> bool:
        """Serve *request*, by a random worker unless told; tell whether that had it in its own tier."""
        self.now_s = request.time_s
        number = self._rng.randrange(len(self.workers)) if worker is None else worker
        tier, tally = self.workers[number], self.tally
        tally.requests[request.endpoint] += 1
        entry = tier.get(request.key)
        if entry is not None:
            tally.local[request.endpoint] += 1
            self._note_stale(request.key, entry.value)
            if entry.due_at <= self.now_s:
                self.renew(tier, request.key)
            return True
        stored = self.stored(request.key)
        if stored is None:
            tally.computed += 1
            self.compute(tier, request.key)
            return False
        tally.shared[request.endpoint] += 1
        self._note_stale(request.key, stored.value)
        if stored.due_at <= self.now_s:
            self.renew(tier, request.key)
        else:
            self.keep(tier, request.key, stored)
        return False

    def restart(self, worker: int) -> None:
        """Let a worker begin with an empty tier."""
        self.workers[worker] = self._design.tier(self._clock)

    def stored(self, key: bytes) -> Stored | None:
        """Return what the store has and may still serve."""
        found = self._store.get(key)
        if found is None or found.dead_at <= self.now_s or self._version(key) != found.value:
            return None
        return found

    def missing(self, worker: int, key: bytes) -> bool:
        """Tell whether a worker's own tier lacks *key*, without counting that as a look-up."""
        return self.workers[worker].peek(key) is None

    def renew(self, tier: Tier, key: bytes) -> None:
        """Take a newer answer from the store, or be the one who computes it."""
        stored = self.stored(key)
        if stored is not None and stored.due_at > self.now_s:
            self.keep(tier, key, stored)
        else:
            self.tally.refreshed += 1
            self.compute(tier, key)

    def compute(self, tier: Tier, key: bytes) -> None:
        """Compute an answer and keep it in both tiers."""
        due_ms, dead_ms = self._design.lifetime.draw_ms(self._rng.random)
        stored = Stored(self._version(key), self.now_s + due_ms / 1e3, self.now_s + dead_ms / 1e3)
        self._store[key] = stored
        self.keep(tier, key, stored)

    def keep(self, tier: Tier, key: bytes, stored: Stored) -> None:
        """Keep an answer of the store in *tier*."""
        tier.put(key, stored.value, stored.due_at, stored.dead_at, (_tag(key),))

    def invalidate(self, tag: int) -> None:
        """Void the answers of *tag* in the store, and push that to the workers."""
        self._versions[tag] += 1
        for tier in self.workers:
            tier.invalidate((tag.to_bytes(2, "big"),))

    def _clock(self) -> float:
        return self.now_s

    def _version(self, key: bytes) -> bytes:
        return self._versions[int.from_bytes(key, "big") % TAGS].to_bytes(4, "big")

    def _note_stale(self, key: bytes, value: bytes) -> None:
        self.tally.stale += value != self._version(key)


def run(
    design: Design,
    requests: Sequence[Request],
    workers: int,
    seed: int,
    invalidate_every_s: float | None = None,
) -> Tally:
    """Return what a fleet of *design* makes of *requests*; optionally with a random tag voided regularly."""
    fleet = Fleet(design, workers, seed)
    rng = random.Random(f"invalidations {seed}")  # noqa: S311  a simulation must repeat itself
    next_s = float("inf") if invalidate_every_s is None else invalidate_every_s
    for request in requests:
        while request.time_s >= next_s:
            fleet.invalidate(rng.randrange(TAGS))
            next_s += invalidate_every_s or 0.0
        fleet.ask(request)
    return fleet.tally


def _tag(key: bytes) -> bytes:
    return (int.from_bytes(key, "big") % TAGS).to_bytes(2, "big")
