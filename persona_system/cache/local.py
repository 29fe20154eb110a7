"""The in-process tier: packed answers, bounded by count and by bytes, read without a lock.

A read is a dictionary look-up and a look at the clock.  Everything that changes the cache (put, discard,
invalidate, clear) holds one lock.  What is invalidated is marked dead before it is dropped, so that a reader
who got hold of it just before sees a dead entry.  What leaves a full cache is ``eviction``'s choice.

An entry past its life is never given out, but it stays until it is refilled, dropped or evicted: its refill
then keeps the rank that it had earned.

Units:   ``due_at`` and ``dead_at`` are seconds of the cache's own clock; sizes are bytes of memory, overhead
         included.
Errors:  none; a value that is too large for the cache is not kept.
"""

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import final

from persona_system.cache.eviction import SAMPLE, Eviction

# What an entry costs beyond its key, value and tags: itself, two times, its places in the dictionaries.
_ENTRY_BYTES = 480  # (measured; the tests compare with tracemalloc)
_TAG_BYTES = 330  # beyond its length, for a tag that no other entry has; a shared one costs about 90
_GHOST_BYTES = 240  # a key that was evicted and is remembered without its value
_GHOSTS_PER_ENTRY = 3
_GHOSTS_SHARE = 4  # they take a quarter of the cache's bytes at most
_DEAD = -math.inf


@final
class Entry:
    """A packed answer and its life: due for refresh at ``due_at``, never given out from ``dead_at`` on."""

    __slots__ = (
        "dead_at",
        "due_at",
        "key",
        "queue",
        "queued_at",
        "size_bytes",
        "tags",
        "used_at",
        "uses",
        "value",
    )

    def __init__(
        self, key: bytes, value: bytes, due_at: float, dead_at: float, tags: tuple[bytes, ...]
    ) -> None:
        self.key = key
        self.value = value
        self.due_at = due_at
        self.dead_at = dead_at
        self.tags = tags
        self.uses = self.used_at = self.queued_at = self.queue = 0  # the policy's
        self.size_bytes = _ENTRY_BYTES + len(key) + len(value)
        if tags:
            self.size_bytes += len(tags) * _TAG_BYTES + sum(map(len, tags))


@dataclass(frozen=True, slots=True)
class LocalStats:
    """What a cache holds and what it has done since it was made."""

    entries: int
    bytes: int
    hits: int
    misses: int
    insertions: int  # puts that were kept, replacements among them
    evictions: int
    invalidated: int  # by tag, by key or by clear()
    expired: int  # those misses that found an entry past its life


