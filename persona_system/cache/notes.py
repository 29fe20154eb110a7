"""Small values that every process knows while the store is there, such as the version of the answers."""

from collections.abc import Sequence

from persona_system.cache.keys import tag_id
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.redis_store import RedisStore


class Note:
    """One shared value, kept in the store for good; *value* is None while it is not known here.

    A change is news like an invalidation, so the others know of it as soon.
    """

    def __init__(self, cache: RedisCache, name: str) -> None:
        self.value: bytes | None = None
        self._cache = cache
        self._name, self._tag = f"{cache.namespace}n:{name}", f"note:{name}"
        self._id = tag_id(self._tag)
        cache.on_up.append(self._read)
        cache.on_news.append(self._heard)

    def write(self, store: RedisStore, value: bytes) -> bool:
        """Let everybody know *value*; return whether it is another one.  Raises Unavailable."""
        (old,) = store.run(("SET", self._name, value, "GET"))
        self.value = value
        if old == value:
            return False
        self._cache.invalidate((self._id,))
        return True

    def _read(self, store: RedisStore) -> None:
        (self.value,) = store.get_many([self._name.encode()])

    def _heard(self, tags: Sequence[bytes] | None) -> None:
        if tags is None:
            self.value = None
        elif self._id in tags:
            self._cache.ask(self._read)
