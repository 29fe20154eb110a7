"""The in-process tier, as its users see it."""

import gc
import itertools
import sys
import tracemalloc
from dataclasses import dataclass

import pytest

from persona_system.cache.local import LocalCache

NEVER = 1e18


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def key(n: int) -> bytes:
    return n.to_bytes(16, "big")


def filled(cache: LocalCache, keys: range, value: bytes = b"x") -> LocalCache:
    for n in keys:
        cache.put(key(n), value, NEVER, NEVER)
    return cache


def test_what_was_put_is_found_until_it_dies() -> None:
    clock = Clock()
    cache = LocalCache(clock=clock)
    cache.put(b"k", b"v", due_at=5.0, dead_at=10.0, tags=(b"t",))

    clock.now_s = 9.9
    entry = cache.get(b"k")
    assert entry is not None
    assert (entry.value, entry.due_at, entry.dead_at, entry.tags) == (b"v", 5.0, 10.0, (b"t",))

    clock.now_s = 10.0
    assert cache.get(b"k") is None
    assert cache.peek(b"k") is None
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.expired) == (1, 1, 1)


def test_a_peek_leaves_no_trace() -> None:
    cache = filled(LocalCache(), range(1))
    assert cache.peek(key(0)) is not None
    assert cache.peek(key(1)) is None
    stats = cache.stats()
    assert (stats.hits, stats.misses) == (0, 0)


def test_statistics_do_not_count_themselves() -> None:
    cache = filled(LocalCache(), range(1))
    for _ in range(3):
        cache.get(key(0))
        cache.stats()
    assert cache.stats().hits == 3


def test_a_tag_drops_its_entries_and_no_others() -> None:
    cache = LocalCache()
    cache.put(b"1", b"v", NEVER, NEVER, (b"red", b"round"))
    cache.put(b"2", b"v", NEVER, NEVER, (b"red",))
    cache.put(b"3", b"v", NEVER, NEVER, (b"blue", b"blue"))

    assert cache.invalidate([b"red", b"round", b"nobody's"]) == 2
    assert cache.keys() == [b"3"]
    assert cache.invalidate([b"blue"]) == 1
    assert (len(cache), cache.size_bytes, cache.stats().invalidated) == (0, 0, 3)


def test_a_replaced_entry_no_longer_answers_to_its_old_tags() -> None:
    cache = LocalCache()
    cache.put(b"k", b"old", NEVER, NEVER, (b"old",))
    cache.put(b"k", b"new", NEVER, NEVER, (b"new",))

    assert cache.invalidate([b"old"]) == 0
    assert cache.get(b"k") is not None
    assert cache.invalidate([b"new"]) == 1


@pytest.mark.parametrize("drop", ["invalidate", "discard", "clear"])
def test_a_reader_who_came_just_before_an_invalidation_holds_a_dead_entry(drop: str) -> None:
    cache = LocalCache()
    cache.put(b"k", b"v", NEVER, NEVER, (b"t",))
    held = cache.get(b"k")
    assert held is not None

    match drop:
        case "invalidate":
            assert cache.invalidate([b"t"]) == 1
        case "discard":
            assert cache.discard(b"k")
            assert not cache.discard(b"k")
        case _:
            assert cache.clear() == 1
    assert held.dead_at <= -sys.float_info.max
    assert cache.get(b"k") is None


def test_neither_bound_is_passed() -> None:
    assert len(filled(LocalCache(max_entries=10), range(100))) == 10

    small = filled(LocalCache(max_bytes=20_000), range(100), bytes(1_000))
    assert 5 < len(small) < 20
    assert small.size_bytes <= 20_000


def test_a_value_larger_than_the_cache_is_handed_back_but_not_kept() -> None:
    """What it replaces goes, since it is out of date; everybody else stays."""
    cache = filled(LocalCache(max_bytes=10_000), range(3))
    entry = cache.put(key(1), bytes(10_000), NEVER, NEVER)

    assert len(entry.value) == 10_000
    assert cache.get(key(1)) is None
    assert sorted(cache.keys()) == [key(0), key(2)]
    assert cache.stats().insertions == 3


def test_a_run_of_unique_keys_leaves_those_in_use() -> None:
    cache = LocalCache(max_entries=100)
    for _ in range(3):
        for n in range(80):
            if cache.get(key(n)) is None:
                cache.put(key(n), b"v", NEVER, NEVER)
    filled(cache, range(1_000, 11_000))

    kept = sum(cache.peek(key(n)) is not None for n in range(80))
    assert kept >= 70  # a few are the price of finding out that it is a scan


def test_an_expired_entry_that_is_refilled_keeps_its_rank() -> None:
    """A hundred keys are used, die and are refilled; a thousand newcomers then leave before them."""
    clock = Clock()
    cache = LocalCache(max_entries=200, clock=clock)
    for n in range(100):
        cache.put(key(n), b"old", 1.0, 1.0)
    for _, n in itertools.product(range(3), range(100)):
        cache.get(key(n))
    clock.now_s = 2.0
    for n in range(100):
        assert cache.get(key(n)) is None
        cache.put(key(n), b"new", NEVER, NEVER)
    filled(cache, range(1_000, 2_000))

    assert sum(cache.get(key(n)) is not None for n in range(100)) >= 90


@pytest.mark.parametrize("tags", [0, 1, 2])
@pytest.mark.parametrize("shared", [True, False])
def test_the_size_that_is_told_is_the_memory_that_is_used(tags: int, *, shared: bool) -> None:
    """Against tracemalloc, which sees every allocation: told is at least what is used, at most 1.5 x."""
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    cache = LocalCache(max_entries=1_500, max_bytes=1 << 30)
    for n in range(6_000):  # so there are ghosts, too
        names = tuple(b"tag %d of %d" % (tag, 0 if shared else n) for tag in range(tags))
        cache.put(key(n), bytes(720), float(n), float(n), names)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert used <= cache.size_bytes <= 1.5 * used
