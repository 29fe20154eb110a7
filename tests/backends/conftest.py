"""Every composition of the cache, over every server there is."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import redis

from persona_system.cache import link
from persona_system.cache.local import LocalCache
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.two_tier import TwoTierCache
from tests.support.valkey import VALKEY, Server, redis_7, server

PATIENCE_S = 2.0  # for an answer of the store: this suite breaks servers elsewhere, never by being slow


class Time:
    """Clocks that stand still until they are moved; starts at the real wall time."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.wall_s = 1_800_000_000.0

    def clock(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.wall_s

    def pass_by(self, seconds: float) -> None:
        self.now_s += seconds
        self.wall_s += seconds


@dataclass(frozen=True)
class Backend:
    """One composition: makes caches that share a store if it has one, and a clock."""

    tiers: str
    server: Server | None
    time: Time
    make: Callable[[], TwoTierCache]

    @property
    def shared(self) -> bool:
        return self.server is not None

    @property
    def client(self) -> "redis.Redis":
        assert self.server is not None
        return self.server.client


@pytest.fixture(autouse=True)
def _impatient_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let links look up often whether they are to close: tests close many."""
    monkeypatch.setattr(link, "POLL_S", 0.01)


@pytest.fixture(scope="session")
def valkey() -> Iterator[Server]:
    """An embedded Valkey that tests may empty."""
    with server(VALKEY) as made:
        yield made


@pytest.fixture(scope="session")
def redis7() -> Iterator[Server]:
    """A real Redis 7 that tests may empty."""
    binary = redis_7()
    if binary is None:
        pytest.skip("NOT TESTED ON REDIS: there is no redis-server >= 7 on the path")
    with server(binary) as made:
        yield made


COMPOSITIONS = ("local", "valkey", "redis7", "local+valkey", "local+redis7")


@pytest.fixture(params=COMPOSITIONS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each composition in turn, on an empty store."""
    tiers = str(request.param)
    with ExitStack() as closing:
        yield backend_of(tiers, server_of(tiers, request), closing)


@pytest.fixture(params=COMPOSITIONS[1:])
def shared(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each composition with a store, which is empty."""
    tiers = str(request.param)
    with ExitStack() as closing:
        yield backend_of(tiers, server_of(tiers, request), closing)


@pytest.fixture(params=COMPOSITIONS[3:])
def two_tier(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Both tiers, on an empty store."""
    tiers = str(request.param)
    with ExitStack() as closing:
        yield backend_of(tiers, server_of(tiers, request), closing)


def server_of(tiers: str, request: pytest.FixtureRequest) -> Server | None:
    """Return the server that *tiers* names."""
    name = tiers.rpartition("+")[2]
    return None if name == "local" else request.getfixturevalue(name)


def backend_of(tiers: str, store: Server | None, closing: ExitStack) -> Backend:
    """Return the composition *tiers* over *store*, which is emptied."""
    time = Time()
    if store is not None:
        store.client.flushall()

    def make() -> TwoTierCache:
        local = LocalCache(clock=time.clock) if tiers.startswith("local") else None
        shared = None
        if store is not None:
            shared = RedisCache(store.url, PATIENCE_S, clock=time.clock, wall=time.wall)
        cache = TwoTierCache(local, shared, clock=time.clock)
        closing.callback(cache.close)
        cache.start()
        if shared is not None:
            assert shared.wait_until_up(10)
        return cache

    return Backend(tiers, store, time, make)
