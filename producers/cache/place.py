"""Where the answer cache of a fleet is, for whoever looks at it or changes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from persona_system.errors import InvalidInput
from producers.errors import Unavailable

if TYPE_CHECKING:
    from persona_system.cache.inspection import Inspection
    from persona_system.cache.redis_cache import RedisCache
    from producers.settings import ClientSettings


@dataclass(frozen=True, slots=True)
class Place:
    """A store that answers.  *cache* connects to it when it is first used; *look* reads it and no more."""

    settings: "ClientSettings"
    cache: "RedisCache"
    look: "Inspection"

    @property
    def patience_s(self) -> float:
        """How long to wait for the server."""
        return self.settings.connect_timeout_s


@contextmanager
def reached(settings: "ClientSettings", mine: "RedisCache | None" = None) -> Iterator[Place]:
    """Give the cache that a client with *settings* uses; *mine* is this process's part in it, if it has one.

    Raises the domain's Unavailable when its server is away, a producer's Unavailable when there is no cache,
    and InvalidInput when its address is none.
    """
    url = settings.cache_address()
    if url is None:
        raise Unavailable("the cache", "this fleet has none; set ION_CACHE_URL to its server")
    from persona_system.cache.inspection import Inspection  # noqa: PLC0415 - redis takes 0.1 s
    from persona_system.cache.redis_cache import RedisCache  # noqa: PLC0415
    from persona_system.cache.redis_store import RedisStore  # noqa: PLC0415

    patience_s = settings.connect_timeout_s
    try:
        store = RedisStore(url, patience_s)
        cache = RedisCache(url, patience_s) if mine is None else mine
    except ValueError:  # it may quote the URL
        raise InvalidInput(
            "ION_CACHE_URL", "is no redis:// or unix:// address", "correct or unset it"
        ) from None
    try:
        store.run(("PING",))
        yield Place(settings, cache, Inspection(store))
    finally:
        if mine is None:
            cache.close()
        store.close()
