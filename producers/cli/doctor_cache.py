"""What the doctor checks of the cache server: that it answers in time, forgets as it should, and has room.

Units: sizes in bytes, latencies in milliseconds.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from producers.cli.collaborators import Check

if TYPE_CHECKING:
    import redis

    from producers.settings import ClientSettings

OLDEST_VERSION = (7, 0)  # the first that takes SET with both NX and GET
_FULL = 0.95  # share of the memory from which something is dropped for whatever comes
_MIB = 1024 * 1024
_FIX = "check ION_CACHE_URL and that it runs; empty, it means no cache"


@dataclass(frozen=True, slots=True)
class CacheServer:
    """What a cache server says of itself."""

    name: str  # "valkey 9.1.2"
    version: tuple[int, int]  # of Redis, with which it is compatible
    policy: str
    used_bytes: int
    max_bytes: int  # 0: no limit


def cache_checks(settings: "ClientSettings", broker_url: str) -> Iterator[Check]:
    """Yield the checks of the cache that a client with these *settings* would use."""
    import redis  # noqa: PLC0415

    url = settings.cache_address()
    if url is None:
        yield Check("cache", "ok", "none, every answer is computed; see ION_CACHE and ION_CACHE_URL")
        return
    patience_s = settings.connect_timeout_s
    try:
        with redis.Redis.from_url(
            url, socket_connect_timeout=patience_s, socket_timeout=patience_s
        ) as server:
            server.ping()
            started = time.perf_counter()
            info = _info(server)
            took_ms = (time.perf_counter() - started) * 1000
            place = _place(server, info)
            shared = place is not None and place == _place_of_broker(broker_url, patience_s)
    except ValueError:  # it may quote the URL
        yield Check("cache", "fail", "ION_CACHE_URL is no redis:// or unix:// address", _FIX)
    except (redis.RedisError, OSError) as error:
        yield Check("cache", "warn", f"{type(error).__name__}: every answer is computed", _FIX)
    else:
        yield latency_check(took_ms, settings.cache_timeout_ms)
        yield from server_checks(said_by(info), shared_with_broker=shared)


def latency_check(took_ms: float, timeout_ms: float) -> Check:
    """Check how long an answer took against the patience that a client has."""
    found = f"answers in {took_ms:.1f} ms"
    if took_ms < timeout_ms:
        return Check("cache", "ok", found)
    fix = "raise ION_CACHE_TIMEOUT_MS or bring it nearer"
    return Check("cache", "warn", f"{found}, and {timeout_ms:g} ms is the limit: it is mostly off", fix)


def server_checks(server: CacheServer, *, shared_with_broker: bool) -> Iterator[Check]:
    """Yield what is to be said about *server*: its version, its memory, its neighbours."""
    if server.version < OLDEST_VERSION:
        needed = ".".join(map(str, OLDEST_VERSION))
        yield Check("cache server", "fail", server.name, f"use Redis {needed} or newer, or Valkey")
    else:
        yield Check("cache server", "ok", server.name)
    yield memory_check(server)
    if shared_with_broker:
        yield Check(
            "cache place",
            "warn",
            "is the broker's own server and database: a full cache would stop the queues",
            "give the cache a server of its own with ION_CACHE_URL",
        )


def memory_check(server: CacheServer) -> Check:
    """Check what *server* does when it is full, and how near that is."""
    used = f"{server.used_bytes / _MIB:.1f} MiB"
    if not server.max_bytes:
        fix = "set its maxmemory, and its maxmemory-policy to volatile-lfu"
        return Check("cache memory", "warn", f"{used} used, without a limit", fix)
    found = f"{used} of {server.max_bytes / _MIB:.0f} MiB used, {server.policy}"
    if server.policy == "noeviction":
        fix = "set its maxmemory-policy to volatile-lfu: full, it takes no new answers"
        return Check("cache memory", "warn", found, fix)
    if not server.policy.startswith("volatile-") and server.used_bytes >= _FULL * server.max_bytes:
        fix = "set its maxmemory-policy to volatile-lfu: others drop tags first, and their answers with them"
        return Check("cache memory", "warn", f"{found}: full", fix)
    return Check("cache memory", "ok", found)


def said_by(info: Mapping[str, Any]) -> CacheServer:
    """Return what matters of a server's INFO; managed servers leave out some of it."""
    redis_version = str(info.get("redis_version", "0.0"))
    numbers = [int(part) if part.isdigit() else 0 for part in [*redis_version.split("."), "0"][:2]]
    valkey = info.get("valkey_version")
    return CacheServer(
        name=f"redis {redis_version}" if valkey is None else f"valkey {valkey}",
        version=(numbers[0], numbers[1]),
        policy=str(info.get("maxmemory_policy", "unknown")),
        used_bytes=int(info.get("used_memory", 0)),
        max_bytes=int(info.get("maxmemory", 0)),
    )


def _place_of_broker(broker_url: str, patience_s: float) -> tuple[str, int] | None:
    """Return the broker's server and database; None for one of another kind, or one that is away."""
    import redis  # noqa: PLC0415

    from workers.contract.addresses import NoReplyStore, reply_url_of  # noqa: PLC0415
    from workers.transport.servers import open_redis  # noqa: PLC0415

    try:
        with open_redis(
            reply_url_of(broker_url), socket_connect_timeout=patience_s, socket_timeout=patience_s
        ) as server:
            return _place(server, _info(server))
    except (NoReplyStore, redis.RedisError, OSError):
        return None


def _place(server: "redis.Redis", info: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return (the run of the server, the database): the same by whatever address it is reached."""
    run = info.get("run_id")  # some managed servers keep it to themselves
    database = server.connection_pool.connection_kwargs.get("db")
    return None if run is None else (str(run), 0 if database is None else int(database))


def _info(server: "redis.Redis") -> dict[str, Any]:
    found = server.info()
    assert isinstance(found, dict)  # noqa: S101 - redis-py's types also speak for its async client
    return found
