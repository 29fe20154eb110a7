"""Who asked what, told to all who learn from it.

A person's questions arrive at any worker, or are answered by a producer from its cache.  So each process
tells, once a second, what it has seen, and each process with a Prefetcher reads what the others have seen:
all learn from whole sequences, and see that what was prefetched got used, wherever that happened.
The order within a second may be lost; people ask more slowly.

A process acts only on what it sees itself: what it is told makes it learn and settle, not compute.

Keys:    ``ion:cache:seen``, a stream; its entries hold digests only, of 10 minutes at most.
"""

import os
import threading
from collections.abc import Iterable

from persona_system.cache.keys import REQUEST_BYTES, TAG_BYTES, tag_id
from persona_system.cache.prefetch import Prefetcher
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.redis_store import RedisStore
from persona_system.models import Context

Sighting = tuple[bytes, bytes]
"""Who (8 bytes), and what (16 bytes)."""

MOST = 20_000  # sightings that one process tells at a time; the others are left out
ENTRIES = 500  # kept in the stream, about; a process that was away misses the older ones
LIFE_S = 600
_AT_ONCE = 100  # entries read at a time; the others are read a second later
_PAIR = TAG_BYTES + REQUEST_BYTES


class Sightings:
    """Tells what is seen here and, with a *prefetcher*, lets it know what was seen elsewhere.

    Threads may share it; a sighting that is added while others are told may be lost.
    """

    def __init__(self, cache: RedisCache, prefetcher: Prefetcher | None = None) -> None:
        self._cache, self._prefetcher = cache, prefetcher
        self._name, self._me = f"{cache.namespace}seen", os.urandom(8)
        self._seen: list[bytes] = []
        self._read_until = b""
        self._reading = threading.Lock()  # whoever reads moves on, so that nothing is read twice
        cache.on_tick.append(self._share)

    def add(self, sightings: Iterable[Sighting]) -> None:
        """Take note of what was seen here, to be told within a second."""
        if len(self._seen) < MOST:
            self._seen += [slot + content for slot, content in sightings]

    def share(self) -> bool:
        """Tell and read at once; False while the store is away."""
        return self._cache.ask(self._share)

    def _share(self, store: RedisStore) -> None:
        seen, self._seen = self._seen, []
        if seen:
            entry = ("by", self._me, "seen", b"".join(seen[:MOST]))
            store.run(
                ("XADD", self._name, "MAXLEN", "~", ENTRIES, "*", *entry),
                ("EXPIRE", self._name, LIFE_S),
            )
        if self._prefetcher is not None:
            with self._reading:
                self._read(store, self._prefetcher)

    def _read(self, store: RedisStore, prefetcher: Prefetcher) -> None:
        since = b"(" + self._read_until if self._read_until else b"-"
        (entries,) = store.run(("XRANGE", self._name, since, "+", "COUNT", _AT_ONCE))
        if not isinstance(entries, list):  # an error: the key is not ours
            return
        for name, fields in entries:
            self._read_until = name
            entry = dict(zip(fields[::2], fields[1::2], strict=False))
            seen = entry.get(b"seen", b"")
            if entry.get(b"by") == self._me or len(seen) % _PAIR:  # its own, or not of this kind
                continue
            passed = 0
            for at in range(0, len(seen), _PAIR):
                slot = seen[at : at + TAG_BYTES]
                if prefetcher.follows(slot):
                    prefetcher.asked(slot, seen[at + TAG_BYTES : at + _PAIR])
                else:
                    passed += 1
            prefetcher.pass_by(passed)


def slot_of(context: Context) -> bytes:
    """Return who asks, as a digest; empty for nobody, and for somebody in a conversation."""
    if context.history or context.summary is not None:
        return b""
    if context.session_id is not None:
        return tag_id(f"session:{context.session_id}")
    return b"" if context.user_id is None else tag_id(f"user:{context.user_id}")
