"""The in-process tier against a model: what was put last, and which keys may be gone."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from persona_system.cache.local import Entry, LocalCache

MAX_ENTRIES, MAX_BYTES = 12, 16_000
KEYS = st.integers(0, 39).map(lambda n: b"key%d" % n)
VALUES = st.integers(0, 4_000).map(bytes)
TAGS = st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), max_size=3).map(tuple)
LIVES_S = st.integers(-1, 30)


class LocalCacheMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.cache = LocalCache(MAX_ENTRIES, MAX_BYTES, lambda: self.now_s)
        self.last: dict[bytes, Entry] = {}  # the last entry put under each key, unless it was dropped
        self.hits = self.misses = self.puts = self.dropped = 0

    @rule(key=KEYS, value=VALUES, life_s=LIVES_S, tags=TAGS)
    def put(self, key: bytes, value: bytes, life_s: int, tags: tuple[bytes, ...]) -> None:
        entry = self.cache.put(key, value, self.now_s + life_s / 2, self.now_s + life_s, tags)
        assert (entry.key, entry.value, entry.tags) == (key, value, tags)
        self.last[key] = entry
        self.puts += 1

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        entry = self.cache.get(key)
        if entry is None:
            self.misses += 1
        else:
            assert entry is self.last[key]
            assert entry.dead_at > self.now_s
            self.hits += 1
        assert self.cache.peek(key) is entry

    @rule(key=KEYS, times=st.integers(1, 5))
    def get_often(self, key: bytes, times: int) -> None:
        for _ in range(times):
            self.get(key)

    @rule(seconds=st.integers(1, 10))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    @rule(tags=st.lists(st.sampled_from([b"a", b"b", b"c", b"nobody's"]), max_size=3))
    def invalidate(self, tags: list[bytes]) -> None:
        held = [e for e in self.last.values() if set(e.tags) & set(tags)]
        present = len(self.cache)
        dropped = self.cache.invalidate(tags)
        assert len(self.cache) == present - dropped
        for entry in held:
            del self.last[entry.key]
            assert self.cache.peek(entry.key) is None
        self.dropped += dropped

    @rule(key=KEYS)
    def discard(self, key: bytes) -> None:
        self.dropped += self.cache.discard(key)
        self.last.pop(key, None)
        assert self.cache.peek(key) is None

    @precondition(lambda self: self.puts > 20)
    @rule()
    def clear(self) -> None:
        present = len(self.cache)
        assert self.cache.clear() == present
        self.dropped += present
        self.last.clear()

    @invariant()
    def bounds_hold_and_sums_are_exact(self) -> None:
        entries = list(self.cache._entries.values())
        assert len(self.cache) == len(entries) <= MAX_ENTRIES
        ghosts = self.cache._order.ghosts
        assert ghosts <= 3 * MAX_ENTRIES
        assert self.cache.size_bytes == sum(e.size_bytes for e in entries) + 240 * ghosts <= MAX_BYTES
        assert all(self.last[e.key] is e for e in entries)
        tagged = {(tag, e.key) for e in entries for tag in e.tags}
        assert {(tag, key) for tag, keys in self.cache._tagged.items() for key in keys} == tagged
        assert all(self.cache._tagged.values())
        ranked = [e for queue in self.cache._order._queues for e in queue.values()]
        assert len(ranked) == len(entries)
        assert {id(e) for e in ranked} == {id(e) for e in entries}

    @invariant()
    def counts_are_exact(self) -> None:
        stats = self.cache.stats()
        assert (stats.hits, stats.misses, stats.invalidated) == (self.hits, self.misses, self.dropped)
        assert stats.insertions <= self.puts
        assert stats.entries == len(self.cache)


LocalCacheMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestLocalCacheMachine = LocalCacheMachine.TestCase
