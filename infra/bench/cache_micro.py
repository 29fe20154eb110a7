"""What one operation of the cache costs, without processes or a server.

Units: nanoseconds for each operation; the median of rounds.
"""

import statistics
import time
from collections.abc import Callable

from persona_system.cache.answers import process_request
from persona_system.cache.keys import request_id
from persona_system.cache.local import LocalCache

_ENTRIES = 1_500
_ROUNDS = 15


def operations() -> dict[str, float]:
    """Return the cost of each operation, in ns."""
    cache, value, far = LocalCache(), bytes(2_000), time.monotonic() + 3600
    keys = [b"vers" + request_id(number) for number in range(_ENTRIES)]
    others = [b"vers" + request_id(-1, number) for number in range(_ENTRIES)]
    tags = (b"endpoint", b"a person")
    for key in keys:
        cache.put(key, value, far, far, tags)
    held = cache.keys()
    text = "배포가 또 실패했어요. 어떻게 해야 하죠? " * 4
    fresh = iter(range(10**9))
    return {
        "local_hit_ns": _median_ns(lambda: list(map(cache.get, held)), len(held)),
        "local_miss_ns": _median_ns(lambda: list(map(cache.get, others)), len(others)),
        "local_put_evict_ns": _median_ns(
            lambda: [cache.put(b"%d" % next(fresh), value, far, far, tags) for _ in keys], len(keys)
        ),
        "request_id_ns": _median_ns(
            lambda: [process_request(text, "calm-medium-learning", None) for _ in keys], len(keys)
        ),
    }


def _median_ns(operations: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(_ROUNDS):
        started = time.perf_counter_ns()
        operations()
        times.append((time.perf_counter_ns() - started) / count)
    return round(statistics.median(times), 1)
