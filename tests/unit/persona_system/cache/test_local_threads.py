"""The in-process tier under threads that switch as often as the interpreter can."""

import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from persona_system.cache.local import LocalCache

NEVER = 1e18
READERS, LOOKUPS = 4, 20_000


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual_s)


def test_counts_are_exact_and_values_belong_to_their_keys() -> None:
    cache = LocalCache(max_entries=50)
    seen = [0] * READERS

    def read(reader: int) -> None:
        rng = random.Random(reader)
        for _ in range(LOOKUPS):
            key = b"%d" % rng.randrange(100)
            entry = cache.get(key)
            if entry is None:
                cache.put(key, key * 3, NEVER, NEVER, (key[-1:],))
            else:
                seen[reader] += 1
                assert entry.value == key * 3

    def drop() -> None:
        rng = random.Random(99)
        for _ in range(500):
            cache.invalidate([b"%d" % rng.randrange(10)])
            cache.discard(b"%d" % rng.randrange(100))
            cache.stats()

    with ThreadPoolExecutor(READERS + 1) as pool:
        jobs = [pool.submit(read, reader) for reader in range(READERS)] + [pool.submit(drop)]
        for job in jobs:
            job.result()

    stats = cache.stats()
    assert stats.hits == sum(seen)
    assert stats.hits + stats.misses == READERS * LOOKUPS
    assert stats.entries == len(cache.keys()) <= 50
    entries = list(cache._entries.values())
    assert stats.bytes == sum(e.size_bytes for e in entries) + 240 * cache._order.ghosts
    assert {k for keys in cache._tagged.values() for k in keys} == {e.key for e in entries}
    # A replacement is an insertion too, hence not "==".
    assert stats.insertions >= stats.entries + stats.evictions + stats.invalidated
