"""The counts of all processes in the shared store: a hash that each process adds its own to.

Errors:  Unavailable, when the store does not answer; then nothing is lost here.
"""

from persona_system.cache.counters import Counters
from persona_system.cache.redis_store import RedisStore
from persona_system.errors import Unavailable

LIFE_S = 30 * 24 * 3600  # after the last count


class SharedCounts:
    """Hands on what *own* counted, and reads everybody's."""

    def __init__(self, store: RedisStore, namespace: str, own: Counters) -> None:
        self._store, self._name, self._own = store, f"{namespace}stats", own

    def hand_on(self) -> bool:
        """Add this process's new counts to everybody's; False: the store did not take them all.

        What it did not take is handed on the next time.
        """
        counts = self._own.drain()
        if not counts:
            return True
        adding = [
            ("HINCRBY", self._name, f"{scope}.{name}", count) for (scope, name), count in counts.items()
        ]
        try:
            answers = self._store.run(*adding, ("EXPIRE", self._name, LIFE_S))
        except Unavailable:
            self._own.give_back(counts)
            raise
        refused = {
            name: counts[name]
            for name, answer in zip(counts, answers, strict=False)
            if isinstance(answer, Exception)
        }
        self._own.give_back(refused)
        return not refused

    def read(self) -> dict[str, dict[str, int]]:
        """Return the counts of all processes, by scope and name."""
        (flat,) = self._store.run(("HGETALL", self._name))
        if isinstance(flat, Exception):
            raise Unavailable("the cache's statistics", str(flat))
        found: dict[str, dict[str, int]] = {}
        for name, count in zip(flat[::2], flat[1::2], strict=True):
            scope, _, counted = name.decode().rpartition(".")
            found.setdefault(scope, {})[counted] = int(count)
        return found
