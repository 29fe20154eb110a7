"""Have the popular answers at hand before they are asked.

Whenever the link to the store comes up (a worker starts, an outage is over), a thread of its own fetches
the answers that the fleet asks most into this process.  Those that are missing or due are computed from
their recipes, each by one elected process: so after a change of the catalogue, when every key is a new
one, the popular answers are there at once.  The periodic task ``cache.warm`` does the same in one worker.

Counts, in scope ``warm``: answers ``loaded`` from the store into this process, ``computed``, and recipes
that ``failed``, which are dropped.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from persona_system.cache.redis_store import RedisStore
from persona_system.cache.trends import Trends
from workers.cache.ahead import Ahead
from workers.cache.recipes import Recipe, RecipeBook

SCOPE = "warm"
_AT_ONCE = 250  # answers; a look-up of them takes a few milliseconds, and then others have their turn
_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Warmed:
    """What warming did, in answers; *failed* are recipes."""

    loaded: int = 0
    computed: int = 0
    failed: int = 0


class Warmer:
    """Warms this process with the *most* popular answers, and the store with what is missing there."""

    def __init__(self, ahead: Ahead, trends: Trends, book: RecipeBook, most: int) -> None:
        self._ahead, self._trends, self._book = ahead, trends, book
        self._cache, self._redis = ahead.cache, ahead.redis
        self._most = most
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False
        if most:
            self._redis.on_up.append(self._begin)

    def warm(self, n: int | None = None) -> Warmed:
        """Warm with the *n* most popular answers; without the store, do nothing."""
        requests = [request for request, _ in self._trends.top(self._most if n is None else n)]
        requests.reverse()  # the most popular come last, so a local tier that is too small keeps them
        loaded = computed = failed = 0
        elsewhere: list[bytes] = []
        for start in range(0, len(requests), _AT_ONCE):
            if self._closing:
                break
            part = requests[start : start + _AT_ONCE]
            keys = [self._ahead.key_of(request) for request in part]
            found = self._cache.lookup(keys, None)
            loaded += found.shared
            missing = [one for one, value in zip(part, found.values, strict=True) if value is None]
            due = [part[place] for place in found.refresh]
            recipes, bad = self._recipes([*missing, *due])
            elected = self._elected([one for one in missing if one in recipes])
            elsewhere += [one for one in missing if one in recipes and one not in elected]
            wanted = [one for one in (*elected, *due) if one in recipes]
            made = self._ahead.make([recipes[one] for one in wanted], keep=True)
            bad += [wanted[place] for place in made.failed]
            self._book.drop(bad)
            computed, failed = computed + made.computed, failed + len(bad)
        if elsewhere:  # by now the others have computed them
            loaded += self._cache.lookup([self._ahead.key_of(one) for one in elsewhere], None).shared
        self._redis.counters.add(SCOPE, loaded=loaded, computed=computed, failed=failed)
        return Warmed(loaded, computed, failed)

    def close(self) -> None:
        """Stop warming."""
        with self._lock:
            self._closing = True
            thread = self._thread
        if thread is not None:
            thread.join(_PATIENCE_S)

    def _begin(self, store: RedisStore) -> None:  # noqa: ARG002 - as ``on_up`` calls it
        """Warm in the background: the link's thread has news to hear."""
        with self._lock:
            if self._closing or (self._thread is not None and self._thread.is_alive()):
                return
            thread = threading.Thread(target=self._run, name="ion-warm", daemon=True)
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        try:
            self.warm()
        except Exception as error:  # noqa: BLE001 - a bug in warming costs misses, not the worker
            self._ahead.report_bug("warming the cache", error)

    def _recipes(self, requests: Sequence[bytes]) -> tuple[dict[bytes, Recipe], list[bytes]]:
        """Return the recipes of *requests*, and the requests whose recipe is not theirs."""
        found, bad = self._book.find(requests)
        strange = [one for one, recipe in found.items() if self._ahead.request_of(recipe) != one]
        for one in strange:
            del found[one]
        return found, bad + strange

    def _elected(self, requests: Sequence[bytes]) -> list[bytes]:
        if not requests:
            return []
        chosen = self._redis.elect([self._ahead.key_of(one) for one in requests])
        return [one for one, is_chosen in zip(requests, chosen, strict=True) if is_chosen]
