"""Belady's optimum: what a cache of the same size would reach if it knew the future.

On a full cache it drops the key whose next use is furthest away, and does not keep a key at all that is used
later than any other.  No policy can do better on entries of one size.

Source:  Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 1966.
"""

import heapq
from collections.abc import Sequence


def optimal_hits(keys: Sequence[bytes], max_entries: int) -> int:
    """Return the hits of the best possible cache of *max_entries*, filled on every miss."""
    next_use = _next_uses(keys)
    kept: dict[bytes, int] = {}  # key -> its next use
    furthest: list[tuple[int, bytes]] = []  # a heap by -next use; what is out of date is skipped
    hits = 0
    for key, use in zip(keys, next_use, strict=True):
        if key in kept:
            hits += 1
        elif len(kept) >= max_entries:
            while kept.get(furthest[0][1]) != -furthest[0][0]:
                heapq.heappop(furthest)
            if -furthest[0][0] <= use:
                continue
            del kept[heapq.heappop(furthest)[1]]
        kept[key] = use
        heapq.heappush(furthest, (-use, key))
    return hits


def _next_uses(keys: Sequence[bytes]) -> list[int]:
    """Return for each position where its key comes next, or the end of the trace when it does not."""
    later: dict[bytes, int] = {}
    found = [0] * len(keys)
    for position in range(len(keys) - 1, -1, -1):
        key = keys[position]
        found[position] = later.get(key, len(keys) + position)
        later[key] = position
    return found
