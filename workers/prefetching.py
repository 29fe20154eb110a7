"""Compute what a person will probably ask next, before they ask it.

After a batch's reply is out, each of its people who came without a conversation (no history and no
summary: then the answer depends on the question and on who asks, not on what was said before) is shown to
the ``Prefetcher``.  What it names is computed for that person and put into the store, where the person's
producer and every worker look; not into this process, since the next batch may go to any other.

What it takes to compute a content is remembered here when it passes by; else its recipe is looked for.
A batch computes `INLINE` answers at most, so that the next one need not wait: the rest goes to a short
list in the store, and the periodic task ``cache.prefetch`` computes what is on it.  What has lain there
for longer than `AHEAD_LIFE_S` is dropped.

What one process learns reaches the others by ``Exchange``; the recipes of what it expects go with it.
While a gate keeps a text out of the cache, nothing is computed for it.  How much may be computed, and
whether it pays, is the Prefetcher's to say.

Counts, in scope ``prefetch``: contents ``used`` and ``wasted`` as the Prefetcher sees them in this process;
answers ``computed``, which were ``there`` already, ``deferred`` to the task, and which ``failed`` or were
``unknown``, since nobody remembers the text.
Keys:    ``ion:cache:ahead``, recipes that wait for the task.
"""

import time
from collections.abc import Callable, Sequence

from persona_system.cache.answers import PROCESS, process_request
from persona_system.cache.followups import ANY_OTHER, Generations, Learnt
from persona_system.cache.keys import tag_id
from persona_system.cache.prefetch import Prefetcher, PrefetchStats
from persona_system.cache.redis_store import RedisStore
from persona_system.models import Context
from workers.ahead import Ahead
from workers.answers import Plan
from workers.recipes import Recipe, RecipeBook, packed, unpacked

SCOPE = "prefetch"
INLINE = 32  # answers after one batch: about 2 ms
AHEAD = 1_000  # recipes that wait for the task
AHEAD_LIFE_S = 60
TEXTS = 8_192  # remembered
MAX_CHARS = 2_000  # of a text that is remembered: 16 MB of them at most

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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ahead, self._book, self._admits = ahead, book, admits
        self._redis, self._prefetcher, self._clock = ahead.redis, prefetcher, clock
        self._texts: Generations[bytes, tuple[str, str | None]] = Generations(TEXTS)
        self._waiting = f"{ahead.redis.namespace}ahead"
        self._told = prefetcher.stats()
        self._redis.on_tick.append(self._count)

    def note(self, plan: Plan) -> None:
        """Learn from an answered batch, and prefetch."""
        if plan.policy is not PROCESS:  # a pipeline's order is not a person's, and scenarios are nobody's
            return
        expected: list[tuple[bytes, Context]] = []
        for job in plan.jobs:
            if job is None or job.context is None or not job.use_cache:
                continue
            slot = slot_of(job.context)
            if not slot:
                continue
            content = b""
            if self._prefetcher.follows(slot):
                content = process_request(job.text, job.key, None)
                if len(job.text) <= MAX_CHARS:
                    self._texts.swap(content, (job.text, job.key))
            expected += [(one, job.context) for one in self._prefetcher.asked(slot, content)]
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

    def learnt(self, rows: Sequence[Learnt]) -> None:
        """Leave the recipes of what is expected in *rows*: other workers may have to compute it."""
        known = {content: self._recall(content) for _, content, _ in rows if content != ANY_OTHER}
        recipes = {
            content: Recipe(PROCESS.endpoint, *text) for content, text in known.items() if text is not None
        }
        if recipes:
            self._book.write(recipes, PROCESS)

    def _prefetch(self, expected: Sequence[tuple[bytes, Context]]) -> None:
        texts = {content: self._recall(content) for content, _ in expected}
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

    def _recall(self, content: bytes) -> tuple[str, str | None] | None:
        return self._texts.get(content)

    def _leave(self, store: RedisStore, recipes: Sequence[Recipe]) -> None:
        store.run(
            ("RPUSH", self._waiting, *[packed(recipe) for recipe in recipes]),
            ("LTRIM", self._waiting, -AHEAD, -1),
            ("EXPIRE", self._waiting, AHEAD_LIFE_S),
        )

    def _take(self, store: RedisStore) -> list[bytes]:
        (taken,) = store.run(("LPOP", self._waiting, INLINE))
        return taken if isinstance(taken, list) else []

    def _count(self, store: RedisStore) -> None:  # noqa: ARG002 - as ``on_tick`` calls it
        now: PrefetchStats = self._prefetcher.stats()
        used, wasted = now.used - self._told.used, now.wasted - self._told.wasted
        self._told = now
        self._redis.counters.add(SCOPE, used=used, wasted=wasted)


def slot_of(context: Context) -> bytes:
    """Return who asks, as a digest; empty for nobody, and for somebody in a conversation."""
    if context.history or context.summary is not None:
        return b""
    if context.session_id is not None:
        return tag_id(f"session:{context.session_id}")
    return b"" if context.user_id is None else tag_id(f"user:{context.user_id}")
