"""Random stories, compared with a model: what is found is right and alive, and there when it must be.

The model counts invalidations of each tag.  An answer is good while none of its tags was invalidated since
the ticket that it was stored with, and until it is dead.  A look-up may give any good answer that was
stored under its key, since a process serves its copy until that is due; it must give one when the latest
was stored with all its tags as they are, is good, and was not dropped.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from persona_system.cache.keys import tag_ids
from persona_system.cache.lifetime import Lifetime
from persona_system.cache.tiers import Item, Ticket
from persona_system.cache.two_tier import TwoTierCache
from tests.backends.conftest import COMPOSITIONS, Backend, backend_of, server_of
from tests.support.caching import News, key

NAMES = st.sampled_from("abc")
TAGS = ("t", "u")
SOME_TAGS = st.sets(st.sampled_from(TAGS)).map(tuple)
LIVES = st.tuples(st.integers(1, 50), st.integers(0, 50))
WHO = st.integers(0, 1)
EVERYTHING = "everything"


@dataclass(frozen=True)
class Stored:
    """What the model knows of one answer."""

    value: bytes
    due_s: float
    dead_s: float
    generations: tuple[tuple[str, int], ...]


class Machine(RuleBasedStateMachine):
    """Two processes' caches (one, without a store) and the model."""

    def __init__(self, backend: Backend, caches: list[TwoTierCache], news: list[News]) -> None:
        super().__init__()
        self.backend, self.caches, self.news = backend, caches, news
        self.stored: dict[str, list[Stored]] = {}
        self.latest: dict[str, Stored | None] = {}
        self.generation = dict.fromkeys((*TAGS, EVERYTHING), 0)
        self.held: tuple[int, Ticket, dict[str, int]] | None = None
        self.count = 0

    @initialize()
    def begin(self) -> None:
        self._invalidate(0, self.caches[0].clear, EVERYTHING)
        for cache in self.caches:
            cache.discard(*map(key, "abc"))

    @rule(who=WHO, name=NAMES, tags=SOME_TAGS, life=LIVES)
    def compute_and_store(self, who: int, name: str, tags: tuple[str, ...], life: tuple[int, int]) -> None:
        ticket = self._cache(who).lookup([], tag_ids(TAGS)).ticket
        self._store(who, ticket, dict(self.generation), name, tags, life)

    @rule(who=WHO)
    def begin_to_compute(self, who: int) -> None:
        self.held = who, self._cache(who).lookup([], tag_ids(TAGS)).ticket, dict(self.generation)

    @rule(name=NAMES, tags=SOME_TAGS, life=LIVES)
    def store_what_was_begun(self, name: str, tags: tuple[str, ...], life: tuple[int, int]) -> None:
        if self.held is not None:
            self._store(*self.held, name, tags, life)
            self.held = None

    @rule(who=WHO, tag=st.sampled_from(TAGS))
    def invalidate(self, who: int, tag: str) -> None:
        self._invalidate(who, lambda: self._cache(who).invalidate(tag), tag)

    @rule(who=WHO)
    def clear(self, who: int) -> None:
        self._invalidate(who, self._cache(who).clear, EVERYTHING)

    @rule(who=WHO, name=NAMES)
    def discard(self, who: int, name: str) -> None:
        self._cache(who).discard(key(name))
        self.latest[name] = None

    @rule(seconds=st.integers(1, 60))
    def time_passes(self, seconds: int) -> None:
        self.backend.time.pass_by(seconds)

    @rule(who=WHO, names=st.lists(NAMES, max_size=5))
    def look(self, who: int, names: list[str]) -> None:
        found = self._cache(who).lookup([key(name) for name in names], tag_ids(TAGS))
        now = self.backend.time.now_s
        for place, (name, value) in enumerate(zip(names, found.values, strict=True)):
            good = [one for one in self.stored.get(name, ()) if self._good(one)]
            latest = self.latest.get(name)
            assert value is None or value in {one.value for one in good}
            assert value is not None or latest is None or not self._good(latest)
            if place in found.refresh:
                assert any(one.value == value and one.due_s <= now for one in good)

    def _cache(self, who: int) -> TwoTierCache:
        return self.caches[who % len(self.caches)]

    def _good(self, one: Stored) -> bool:
        current = all(self.generation[tag] == generation for tag, generation in one.generations)
        return current and self.backend.time.now_s < one.dead_s

    def _store(
        self,
        who: int,
        ticket: Ticket,
        generations: dict[str, int],
        name: str,
        tags: tuple[str, ...],
        life: tuple[int, int],
    ) -> None:
        self.count += 1
        value, now = b"%d" % self.count, self.backend.time.now_s
        fresh, grace = [timedelta(seconds=seconds) for seconds in life]
        self._cache(who).store(
            [Item(key(name), value, tag_ids(tags), Lifetime(fresh, grace, early=0, jitter=0))], ticket
        )
        carried = tuple((tag, generations[tag]) for tag in (*tags, EVERYTHING))
        one = Stored(value, now + life[0], now + sum(life), carried)
        self.stored.setdefault(name, []).append(one)
        if self.backend.shared or self._good(one):  # the local tier keeps what it has, the store takes all
            self.latest[name] = one

    def _invalidate(self, who: int, act: Callable[[], bool], tag: str) -> None:
        before = [len(news.heard) for news in self.news]
        assert act()
        self.generation[tag] += 1
        for index, news in enumerate(self.news):  # its own news comes back to who told it, too
            news.wait_for(before[index] + (2 if index == who % len(self.caches) else 1))


@pytest.mark.parametrize("tiers", COMPOSITIONS)
def test_any_story_agrees_with_the_model(tiers: str, request: pytest.FixtureRequest) -> None:
    with ExitStack() as closing:
        backend = backend_of(tiers, server_of(tiers, request), closing)
        caches = [backend.make() for _ in range(2 if backend.shared else 1)]
        news = [News(cache) for cache in caches] if backend.shared else []
        run_state_machine_as_test(
            lambda: Machine(backend, caches, news),  # type: ignore[arg-type]  # any factory will do
            settings=settings(
                max_examples=60,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
