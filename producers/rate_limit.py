"""A rate limit that all processes share: a token bucket in the reply store, on the server's clock.

It lets *burst* jobs through at once and *per_s* a second on average, so that no second sees more than both
together.  The server's clock makes the clocks of the processes irrelevant.
"""

from dataclasses import dataclass
from typing import Any, cast

import redis

from persona_system.errors import InvalidInput
from producers.faults import fault_of
from producers.ports import Grant
from workers.contract import names

_TAKE = """
local per_s, burst, want, whole = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at_us')
local tokens = burst
if state[1] then
  local passed_us = math.max(0, now_us - tonumber(state[2]))
  tokens = math.min(burst, tonumber(state[1]) + passed_us / 1000000 * per_s)
end
local granted = math.min(want, math.floor(tokens + 0.000001))
if whole and granted < want then granted = 0 end
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at_us', string.format('%.0f', now_us))
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / per_s * 1000) + 1000)
local missing = 0
if granted < want then missing = (whole and want or 1) - tokens end
return {granted, math.ceil(math.max(0, missing) / per_s * 1000000)}
"""
"""A bucket that has not been used for as long as it takes to fill is full, and need not be kept."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """*per_s* jobs a second on average, *burst* at once; a fraction below one a second is possible."""

    per_s: float
    burst: int

    def __post_init__(self) -> None:
        if self.per_s <= 0:
            raise InvalidInput("rate_limit_per_s", "is not positive", "give the jobs a second")
        if self.burst < 1:
            raise InvalidInput("rate_limit_burst", "is less than one", "give the jobs at once")


class RateLimiter:
    """One limit, for any number of keys.  Safe to use from many threads; connects when first used.

    While the store is away nothing is let through: its failure is Unavailable, as for the jobs themselves,
    which could not be answered without it.
    """

    def __init__(self, client: redis.Redis, limit: RateLimit) -> None:
        self.limit = limit
        self._client = client

    def take(self, key: str, jobs: int = 1) -> float | None:
        """Let *jobs* of *key* through and return None, or return how long to wait, in seconds.

        Raises InvalidInput for more jobs than the burst, which could never go; Unavailable.
        """
        self.check(jobs)
        grant = self.take_some(key, jobs, whole=True)
        return grant.wait_s if grant.jobs < jobs else None

    def take_some(self, key: str, jobs: int, *, whole: bool = False) -> Grant:
        """Let as many of *jobs* through as may go now; *whole*: all or none.  Raises Unavailable."""
        limit = self.limit
        try:
            answer: Any = self._client.eval(
                _TAKE, 1, names.rate_key(key), str(limit.per_s), limit.burst, jobs, int(whole)
            )
        except (redis.RedisError, OSError) as error:
            raise fault_of(error, "the reply store") from None
        granted, wait_us = cast("tuple[int, int]", answer)
        return Grant(granted, wait_us / 1_000_000, 0.0 if whole else 1 / limit.per_s)

    def check(self, jobs: int) -> None:
        """Raise InvalidInput for more *jobs* together than could ever go."""
        if jobs > self.limit.burst:
            problem = f"are {jobs:,} together, over the burst of {self.limit.burst:,} of the rate limit"
            raise InvalidInput("requests", problem, "send fewer at once or raise rate_limit_burst")

    def close(self) -> None:
        """Give connections back."""
        self._client.close()
