"""The client's side of the answer cache: what is known here, or in the store, never goes to the queue.

A caller's own thread looks only into this process; the store is asked by the sender, once for a whole
batch, so an event loop never waits for it.  The client cannot compute: an answer that is due for a refresh,
and that this client was elected to renew, goes to a worker like any other job.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from persona_system.cache.answers import (
    BULK,
    POLICIES,
    PROCESS,
    RECOMMEND,
    CachePolicy,
    process_request,
    recommend_request,
)
from persona_system.cache.gate import Gate
from persona_system.cache.keys import EVERYTHING_ID
from persona_system.cache.local import LocalCache
from persona_system.cache.notes import Note
from persona_system.cache.popularity import Popularity
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.redis_store import RedisStore
from persona_system.cache.sightings import Sightings, slot_of
from persona_system.cache.trends import Trends
from persona_system.cache.two_tier import TwoTierCache
from producers.batching import Lane
from producers.pending import Asked
from producers.requests import PersonaRequest
from workers.contract import names
from workers.contract.glance import personas_in
from workers.contract.refs import RECOMMEND as RECOMMEND_TASK
from workers.monitoring.events import CachePerformanceEvent
from workers.monitoring.metrics import PERSONAS
from workers.monitoring.telling import endpoint_of
from workers.operations.measuring import Measuring, evictions_of


class ClientAnswers:
    """A client's part in the shared cache at *url*; safe to use from many threads."""

    def __init__(self, url: str, timeout_s: float, max_entries: int, max_bytes: int) -> None:
        self._measuring = Measuring()
        self.redis = redis = RedisCache(url, timeout_s)
        self._cache = TwoTierCache(LocalCache(max_entries, max_bytes) if max_entries else None, redis)
        self._counters = redis.counters
        self._popularity = Popularity()
        Trends(redis, self._popularity)
        self._sightings = Sightings(redis)
        self._version = Note(redis, names.CACHE_VERSION_NOTE)  # of the answers that workers give now
        self._endpoints = {policy.endpoint: _Endpoint(policy.endpoint) for policy in POLICIES}
        self._of_lane: dict[Lane, _Endpoint] = {}
        self._counting = threading.Lock()
        redis.on_news.append(self._heard)
        redis.on_tick.append(self._count_hits)
        self._cache.start()

    def measure_into(self, measuring: Measuring) -> None:
        """Tell *measuring* from now on what is found, and by whom it is."""
        self._measuring = measuring
        if self._cache.local is not None:
            measuring.look(evictions_of(self._cache.local))

    @staticmethod
    def asked(lane: Lane, request: PersonaRequest, key: str | None) -> Asked:
        """Return what the cache needs to answer *request*, whose canonical key is *key*."""
        text, context = request.user_input, request.context
        if lane[0] is RECOMMEND_TASK:
            return Asked(recommend_request(text, key, context), request.metadata)
        sighting = None
        if context is not None and (slot := slot_of(context)):
            sighting = (slot, process_request(text, key, None))
        return Asked(process_request(text, key, context), request.metadata, sighting)

    def admits(self, lane: Lane, text: str) -> bool:
        """Tell whether the cache is to be asked about *text*: while it does not pay, only about a sample."""
        return self._endpoint(lane).gate.admits(text)

    def here(self, lane: Lane, asked: Asked) -> bytes | None:
        """Return a fresh answer that this process has, at once."""
        version = self._version.value
        if version is None:
            return None
        value = self._cache.get_here(version + asked.request)
        if value is not None:
            self._endpoint(lane).hits.append((asked, value))
        return value

    def look_up(self, lane: Lane, asked: Sequence[Asked]) -> tuple[list[bytes | None], list[int]]:
        """Return the packed answer to each of *asked*, and the places of those that a worker is to renew."""
        endpoint, version = self._endpoint(lane), self._version.value
        self._count_hits()  # the gate has to see them beside what follows
        if version is None or not self._cache.up:
            return [None] * len(asked), []
        found = self._cache.lookup([version + one.request for one in asked], None)
        values = found.values
        for place in found.refresh:
            values[place] = None
        self._counters.add(endpoint.name, producer_local=found.local, producer_shared=found.shared)
        endpoint.gate.note(len(asked), found.local + found.shared)
        self._answered([one for one, value in zip(asked, values, strict=True) if value is not None])
        missed = len(asked) - found.local - found.shared
        self._tell(
            endpoint, [value for value in values if value is not None], found.local, found.shared, missed
        )
        return values, found.refresh

    def _count_hits(self, _: RedisStore | None = None) -> None:
        for endpoint in self._endpoints.values():
            with self._counting:  # one at a time takes from the left; callers add at the right
                hits = [endpoint.hits.popleft() for _ in range(len(endpoint.hits))]
            if hits:
                self._counters.add(endpoint.name, producer_local=len(hits))
                endpoint.gate.note(len(hits), len(hits))
                self._answered([asked for asked, _ in hits])
                self._tell(endpoint, [value for _, value in hits], len(hits))

    def _tell(
        self, endpoint: "_Endpoint", values: Sequence[bytes], local: int, shared: int = 0, missed: int = 0
    ) -> None:
        """Tell what was found, and count who answers: no worker sees these jobs."""
        if not self._measuring.on:
            return
        name = endpoint_of(endpoint.name)
        for persona, answers in personas_in(values).items():
            self._measuring.recorder.count(PERSONAS, answers, (persona,))
        self._measuring.tell(
            CachePerformanceEvent(
                at_ms=int(time.time() * 1000),
                region=self._measuring.region,
                endpoint=name,
                look="first",
                local=local,
                shared=shared,
                missed=missed,
            )
        )

    def _answered(self, asked: Sequence[Asked]) -> None:
        """Let the fleet learn from what no worker gets to see."""
        self._popularity.add([one.request for one in asked])
        sightings = [one.sighting for one in asked if one.sighting is not None]
        if sightings:
            self._sightings.add(sightings)

    def _heard(self, tags: Sequence[bytes] | None) -> None:
        if tags is not None and EVERYTHING_ID in tags:  # an empty cache is given time to fill
            for endpoint in self._endpoints.values():
                endpoint.gate.restart()

    def _endpoint(self, lane: Lane) -> "_Endpoint":
        found = self._of_lane.get(lane)
        if found is None:
            found = self._of_lane[lane] = self._endpoints[policy_of(lane).endpoint]
        return found

    def close(self) -> None:
        """Hand on the last counts and give connections back."""
        self._count_hits()
        self._cache.close()


@dataclass(frozen=True, slots=True, eq=False)
class _Endpoint:
    """What a client keeps for one endpoint; *hits* are counted later, many at a time."""

    name: str
    gate: Gate = field(default_factory=Gate)
    hits: deque[tuple[Asked, bytes]] = field(default_factory=deque)


def policy_of(lane: Lane) -> CachePolicy:
    """Return how the jobs of *lane* use the cache."""
    ref, queue = lane
    if ref is RECOMMEND_TASK:
        return RECOMMEND
    return BULK if queue == names.BULK else PROCESS
