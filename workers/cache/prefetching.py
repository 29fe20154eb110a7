"""Compute what a person will probably ask next, before they ask it.

After a batch's reply is out, each of its people who came without a conversation (no history and no
summary: then the answer depends on the question and on who asks, not on what was said before) is shown to
the ``Prefetcher``.  What it names is computed for that person and put into the store, where the person's
producer and every worker look; not into this process, since the next batch may go to any other.

What it takes to compute a content is remembered here when it passes by; else its recipe is looked for.
A batch computes `INLINE` answers at most, so that the next one need not wait: the rest goes to a short
list in the store, and the periodic task ``cache.prefetch`` computes what is on it.  What has lain there
for longer than `AHEAD_LIFE_S` is dropped.

``Sightings`` tell the other processes who asked what, and tell this one what they saw: so all learn from
all, and know what was used.  They may not know the text of what they then expect, so whoever does leaves
its recipe.  While a gate keeps a text out of the cache, nothing is computed for it.  How much may be
computed, and whether it pays, is the Prefetcher's to say.

Counts, in scope ``prefetch``: answers ``computed``, which were ``there`` already, ``deferred`` to the task,
and which ``failed`` or were ``unknown``, since nobody remembers the text; contents ``used`` and ``wasted``,
which each process sees for the whole fleet and one of them reports: exact while it stays the same one.
Limits:  what a producer answers by itself is learnt from, but no worker has it at hand, so nothing is
         computed after it: of a chain of questions, every second one is prefetched.
Keys:    ``ion:cache:ahead``, recipes that wait for the task; ``ion:cache:ahead:reporter``, who reports.
"""

import os
import time
from collections.abc import Callable, Sequence

from persona_system.cache.answers import PROCESS, process_request
from persona_system.cache.followups import ANY_OTHER, Generations
from persona_system.cache.prefetch import Prefetcher
from persona_system.cache.redis_store import RedisStore
from persona_system.cache.sightings import Sighting, Sightings, slot_of
from persona_system.models import Context
from workers.cache.ahead import Ahead
from workers.cache.answers import Plan
from workers.cache.recipes import Recipe, RecipeBook, packed, unpacked

SCOPE = "prefetch"
INLINE = 32  # answers after one batch: about 2 ms
AHEAD = 1_000  # recipes that wait for the task
AHEAD_LIFE_S = 60
TEXTS = 4_096  # remembered
RECIPES_EVERY_S = 10.0
ROWS = 128  # expectations whose recipes are left at a time
REPORTER_MS = 5_000
MAX_CHARS = 1_000  # of a text that is remembered: 4 MB of them, with characters of 4 bytes 16 MB

Admits = Callable[[str, str], bool]
"""Tells whether the cache would be asked about an endpoint's text."""


class Prefetching:
    """Prefetches for the people in a worker's batches.  Never raises for the store's sake."""

    def __init__(
        self,
        ahead: Ahead,
        book: RecipeBook,
        admits: Admits,
        prefetcher: Prefetcher,
        sightings: Sightings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ahead, self._book, self._admits = ahead, book, admits
        self._redis, self._clock = ahead.redis, clock
        self.prefetcher, self.sightings = prefetcher, sightings
        self._texts: Generations[bytes, tuple[str, str | None]] = Generations(TEXTS)
        self._waiting = f"{ahead.redis.namespace}ahead"
        self._reporter = f"{self._waiting}:reporter"
        self._told, self._me = prefetcher.stats(), os.urandom(8)
        self._recipes_at = 0.0
        self._redis.on_tick.append(self._tick)

    def note(self, plan: Plan) -> None:
        """Learn from an answered batch, and prefetch."""
        if plan.policy is not PROCESS:  # a pipeline's order is not a person's, and scenarios are nobody's
            return
        expected: list[tuple[bytes, Context]] = []
        follows, passed = self.prefetcher.follows, 0
        seen: list[Sighting] = []
        for job in plan.jobs:
            if job is None or job.context is None or not job.use_cache:
                continue
            slot = slot_of(job.context)
            if not follows(slot):
                passed += bool(slot)
                continue
            content = process_request(job.text, job.key, None)
            if len(job.text) <= MAX_CHARS:
                self._texts.swap(content, (job.text, job.key))
            seen.append((slot, content))
            expected += [(one, job.context) for one in self.prefetcher.asked(slot, content)]
        if passed:
            self.prefetcher.pass_by(passed)
        if seen:
            self.sightings.add(seen)
        if expected:
            self._prefetch(expected)

    def work_off(self) -> int:
        """Compute what batches have left for later; return how many answers that were."""
        computed = 0
        for _ in range(AHEAD // INLINE + 1):
            left: list[bytes] = []
            if not self._redis.ask(lambda store: left.extend(self._take(store))) or not left:  # noqa: B023
                break
            computed += self._make([recipe for one in left if (recipe := unpacked(one)) is not None])
        return computed

    def leave_recipes(self) -> None:
        """Leave the recipes of what was found to follow: any worker may have to compute it."""
        rows = self.prefetcher.export(ROWS)
        known = {content: self._texts.get(content) for _, content, _ in rows if content != ANY_OTHER}
        recipes = {
            content: Recipe(PROCESS.endpoint, *text) for content, text in known.items() if text is not None
        }
        if recipes:
            self._book.write(recipes, PROCESS)

    def _prefetch(self, expected: Sequence[tuple[bytes, Context]]) -> None:
        texts = {content: self._texts.get(content) for content, _ in expected}
        strange = [content for content, text in texts.items() if text is None]
        if strange:
            found, _ = self._book.find(strange)
            for content, recipe in found.items():
                if self._ahead.request_of(recipe) == content:
                    texts[content] = (recipe.text, recipe.key)
        wanted = [
            Recipe(PROCESS.endpoint, *text, context)
            for content, context in expected
            if (text := texts[content]) is not None and self._admits(PROCESS.endpoint, text[0])
        ]
        unknown = sum(texts[content] is None for content, _ in expected)
        now, later = wanted[:INLINE], wanted[INLINE:]
        self._redis.counters.add(SCOPE, unknown=unknown, deferred=len(later))
        self._make(now)
        if later:
            self._redis.ask(lambda store: self._leave(store, later))

    def _make(self, recipes: Sequence[Recipe]) -> int:
        made = self._ahead.make(recipes, keep=False)
        self._redis.counters.add(SCOPE, computed=made.computed, there=made.there, failed=len(made.failed))
        return made.computed

    def _leave(self, store: RedisStore, recipes: Sequence[Recipe]) -> None:
        store.run(
            ("RPUSH", self._waiting, *[packed(recipe) for recipe in recipes]),
            ("LTRIM", self._waiting, -AHEAD, -1),
            ("EXPIRE", self._waiting, AHEAD_LIFE_S),
        )

    def _take(self, store: RedisStore) -> list[bytes]:
        (taken,) = store.run(("LPOP", self._waiting, INLINE))
        return taken if isinstance(taken, list) else []

    def _tick(self, store: RedisStore) -> None:
        if self._clock() >= self._recipes_at:
            self._recipes_at = self._clock() + RECIPES_EVERY_S
            self.leave_recipes()
        before, self._told = self._told, self.prefetcher.stats()
        used, wasted = self._told.used - before.used, self._told.wasted - before.wasted
        if used or wasted:
            (reporter,) = store.run(("SET", self._reporter, self._me, "NX", "GET", "PX", REPORTER_MS))
            if reporter in (None, self._me):
                self._redis.counters.add(SCOPE, used=used, wasted=wasted)
