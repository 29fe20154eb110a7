"""How processes see each other through the cache: invalidations, and a stampede on one cold key.

Units: milliseconds.
"""

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import Any

from infra.figures import percentile
from persona_system.cache.keys import request_id, tag_ids
from persona_system.cache.lifetime import Lifetime
from persona_system.cache.local import LocalCache
from persona_system.cache.once import compute_once
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.tiers import Item
from persona_system.cache.two_tier import TwoTierCache

_LIFE = Lifetime(timedelta(minutes=5), timedelta(minutes=5))
_TAG = "bench:invalidation"
_KEY = b"vers" + request_id("bench", "invalidation")
_LOOK_EVERY_S = 0.0001
_PATIENCE_S = 30.0
_COMPUTING_S = 0.050
_REST_S = 0.1
_WARM_UP_ROUNDS = 2  # a fresh fork copies what it touches first, which costs it milliseconds

_FORK = multiprocessing.get_context("fork")  # children share what is imported: fifty start in a second


@contextmanager
def opened(url: str) -> Iterator[TwoTierCache]:
    """Give a cache that serves."""
    redis = RedisCache(url, timeout_s=1.0)
    cache = TwoTierCache(LocalCache(), redis)
    if not redis.wait_until_up(_PATIENCE_S):
        raise RuntimeError("the cache server does not answer")
    try:
        yield cache
    finally:
        cache.close()


def invalidation(url: str, readers: int, rounds: int) -> dict[str, Any]:
    """Invalidate in one process; tell how long until *readers* others no longer serve the answer."""
    pipes, children = _start(_read, readers, url)
    seen: list[float] = []
    with opened(url) as cache:
        for _ in range(rounds):
            ticket = cache.lookup((_KEY,), tag_ids((_TAG,))).ticket
            cache.store((Item(_KEY, b"answer", tag_ids((_TAG,)), _LIFE),), ticket)
            for pipe in pipes:
                pipe.send("hold")
            for pipe in pipes:
                pipe.recv()  # it has the answer in its own tier
            started = time.perf_counter()
            cache.invalidate(_TAG)
            seen += [(pipe.recv() - started) * 1000 for pipe in pipes]
    _end(pipes, children)
    return {"readers": readers, "rounds": rounds, **_percentiles(seen)}


def _read(pipe: Connection, url: str) -> None:
    with opened(url) as cache:
        pipe.send("ready")
        while pipe.recv() is not None:
            while cache.get_here(_KEY) is None:
                cache.lookup((_KEY,), None)
            pipe.send("held")
            while cache.get_here(_KEY) is not None:
                time.sleep(_LOOK_EVERY_S)
            pipe.send(time.perf_counter())  # of the machine's one monotonic clock


def stampede(url: str, processes: int, rounds: int) -> dict[str, Any]:
    """Let *processes* ask for one cold key at once; tell how often it was computed, and the waits."""
    go = [_FORK.Event() for _ in range(_WARM_UP_ROUNDS + rounds)]
    pipes, children = _start(_ask, processes, url, go)
    computations, waits = [], []
    for event in go:
        event.set()
        answers = [pipe.recv() for pipe in pipes]
        computations.append(sum(computed for computed, _ in answers))
        waits += [wait_ms for _, wait_ms in answers]
    _end(pipes, children)
    computations, waits = computations[_WARM_UP_ROUNDS:], waits[_WARM_UP_ROUNDS * processes :]
    return {
        "processes": processes,
        "rounds": rounds,
        "computing_ms": _COMPUTING_S * 1000,
        "computations_per_round": {"mean": sum(computations) / rounds, "max": max(computations)},
        "wait": _percentiles(waits),
    }


def _ask(pipe: Connection, url: str, go: Sequence[Event]) -> None:
    with opened(url) as cache:
        pipe.send("ready")
        for number, event in enumerate(go):
            computed: list[bool] = []

            def compute(computed: list[bool] = computed) -> bytes:
                computed.append(True)
                time.sleep(_COMPUTING_S)
                return b"answer"

            key = b"vers" + request_id("bench", "stampede", number)
            event.wait()
            started = time.perf_counter()
            compute_once(cache, key, compute, lifetime=_LIFE)
            waited_ms = (time.perf_counter() - started) * 1000
            time.sleep(_REST_S)  # telling takes time, too, which the others still need
            pipe.send((len(computed), waited_ms))
        pipe.recv()


def _start(target: Any, count: int, *given: Any) -> tuple[list[Connection], list[Any]]:
    pipes, children = [], []
    for _ in range(count):
        here, there = _FORK.Pipe()
        child = _FORK.Process(target=target, args=(there, *given), daemon=True)
        child.start()
        there.close()
        pipes.append(here)
        children.append(child)
    for pipe in pipes:
        pipe.recv()  # ready
    return pipes, children


def _end(pipes: Sequence[Connection], children: Sequence[Any]) -> None:
    for pipe in pipes:
        pipe.send(None)
    for child in children:
        child.join(_PATIENCE_S)


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{percent}_ms": round(percentile(values, percent), 3) for percent in (50, 95, 99)}
