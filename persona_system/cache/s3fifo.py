"""Which entry leaves a full cache: S3-FIFO with a long ghost list.

A new entry waits in a small queue (a tenth of the cache).  Used twice while there it moves to the main queue,
else it leaves and only a fingerprint of its key stays behind, as a ghost.  A key that comes back while its
ghost is remembered goes straight to the main queue.  There a used entry gets another round for each use, up
to three.  A run of keys that are seen once passes through the small queue and leaves the main one alone.

Source:  Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.
"""

from collections import OrderedDict
from typing import Protocol

MAX_USES = 3
GHOSTS_PER_ENTRY = 2
_USES_TO_STAY = 2
_SMALL_SHARE = 0.1


class Ranked(Protocol):
    """What the policy knows of an entry; readers raise ``uses`` without a lock."""

    key: bytes
    uses: int


class Eviction:
    """The order in which entries leave.  Not safe across threads: its cache holds a lock."""

    __slots__ = ("_ghosts", "_main", "_max_ghosts", "_max_small", "_small")

    def __init__(self, max_entries: int) -> None:
        self._small: OrderedDict[bytes, Ranked] = OrderedDict()
        self._main: OrderedDict[bytes, Ranked] = OrderedDict()
        self._ghosts: OrderedDict[int, None] = OrderedDict()
        self._max_small = max(1, round(max_entries * _SMALL_SHARE))
        self._max_ghosts = max_entries * GHOSTS_PER_ENTRY

    @property
    def ghosts(self) -> int:
        """How many keys are remembered without their value."""
        return len(self._ghosts)

    def add(self, entry: Ranked) -> None:
        """Rank an entry whose key is not ranked."""
        fingerprint = hash(entry.key)
        if fingerprint in self._ghosts:
            del self._ghosts[fingerprint]
            self._main[entry.key] = entry
        else:
            self._small[entry.key] = entry

    def replace(self, old: Ranked, new: Ranked) -> None:
        """Give *new* the place and the uses of *old*, which has the same key."""
        new.uses = old.uses
        queue = self._small if old.key in self._small else self._main
        queue[old.key] = new

    def remove(self, key: bytes) -> None:
        """Forget *key*, which is ranked, without leaving a ghost."""
        if self._small.pop(key, None) is None:
            del self._main[key]

    def clear(self) -> None:
        """Forget everything."""
        self._small.clear()
        self._main.clear()
        self._ghosts.clear()

    def evict(self) -> bytes:
        """Take the key that is worth least from the ranking; there is at least one."""
        while True:
            if len(self._small) > self._max_small or not self._main:
                key, entry = self._small.popitem(last=False)
                if entry.uses < _USES_TO_STAY:
                    self._remember(key)
                    return key
                entry.uses = 0
                self._main[key] = entry
            else:
                key, entry = self._main.popitem(last=False)
                if entry.uses == 0:
                    return key
                entry.uses -= 1
                self._main[key] = entry

    def _remember(self, key: bytes) -> None:
        self._ghosts[hash(key)] = None
        if len(self._ghosts) > self._max_ghosts:
            self._ghosts.popitem(last=False)
