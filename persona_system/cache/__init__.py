"""The shared result cache: an in-process tier over one in Redis or Valkey, coherent across processes.

    cache = TwoTierCache(LocalCache(), RedisCache("redis://localhost"))

    @cached(cache, lifetime=Lifetime(timedelta(minutes=5)), tags=lambda user: (f"user:{user}",))
    def profile(user: str) -> Profile: ...

What is kept here is data that was packed; see docs/cache.md for what is promised about it.
"""

from persona_system.cache.decorators import cached, invalidate_cache
from persona_system.cache.lifetime import Lifetime
from persona_system.cache.local import LocalCache
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.two_tier import TwoTierCache

__all__ = ["Lifetime", "LocalCache", "RedisCache", "TwoTierCache", "cached", "invalidate_cache"]
