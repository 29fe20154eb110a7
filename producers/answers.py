"""The client's side of the answer cache: what is known here, or in the store, never goes to the queue.

A caller's own thread looks only into this process; the store is asked by the sender, once for a whole
batch, so an event loop never waits for it.  The client cannot compute: an answer that is due for a refresh,
and that this client was elected to renew, goes to a worker like any other job.
"""

from collections.abc import Sequence
from zlib import crc32

from persona_system.cache.answers import (
    BULK,
    PROCESS,
    RECOMMEND,
    CachePolicy,
    process_request,
    recommend_request,
)
from persona_system.cache.gate import Gate
from persona_system.cache.local import LocalCache
from persona_system.cache.notes import Note
from persona_system.cache.popularity import Popularity
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.two_tier import TwoTierCache
from persona_system.models import Context
from producers.batching import Lane
from workers.contract import names
from workers.contract.refs import RECOMMEND as RECOMMEND_TASK


class ClientAnswers:
    """A client's part in the shared cache at *url*; safe to use from many threads."""

    def __init__(self, url: str, timeout_s: float, max_entries: int, max_bytes: int) -> None:
        redis = RedisCache(url, timeout_s)
        self._cache = TwoTierCache(LocalCache(max_entries, max_bytes), redis)
        self._counters = redis.counters
        self._popularity = Popularity()
        self._version = Note(redis, names.CACHE_VERSION_NOTE)  # of the answers that workers give now
        self._gates = {policy.endpoint: Gate() for policy in (PROCESS, BULK, RECOMMEND)}
        self._cache.start()

    @staticmethod
    def request_id(lane: Lane, text: str, key: str | None, context: Context | None) -> bytes:
        """Return what is asked, without who answers it."""
        request_id = recommend_request if lane[0] is RECOMMEND_TASK else process_request
        return request_id(text, key, context)

    def admits(self, lane: Lane, text: str) -> bool:
        """Tell whether the cache is to be asked about *text*: while it does not pay, only about a sample."""
        gate = self._gates[policy_of(lane).endpoint]
        return gate.open or gate.sampled(crc32(text.encode()))

    def here(self, lane: Lane, request: bytes) -> bytes | None:
        """Return a fresh answer that this process has, at once."""
        version = self._version.value
        if version is None:
            return None
        value = self._cache.get_here(version + request)
        if value is not None:
            endpoint = policy_of(lane).endpoint
            self._counters.add(endpoint, producer_local=1)
            self._popularity.add([request])
            self._gates[endpoint].note(1, 1)
        return value

    def look_up(self, lane: Lane, requests: Sequence[bytes]) -> tuple[list[bytes | None], list[int]]:
        """Return the packed answer to each request, and the places of those that a worker is to renew."""
        policy = policy_of(lane)
        version = self._version.value
        if version is None or not self._cache.up:
            return [None] * len(requests), []
        found = self._cache.lookup([version + request for request in requests], None)
        values = found.values
        for place in found.refresh:
            values[place] = None
        answered = [request for request, value in zip(requests, values, strict=True) if value is not None]
        self._popularity.add(answered)
        self._counters.add(policy.endpoint, producer_local=found.local, producer_shared=found.shared)
        self._gates[policy.endpoint].note(len(requests), found.local + found.shared)
        return values, found.refresh

    def close(self) -> None:
        """Hand on the last counts and give connections back."""
        self._cache.close()


def policy_of(lane: Lane) -> CachePolicy:
    """Return how the jobs of *lane* use the cache."""
    ref, queue = lane
    if ref is RECOMMEND_TASK:
        return RECOMMEND
    return BULK if queue == names.BULK else PROCESS
