"""What happens to a fleet: a bulk scan, a restart, people who ask one thing after the other."""

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from infra.simulation.fleet import Design, Fleet
from infra.simulation.traces import Request
from persona_system.cache.prefetch import Prefetcher

_RESTARTS = 5
_FIRST = 300  # look-ups of a restarted worker that are compared with those of one that went on
_PRELOADED = 1_500  # most popular answers that a restarted worker begins with


def scan_cost(design: Design, requests: Sequence[Request], workers: int, seed: int) -> dict[str, float]:
    """Return the local hit rate of everybody else with and without a bulk scan of unique items.

    *requests* must have no bulk.  The scan begins half way through and goes on for a sixth of the trace,
    item by item between the others, as many as they; the rates are those of the others in that time and
    half as long again.
    """
    half, sixth = len(requests) // 2, len(requests) // 6
    window = range(half, half + sixth + sixth // 2)
    rates: dict[str, float] = {}
    for name, scanned in (("without", False), ("with", True)):
        fleet, hits = Fleet(design, workers, seed), 0
        for number, request in enumerate(requests):
            if scanned and half <= number < half + sixth:
                item = b"scan" + number.to_bytes(8, "big")
                fleet.ask(Request(request.time_s, item, "bulk", 0))
            hits += fleet.ask(request, number % workers) and number in window
        rates[name] = round(hits / len(window), 4)
    return rates | {"scanned": sixth, "cost": round(rates["without"] - rates["with"], 4)}


def restart(design: Design, requests: Sequence[Request], workers: int, seed: int) -> dict[str, float]:
    """Return the local hit rate of a restarted worker over its first look-ups, cold and warmed.

    Warmed, it begins with the most popular answers so far, counted over the whole fleet and taken from the
    store.  What is steady comes from the very same look-ups of a worker that was not restarted.  Means over
    five restarts in the second half of *requests*.
    """
    steady, cold, warm = (
        _first_lookups(design, requests, workers, seed, preloaded) for preloaded in (None, 0, _PRELOADED)
    )
    return {
        "steady": round(steady, 4),
        "cold": round(cold, 4),
        "warm": round(warm, 4),
        "warm_of_steady": round(warm / steady, 4),
    }


def _first_lookups(
    design: Design, requests: Sequence[Request], workers: int, seed: int, preloaded: int | None
) -> float:
    """Return the mean hit rate of the first worker after each restart; None: there are no restarts."""
    fleet, popular = Fleet(design, workers, seed), Counter[bytes]()
    half, every = len(requests) // 2, len(requests) // 2 // _RESTARTS
    looked, hits = 0, 0
    for number, request in enumerate(requests):
        worker = number % workers
        if number >= half and (number - half) % every == 0:
            looked = 0
            if preloaded is not None:
                fleet.restart(0)
                _preload(fleet, popular, preloaded)
        popular[request.key] += 1
        hit = fleet.ask(request, worker)
        if number >= half and worker == 0 and looked < _FIRST:
            looked += 1
            hits += hit
    return hits / (_FIRST * _RESTARTS)


def _preload(fleet: Fleet, popular: Counter[bytes], number: int) -> None:
    for key, _ in reversed(popular.most_common(number)):  # the most popular last, as the most recent
        stored = fleet.stored(key)
        if stored is not None:
            fleet.keep(fleet.workers[0], key, stored)


def prefetching(design: Design, requests: Sequence[Request], workers: int, seed: int) -> dict[str, Any]:
    """Return what prefetching by follow-ups brings and costs, each person always asking the same worker.

    *extra_work* is what was computed for a prefetch beyond what is computed without, in shares of the
    requests.
    """
    plain, _ = _followed(design, requests, workers, seed, [])
    prefetchers = [Prefetcher() for _ in range(workers)]
    fleet, computed_ahead = _followed(design, requests, workers, seed, prefetchers)
    stats = [prefetcher.stats() for prefetcher in prefetchers]
    used, wasted = sum(s.used for s in stats), sum(s.wasted for s in stats)
    total = len(requests)
    work = [f.tally.computed + f.tally.refreshed for f in (plain, fleet)]
    return {
        "local_without": round(plain.tally.local.total() / total, 4),
        "local_with": round(fleet.tally.local.total() / total, 4),
        "prefetched": sum(s.prefetched for s in stats),
        "computed_ahead": computed_ahead,
        "precision": round(used / (used + wasted), 4) if used + wasted else None,
        "extra_work": round((work[1] + computed_ahead - work[0]) / total, 5),
    }


def _followed(
    design: Design, requests: Sequence[Request], workers: int, seed: int, prefetchers: Sequence[Prefetcher]
) -> tuple[Fleet, int]:
    fleet, computed_ahead = Fleet(design, workers, seed), 0
    for request in requests:
        worker = request.user % workers
        fleet.ask(request, worker)
        for key in _next(prefetchers, worker, request):
            stored = fleet.stored(key)
            if stored is None:
                computed_ahead += 1
                fleet.compute(fleet.workers[worker], key)
            elif fleet.missing(worker, key):
                fleet.keep(fleet.workers[worker], key, stored)
    return fleet, computed_ahead


def _next(prefetchers: Sequence[Prefetcher], worker: int, request: Request) -> tuple[bytes, ...]:
    if not prefetchers or request.endpoint == "bulk":
        return ()
    slot = blake2b(request.user.to_bytes(4, "big"), digest_size=8).digest()
    return prefetchers[worker].asked(slot, request.key)
