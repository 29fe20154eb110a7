"""Where hits are counted: in the reply store, for all processes, or in this process alone.

Both count with the library ``limits``, in sliding windows.  It asks its server about one key at a time; here
many are asked about in one round trip, with the library's own scripts and keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import NoScriptError

from producers.errors import Unavailable
from producers.gateway.access.async_redis import open_async_pool
from producers.gateway.access.rate_window import Window
from workers.contract.addresses import BadAddress, NoReplyStore
from workers.contract.names import KEY_PREFIX

if TYPE_CHECKING:
    from redis.commands.core import Script

    from producers.settings import ClientSettings

PREFIX = f"{KEY_PREFIX}limit"  # of keys that end by themselves, after twice the limit's period


@dataclass(frozen=True, slots=True)
class Hit:
    """*cost* jobs under *key*, which go through if *rate* lets all of them."""

    rate: RateLimitItem
    key: str
    cost: int


class Counts(Protocol):
    """Counts hits."""

    async def count(self, hits: Sequence[Hit]) -> list[bool]:
        """Count each of *hits* that its rate lets through, and tell which."""

    async def windows(self, hits: Sequence[Hit]) -> list[Window]:
        """Return what is counted under the key of each of *hits*."""

    async def close(self) -> None:
        """Give connections back."""


class OwnCounts:
    """Counts in this process's memory."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)

    async def count(self, hits: Sequence[Hit]) -> list[bool]:
        """Count each of *hits* that its rate lets through, and tell which."""
        return [await self._limiter.hit(hit.rate, hit.key, cost=hit.cost) for hit in hits]

    async def windows(self, hits: Sequence[Hit]) -> list[Window]:
        """Return what is counted under the key of each of *hits*."""
        return [
            Window.of(
                await self._storage.get_sliding_window(hit.rate.key_for(hit.key), hit.rate.get_expiry()),
                hit.rate,
            )
            for hit in hits
        ]

    async def close(self) -> None:
        """Do nothing: it ends with the process."""


class SharedCounts(RedisStorage):
    """Counts in Redis or Valkey, through *pool*: one round trip, however many hits.

    Raises what redis-py raises.
    """

    bridge: RedispyBridge

    def __init__(self, pool: ConnectionPool) -> None:
        options: dict[str, Any] = {
            "connection_pool": pool
        }  # the library's annotation knows plain values only
        super().__init__("redis://", implementation="redispy", key_prefix=PREFIX, **options)
        self._client = Redis.from_pool(pool)  # which it closes with itself

    async def count(self, hits: Sequence[Hit]) -> list[bool]:
        """Count each of *hits* that its rate lets through, and tell which."""
        script = self.bridge.lua_acquire_sliding_window
        calls = [(*self._keys(hit), hit.rate.amount, hit.rate.get_expiry(), hit.cost) for hit in hits]
        return [bool(counted) for counted in await self._run(script, calls)]

    async def windows(self, hits: Sequence[Hit]) -> list[Window]:
        """Return what is counted under the key of each of *hits*."""
        script = self.bridge.lua_sliding_window
        found = await self._run(script, [(*self._keys(hit), hit.rate.get_expiry()) for hit in hits])
        return [_window(answer, hit.rate) for answer, hit in zip(found, hits, strict=True)]

    async def close(self) -> None:
        """Give connections back."""
        await self._client.aclose()

    def _keys(self, hit: Hit) -> tuple[str, str]:
        key, prefixed = hit.rate.key_for(hit.key), self.bridge.prefixed_key
        return prefixed(self._previous_window_key(key)), prefixed(self._current_window_key(key))

    async def _run(self, script: "Script", calls: Sequence[tuple[str | int, ...]]) -> list[Any]:
        """Run *script* for each of *calls*: two keys and the arguments.  A server may have to be told it."""
        for attempt in (1, 2):
            pipe = self._client.pipeline(transaction=False)
            for call in calls:
                pipe.evalsha(script.sha, 2, *call)
            answers: list[Any] = await pipe.execute(raise_on_error=False)
            errors = [answer for answer in answers if isinstance(answer, Exception)]
            if not errors:
                return answers
            if attempt == 2 or not isinstance(errors[0], NoScriptError):
                raise errors[0]
            await self._client.script_load(script.script)
        raise AssertionError


def _window(answer: Sequence[Any], rate: RateLimitItem) -> Window:
    """Read what the script says: counts, and times to live in ms, negative for what is not there."""
    before, before_ttl_ms, present, present_ttl_ms = (int(part or 0) for part in answer)
    return Window.of((before, max(0, before_ttl_ms) / 1000, present, max(0, present_ttl_ms) / 1000), rate)


def open_shared_counts(fleet: "ClientSettings") -> SharedCounts:
    """Return the counts in the reply store of *fleet*; it connects when first used.  Raises Unavailable."""
    try:
        pool = open_async_pool(
            fleet.urls()[1],
            socket_timeout=None,  # a timer for each answer is dear; who asks has one for all
            socket_connect_timeout=fleet.connect_timeout_s,
            socket_keepalive=True,
        )
    except (NoReplyStore, BadAddress) as error:
        raise Unavailable("the reply store", str(error)) from None
    except ValueError:  # may quote the URL, and that a password
        raise Unavailable(
            "the reply store", "its URL cannot be read; correct ION_REPLY_URL or ION_BROKER_URL"
        ) from None
    return SharedCounts(pool)
