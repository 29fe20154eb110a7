"""Caches of one process to compare: the product's own class, and what others use, over plain keys.

Each answers ``request(key)`` with whether it was a hit, and keeps the key afterwards, if it sees fit.
Nothing expires here: that would mix the policy with the lifetimes, which ``fleet`` is about.

Sources: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023 (S3-FIFO); Einziger,
         Friedman, Manes, "TinyLFU: a highly efficient cache admission policy", ACM ToS 2017.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from persona_system.cache.local import LocalCache

_NEVER = float("inf")


class Policy(Protocol):
    """A cache that tells hits from misses."""

    def request(self, key: bytes) -> bool:
        """Look *key* up and, on a miss, put it in; tell whether it was a hit."""


class Product:
    """The product's local tier itself, bounded by entries only."""

    def __init__(self, max_entries: int) -> None:
        self._cache = LocalCache(max_entries, max_bytes=1 << 40, clock=lambda: 0.0)

    def request(self, key: bytes) -> bool:
        """See Policy."""
        if self._cache.get(key) is not None:
            return True
        self._cache.put(key, b"", _NEVER, _NEVER)
        return False


class Lru:
    """Drops what was used longest ago."""

    def __init__(self, max_entries: int) -> None:
        self._keys: OrderedDict[bytes, None] = OrderedDict()
        self._max_entries = max_entries

    def request(self, key: bytes) -> bool:
        """See Policy."""
        if key in self._keys:
            self._keys.move_to_end(key)
            return True
        self._keys[key] = None
        if len(self._keys) > self._max_entries:
            self._keys.popitem(last=False)
        return False


class S3Fifo:
    """A tenth of the room for newcomers; *uses* of them to stay; *ghosts* per entry to be let in at once."""

    def __init__(self, max_entries: int, ghosts: int = 1, uses: int = 1) -> None:
        self._max_entries, self._max_small = max_entries, max(1, max_entries // 10)
        self._max_ghosts, self._uses_to_stay = ghosts * max_entries, uses
        self._small: OrderedDict[bytes, None] = OrderedDict()
        self._main: OrderedDict[bytes, None] = OrderedDict()
        self._ghosts: OrderedDict[bytes, None] = OrderedDict()
        self._uses: dict[bytes, int] = {}

    def request(self, key: bytes) -> bool:
        """See Policy."""
        uses = self._uses.get(key)
        if uses is not None:
            self._uses[key] = min(uses + 1, 3)
            return True
        self._uses[key] = 0
        if key in self._ghosts:
            del self._ghosts[key]
            self._main[key] = None
        else:
            self._small[key] = None
        if len(self._uses) > self._max_entries:
            del self._uses[self._evicted()]
        return False

    def _evicted(self) -> bytes:
        while True:
            if len(self._small) > self._max_small or not self._main:
                key, _ = self._small.popitem(last=False)
                if self._uses[key] < self._uses_to_stay:
                    self._ghosts[key] = None
                    if len(self._ghosts) > self._max_ghosts:
                        self._ghosts.popitem(last=False)
                    return key
                self._uses[key] = 0
            else:
                key, _ = self._main.popitem(last=False)
                if self._uses[key] == 0:
                    return key
                self._uses[key] -= 1
            self._main[key] = None


class TinyLfu:
    """A small LRU window, then admission by frequency into a segmented LRU.

    Counts keys exactly where real ones use a sketch; counts are halved every ten times the cache's size.
    """

    def __init__(self, max_entries: int, window_share: float = 0.01) -> None:
        self._window: OrderedDict[bytes, None] = OrderedDict()
        self._probation: OrderedDict[bytes, None] = OrderedDict()
        self._protected: OrderedDict[bytes, None] = OrderedDict()
        self._max_window = max(1, round(max_entries * window_share))
        self._max_main = max_entries - self._max_window
        self._max_protected = self._max_main * 4 // 5
        self._counts: Counter[bytes] = Counter()
        self._until_halved = self._period = 10 * max_entries

    def request(self, key: bytes) -> bool:
        """See Policy."""
        self._count(key)
        for segment in (self._window, self._protected):
            if key in segment:
                segment.move_to_end(key)
                return True
        if key in self._probation:
            del self._probation[key]
            self._protected[key] = None
            if len(self._protected) > self._max_protected:
                self._probation[self._protected.popitem(last=False)[0]] = None
            return True
        self._window[key] = None
        if len(self._window) > self._max_window:
            self._admit(self._window.popitem(last=False)[0])
        return False

    def _admit(self, candidate: bytes) -> None:
        if len(self._probation) + len(self._protected) >= self._max_main:
            segment = self._probation or self._protected
            victim = next(iter(segment))
            if self._counts[candidate] <= self._counts[victim]:
                return
            del segment[victim]
        self._probation[candidate] = None

    def _count(self, key: bytes) -> None:
        self._counts[key] = min(15, self._counts[key] + 1)
        self._until_halved -= 1
        if self._until_halved <= 0:
            self._until_halved = self._period
            self._counts = Counter({k: count // 2 for k, count in self._counts.items() if count > 1})


POLICIES: Final[Mapping[str, Callable[[int], Policy]]] = {
    "product": Product,
    "S3-FIFO": S3Fifo,
    "S3-FIFO 2x": lambda max_entries: S3Fifo(max_entries, ghosts=2, uses=2),
    "W-TinyLFU": TinyLfu,
    "LRU": Lru,
}


def hits(policy: Policy, keys: Sequence[bytes]) -> int:
    """Return how many of *keys*, looked up one after the other, are hits."""
    return sum(map(policy.request, keys))