class LocalCache:
    """A bounded map of keys to entries; safe to share between threads."""

    __slots__ = (
        "_bytes",
        "_clock",
        "_entries",
        "_evictions",
        "_expired",
        "_insertions",
        "_invalidated",
        "_lock",
        "_max_entries",
        "_max_entry_bytes",
        "_misses",
        "_order",
        "_tagged",
        "_tick",
        "_ticks",
    )

    def __init__(
        self,
        max_entries: int = 1_500,
        max_bytes: int = 4 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_entries, self._clock = max_entries, clock
        self._lock = threading.Lock()
        self._entries: dict[bytes, Entry] = {}
        self._tagged: dict[bytes, set[bytes]] = {}
        self._ticks = _Counter()  # the policy's time: hits, and what it takes itself
        self._tick = self._ticks.step
        ghosts = min(_GHOSTS_PER_ENTRY * max_entries, max_bytes // _GHOSTS_SHARE // _GHOST_BYTES)
        self._order = Eviction(max_entries, ghosts, self._tick)
        self._max_entry_bytes = max_bytes - ghosts * _GHOST_BYTES
        self._bytes = self._insertions = self._evictions = self._invalidated = 0
        self._misses, self._expired = _Counter(), _Counter()

    def get(self, key: bytes) -> Entry | None:
        """Return the living entry under *key* and count the look-up."""
        entry = self._entries.get(key)
        if entry is None:
            self._misses.step()
            return None
        if entry.dead_at <= self._clock():
            self._misses.step()
            self._expired.step()
            return None
        now = self._tick()
        if not now % SAMPLE:
            self._order.learn_hit(entry, now)
        entry.used_at = now
        entry.uses += 1  # of two threads one may go uncounted here, but not in the statistics
        return entry

    def peek(self, key: bytes) -> Entry | None:
        """Return the living entry under *key* and leave no trace of the look-up."""
        entry = self._entries.get(key)
        return None if entry is None or entry.dead_at <= self._clock() else entry

    def put(
        self, key: bytes, value: bytes, due_at: float, dead_at: float, tags: tuple[bytes, ...] = ()
    ) -> Entry:
        """Keep *value* under *key* in place of what was there, and return its entry.

        An entry that alone would fill the cache is returned but not kept; what it replaces is dropped.
        """
        entry = Entry(key, value, due_at, dead_at, tags)
        with self._lock:
            old = self._entries.get(key)
            if entry.size_bytes > self._max_entry_bytes:
                if old is not None:
                    self._drop(old)
                return entry
            self._insertions += 1
            if old is None:
                self._order.add(entry)
            else:
                self._unlink(old)
                self._order.replace(old, entry, used=old.dead_at <= self._clock())
            self._link(entry)
            while len(self._entries) > self._max_entries or self._bytes > self._max_entry_bytes:
                self._unlink(self._entries.pop(self._order.evict()))
                self._evictions += 1
        return entry

    def discard(self, key: bytes) -> bool:
        """Drop the entry under *key*; tell whether there was one."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return False
            self._drop(entry)
            self._invalidated += 1
            return True

    def invalidate(self, tags: Iterable[bytes]) -> int:
        """Drop every entry that has one of *tags*; return how many."""
        dropped = 0
        with self._lock:
            for tag in tags:
                for key in tuple(self._tagged.get(tag, ())):
                    self._drop(self._entries[key])
                    dropped += 1
            self._invalidated += dropped
        return dropped

    def clear(self) -> int:
        """Drop everything, and what was learnt about keys; return how many entries there were."""
        with self._lock:
            for entry in self._entries.values():
                entry.dead_at = _DEAD
            dropped = len(self._entries)
            self._entries.clear()
            self._tagged.clear()
            self._order.clear()
            self._bytes = 0
            self._invalidated += dropped
        return dropped

    def start_afresh(self) -> None:
        """Empty a forked child's copy, whose lock a thread of the parent may have held."""
        self._lock = threading.Lock()
        self.clear()

    def keys(self) -> list[bytes]:
        """Return the keys of the living entries, in no particular order."""
        now = self._clock()
        with self._lock:
            return [key for key, entry in self._entries.items() if entry.dead_at > now]

    def __len__(self) -> int:
        """Return how many entries take up room, those past their life among them."""
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """What entries and ghosts take up, overhead included; at most ``max_bytes``."""
        return self._bytes + self._order.ghosts * _GHOST_BYTES

    def stats(self) -> LocalStats:
        """Return what the cache holds and has done."""
        with self._lock:
            return LocalStats(
                entries=len(self._entries),
                bytes=self.size_bytes,
                hits=self._ticks.read() - self._order.ticks_taken,
                misses=self._misses.read(),
                insertions=self._insertions,
                evictions=self._evictions,
                invalidated=self._invalidated,
                expired=self._expired.read(),
            )

    def _link(self, entry: Entry) -> None:
        self._entries[entry.key] = entry
        self._bytes += entry.size_bytes
        for tag in entry.tags:
            keys = self._tagged.get(tag)
            if keys is None:
                self._tagged[tag] = {entry.key}
            else:
                keys.add(entry.key)

    def _unlink(self, entry: Entry) -> None:
        """Take *entry* out of the sums and the tags, not out of the entries."""
        self._bytes -= entry.size_bytes
        for tag in entry.tags:
            keys = self._tagged.get(tag)
            if keys is None:
                continue  # the entry had the tag twice
            keys.discard(entry.key)
            if not keys:
                del self._tagged[tag]

    def _drop(self, entry: Entry) -> None:
        entry.dead_at = _DEAD
        del self._entries[entry.key]
        self._order.remove(entry)
        self._unlink(entry)


class _Counter:
    """Counts exactly without a lock: ``step`` is one call into C, which no thread can come between.

    Reading takes a step too, which is subtracted: then the next number is the count.  Readers hold a lock.
    """

    __slots__ = ("_reads", "step")

    def __init__(self) -> None:
        self._reads = 0
        self.step = itertools.count(1).__next__

    def read(self) -> int:
        """Return how often others called ``step``."""
        self._reads += 1
        return self.step() - self._reads
