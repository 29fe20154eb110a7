"""What the whole fleet asks most: every process's counts, added up in the store.

Every few seconds each process adds what it has counted since to a sorted set; once a minute one of them,
whichever comes first, weighs all counts a little less and drops the least of them.  So the set holds the
favourites of the last hours, in bounded memory, and needs nobody to look after it.

Keys:    ``ion:cache:popular``, request ids (without a version, so that they outlive one) by count, a day
         after the last one; ``ion:cache:popular:fading``, whoever fades it this minute.
Units:   counts are look-ups, halved every `HALF_LIFE_S`.
Errors:  none; while the store is away, nothing is handed on, and what was counted meanwhile comes later.
"""

import time
from collections.abc import Callable

from persona_system.cache.keys import REQUEST_BYTES
from persona_system.cache.popularity import Popularity
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.redis_store import Command, RedisStore

EVERY_S = 5.0
AT_ONCE = 500  # requests that one process hands on at a time: its most frequent ones
KEPT = 5_000  # after a fading; in between there may be twice as many, so that newcomers have a chance
LIFE_S = 24 * 3600
HALF_LIFE_S = 3_600.0
FADE_EVERY_S = 60.0
_LEAST = 0.5  # a request that was asked once is forgotten after one half-life


class Trends:
    """Shares *popularity* with every process that has such an object over the same store."""

    def __init__(
        self,
        cache: RedisCache,
        popularity: Popularity,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.popularity = popularity
        self._cache, self._clock = cache, clock
        self._name, self._fading = f"{cache.namespace}popular", f"{cache.namespace}popular:fading"
        self._share_at = clock() + EVERY_S
        self._halve_at = clock() + HALF_LIFE_S
        cache.on_tick.append(self._tick)

    def top(self, n: int) -> list[tuple[bytes, float]]:
        """Return the *n* requests asked most, with their counts; nothing while the store is away."""
        found: list[tuple[bytes, float]] = []

        def ask(store: RedisStore) -> None:
            (flat,) = store.run(("ZREVRANGE", self._name, 0, n - 1, "WITHSCORES"))
            if isinstance(flat, list):
                pairs = zip(flat[::2], flat[1::2], strict=True)
                found.extend((one, float(count)) for one, count in pairs if len(one) == REQUEST_BYTES)

        if n > 0:
            self._cache.ask(ask)
        return found

    def share(self) -> bool:
        """Hand on at once what was counted here; False while the store is away."""
        return self._cache.ask(self._share)

    def _tick(self, store: RedisStore) -> None:
        now = self._clock()
        if now >= self._share_at:
            self._share_at = now + EVERY_S
            self._share(store)
        if now >= self._halve_at:
            self._halve_at = now + HALF_LIFE_S
            self.popularity.decay(0.5)

    def _share(self, store: RedisStore) -> None:
        counted = self.popularity.drain(AT_ONCE)
        adding: list[Command] = [
            ("ZINCRBY", self._name, count, request) for request, count in counted.items()
        ]
        if adding:
            adding += [("ZREMRANGEBYRANK", self._name, 0, -2 * KEPT - 1), ("EXPIRE", self._name, LIFE_S)]
        *_, elected = store.run(*adding, ("SET", self._fading, 1, "NX", "PX", int(FADE_EVERY_S * 1000)))
        if elected == b"OK":
            self._fade(store)

    def _fade(self, store: RedisStore) -> None:
        weight = 0.5 ** (FADE_EVERY_S / HALF_LIFE_S)
        store.run(
            ("ZUNIONSTORE", self._name, 1, self._name, "WEIGHTS", weight),
            ("ZREMRANGEBYSCORE", self._name, "-inf", f"({_LEAST}"),
            ("ZREMRANGEBYRANK", self._name, 0, -KEPT - 1),
            ("EXPIRE", self._name, LIFE_S),
        )
