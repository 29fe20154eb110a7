"""What was asked, kept in the store, so that an answer can be computed before anybody asks again.

A key tells what an answer depends on, but not what was asked.  So for requests that come again and again
a worker leaves the question itself under its id, for as long as its answer may be served.  The id depends
on no version: after a change of the catalogue the popular answers are computed anew from here.

Only every 16th request is looked at, in passing: what is asked often is seen soon, and the others cost
nothing.  A refresh is always looked at, since it means that the request was asked before and again.

Keys:    ``ion:cache:q:{request}``.  A recipe holds what a person wrote, as the answers do.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from persona_system.cache.answers import CachePolicy
from persona_system.cache.followups import Generations
from persona_system.cache.keys import VERSION_BYTES, names_of
from persona_system.cache.popularity import Popularity
from persona_system.cache.redis_cache import RedisCache
from persona_system.models import Context
from workers.cache.answers import Plan
from workers.contract.payloads import Job

SEEN = 3  # times that this process was asked
EVERY = 16
MAX_BYTES = 8_192  # a longer question is computed when it is asked
_REMEMBERED = 16_384  # recipes that this process knows to be there


class Recipe(msgspec.Struct, frozen=True, array_like=True):
    """A request without who asked it: what computing its answer takes."""

    endpoint: str
    text: str
    key: str | None = None
    context: Context | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Recipe).decode


def packed(recipe: Recipe) -> bytes:
    """Return *recipe* as it is stored."""
    return _encode(recipe)


def unpacked(stored: bytes) -> Recipe | None:
    """Return the recipe; None for anything else, whatever it is."""
    try:
        return _decode(stored)
    except (msgspec.MsgspecError, RecursionError):
        return None


class RecipeBook:
    """The recipes of all workers.  Never raises for the store's sake.

    Threads may share it; two that meet write a recipe twice, or look at one request more or less.
    """

    def __init__(
        self, cache: RedisCache, popularity: Popularity, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cache, self._popularity, self._clock = cache, popularity, clock
        self._names = f"{cache.namespace}q:".encode()
        self._again_at: Generations[bytes, float] = Generations(_REMEMBERED)  # when to write it once more
        self._first = 0  # the place in the next batch to look at

    def note(self, plan: Plan) -> None:
        """Write down what of an answered batch is asked again and again."""
        jobs, keys = plan.jobs, plan.keys
        if not jobs:
            return
        places = list(range(self._first, len(jobs), EVERY))
        self._first = (self._first - len(jobs)) % EVERY
        refreshed = [place for place, job in enumerate(jobs) if job is not None and job.refresh]
        refreshed += plan.anew
        wanted = {}
        for place in (*refreshed, *places):
            job, key = jobs[place], keys[place]
            if job is None or key is None or (plan.values[place] is None and key not in plan.items):
                continue  # it has no answer
            request = key[VERSION_BYTES:]
            if place in refreshed or self._popularity.estimate(request) >= SEEN:
                wanted[request] = recipe_of(plan.policy, job)
        if wanted:
            self.write(wanted, plan.policy)

    def write(self, recipes: Mapping[bytes, Recipe], policy: CachePolicy) -> None:
        """Leave *recipes*, by request, for as long as an answer under *policy* may be served."""
        now = self._clock()
        life_s = (policy.lifetime.fresh + policy.lifetime.grace).total_seconds()
        new = {}
        for request, recipe in recipes.items():
            if (self._again_at.get(request) or 0.0) <= now:
                self._again_at.swap(request, now + life_s / 2)
                stored = packed(recipe)
                if len(stored) <= MAX_BYTES:
                    new[request] = stored
        if new:
            life_ms = int(life_s * 1000)
            names = names_of(self._names, list(new))
            items = [(name, stored, life_ms) for name, stored in zip(names, new.values(), strict=True)]
            self._cache.ask(lambda store: store.set_many(items))

    def find(self, requests: Sequence[bytes]) -> tuple[dict[bytes, Recipe], list[bytes]]:
        """Return the recipes that are there, by request, and which requests have an unreadable one."""
        found: dict[bytes, Recipe] = {}
        bad: list[bytes] = []
        stored: list[bytes | None] = []
        names = names_of(self._names, list(requests))
        if names and self._cache.ask(lambda store: stored.extend(store.get_many(names))):
            for request, one in zip(requests, stored, strict=True):
                recipe = None if one is None else unpacked(one)
                if recipe is not None:
                    found[request] = recipe
                elif one is not None:
                    bad.append(request)
        return found, bad

    def drop(self, requests: Iterable[bytes]) -> None:
        """Remove recipes that are good for nothing."""
        names = names_of(self._names, list(requests))
        if names:
            self._cache.ask(lambda store: store.run(("UNLINK", *names)))


def recipe_of(policy: CachePolicy, job: Job) -> Recipe:
    """Return what *job* asks."""
    return Recipe(policy.answers, job.text, job.key, job.context)
