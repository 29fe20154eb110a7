"""Short words for stories about the cache."""

import threading
from collections.abc import Sequence
from datetime import timedelta

from persona_system.cache.keys import request_id, tag_ids, version_id
from persona_system.cache.lifetime import Lifetime
from persona_system.cache.tiers import Item
from persona_system.cache.two_tier import TwoTierCache

EXACT = Lifetime(timedelta(seconds=100), grace=timedelta(seconds=50), early=0, jitter=0)
"""Due after 100 s, dead after 150 s, to the millisecond."""


def key(name: object) -> bytes:
    """Return a key for *name*."""
    return version_id("test") + request_id(name)


def put(cache: TwoTierCache, name: object, value: bytes, *tags: str, life: Lifetime = EXACT) -> None:
    """Store *value* as whoever has just computed it."""
    ids = tag_ids(tags)
    ticket = cache.lookup([], ids).ticket
    cache.store([Item(key(name), value, ids, life)], ticket)


def get(cache: TwoTierCache, name: object) -> bytes | None:
    """Return what is there for *name*."""
    return cache.lookup([key(name)]).values[0]


class News:
    """Counts the news that a cache acted on, so that tests can wait for it."""

    def __init__(self, cache: TwoTierCache) -> None:
        self.heard: list[Sequence[bytes] | None] = []
        self._changed = threading.Condition()
        assert cache.redis is not None
        cache.redis.on_news.append(self._hear)  # after the cache's own

    def wait_for(self, count: int, patience_s: float = 10.0) -> None:
        """Return when *count* pieces of news have been acted on."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.heard) >= count, patience_s), len(self.heard)

    def _hear(self, tags: Sequence[bytes] | None) -> None:
        with self._changed:
            self.heard.append(tags)
            self._changed.notify_all()
