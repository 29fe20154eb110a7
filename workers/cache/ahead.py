"""Compute answers that nobody waits for, and keep them for everybody."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from persona_system.cache.answers import endpoint_tag, owner_tag, persona_tag
from persona_system.cache.keys import EVERYTHING_ID, tag_id, version_id
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.tiers import Item
from persona_system.cache.two_tier import TwoTierCache
from persona_system.errors import InvalidInput
from workers.cache.recipes import Recipe
from workers.contract.payloads import Job
from workers.observability.bugs import ReportBug
from workers.tasks.answering import Kind

_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Made:
    """What became of recipes: *there* had a fresh answer already; *failed* are the places of the others."""

    computed: int = 0
    there: int = 0
    failed: tuple[int, ...] = ()


class Ahead:
    """Computes with the *kinds* of one *version* of the pipeline, by endpoint; *personas* may answer.

    *redis* is the shared tier of *cache*.  Never raises: what cannot be computed is counted as failed, and
    a bug is reported.
    """

    def __init__(
        self,
        cache: TwoTierCache,
        redis: RedisCache,
        version: str,
        personas: Sequence[str],
        kinds: Mapping[str, Kind],
        report_bug: ReportBug,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cache, self.redis, self._clock = cache, redis, clock
        self._version, self._kinds, self.report_bug = version_id(version), kinds, report_bug
        tags = [endpoint_tag(endpoint) for endpoint in kinds] + [persona_tag(name) for name in personas]
        self._tags = (*tags, EVERYTHING_ID)

    def key_of(self, request: bytes) -> bytes:
        """Return under which key the answer to *request* is kept."""
        return self._version + request

    def request_of(self, recipe: Recipe) -> bytes | None:
        """Return the id of what *recipe* asks; None for one that no endpoint of ours takes."""
        kind = self._kinds.get(recipe.endpoint)
        try:
            return None if kind is None else kind.request_id(recipe.text, recipe.key, recipe.context)
        except InvalidInput:
            return None

    def make(self, recipes: Sequence[Recipe], *, keep: bool) -> Made:
        """Compute and store those that have no fresh answer; *keep*: also in this process."""
        requests = [self.request_of(recipe) for recipe in recipes]
        known = [(place, self.key_of(one)) for place, one in enumerate(requests) if one is not None]
        failed = [place for place, one in enumerate(requests) if one is None]
        owners = [owner_tag(recipe.context) for recipe in recipes]
        tags = dict.fromkeys((*self._tags, *[tag_id(owner) for owner in owners if owner is not None]))
        answers, ticket = self.redis.lookup([key for _, key in known], list(tags))
        if not ticket:  # the store is away, and what was computed now could not be kept
            return Made()
        now = self._clock()
        items: dict[bytes, Item] = {}
        there = 0
        for (place, key), answer in zip(known, answers, strict=True):
            if key in items or (answer is not None and answer.due_at > now):
                there += 1
                continue
            item = self._item(recipes[place], key, owners[place])
            if item is None:
                failed.append(place)
            else:
                items[key] = item
        if items:
            self.cache.store(list(items.values()), ticket, keep=keep)
        return Made(len(items), there, tuple(failed))

    def _item(self, recipe: Recipe, key: bytes, owner: str | None) -> Item | None:
        kind = self._kinds[recipe.endpoint]
        try:
            result = kind.answer(Job(id="", text=recipe.text, key=recipe.key, context=recipe.context))
            tags = [endpoint_tag(recipe.endpoint), persona_tag(kind.persona_of(result))]
            if owner is not None:
                tags.append(tag_id(owner))
            return Item(key, _encode(result), tuple(tags), kind.policy.lifetime)
        except InvalidInput:
            return None
        except Exception as error:  # noqa: BLE001 - nobody waits for this answer, so nobody is to suffer
            self.report_bug("computing an answer ahead", error)
            return None
