"""Which entry leaves a full cache: the one whose room is least likely to pay, as learnt from past reuse.

Entries are classed by how often they were used (never, once, 2-3, 4-7, ...).  For each class the policy counts
after how long a key came back, and how many never did while they were remembered.  From these counts follows
what an entry of a class and an age is worth: hits to be had per unit of time in the cache, if it is kept for
the best time to come (its Gittins index).  A full cache drops the oldest or the newest entry of a class,
whichever is worth least.  So one rule yields recency, frequency, resistance to scans, and for loops that are
longer than the cache, keeping a part of the loop: whatever the traffic rewards.

Keys that left are remembered for a while as ghosts, without their value: their return is counted like any
other reuse, and gives back half of the uses.  Time is counted in look-ups that hit and in entries put.

Bounds:  as many ghosts as ``GHOSTS_PER_ENTRY`` per entry, and a table of ``CLASSES`` x ``BUCKETS``.
Sources: Beckmann, Chen, Cidon, "LHD: improving cache hit rate by maximizing hit density", NSDI 2018 (worth by
         class and age); Gittins, "Bandit processes and dynamic allocation indices", 1979 (the best time);
         Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023 (queues without a lock for
         readers).
"""

import itertools
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

GHOSTS_PER_ENTRY = 2
CLASSES = 8  # by the bits of the number of uses: 0, 1, 2-3, 4-7, ... 64 and more
BUCKETS = 40  # of ages, two to an octave: the last begins at 2 ** 19
SAMPLE = 8  # one hit in so many is counted, since hits are many and must be fast

_KEPT = 0.9  # share of the counts that outlives a lesson: the traffic of long ago fades
_BORROWED = 0.05  # share of the counts of the class below that a class takes for its own, as long as it has few
_REVIEW = 16  # evictions between two looks at every class
_WIDTHS = [1.0, *(2 ** (b / 2) - 2 ** ((b - 1) / 2) for b in range(1, BUCKETS))]
_NOTHING = float("inf")


class Ranked(Protocol):
    """What the policy knows of an entry; readers set ``uses`` and ``used_at`` without a lock."""

    key: bytes
    uses: int
    used_at: int  # in the policy's time
    queued_at: int  # ``used_at`` when the entry was put into its queue
    queue: int


class Eviction:
    """The order in which entries leave.  Not safe across threads, except ``learn_hit``."""

    __slots__ = (
        "_gone",
        "_ghosts",
        "_max_ghosts",
        "_queues",
        "_returns",
        "_until_lesson",
        "_until_review",
        "_values",
        "_worth",
        "_lesson",
    )

    def __init__(self, max_entries: int) -> None:
        self._queues: list[OrderedDict[bytes, Ranked]] = [OrderedDict() for _ in range(CLASSES)]
        self._ghosts: OrderedDict[int, tuple[int, int]] = OrderedDict()  # fingerprint -> uses, used_at
        self._max_ghosts = max_entries * GHOSTS_PER_ENTRY
        self._lesson = self._until_lesson = max_entries  # evictions between two lessons
        self._until_review = 0
        self._returns, self._gone = _assumed(_bucket(8 * max_entries))
        self._worth = [[0.0] * BUCKETS] * CLASSES
        self._values = [_NOTHING] * (2 * CLASSES)  # of the oldest entry of each class, then of the newest
        self._learn()

    @property
    def ghosts(self) -> int:
        """How many keys are remembered without their value."""
        return len(self._ghosts)

    def learn_hit(self, entry: Ranked, now: int) -> None:
        """Count one hit in ``SAMPLE``, before it is noted in *entry*; called without a lock.

        Two threads that count at once may lose one of the two, which a statistic can bear.
        """
        self._returns[_class(entry.uses)][_bucket(now - entry.used_at)] += SAMPLE

    def add(self, entry: Ranked, now: int) -> None:
        """Rank an entry whose key is not ranked."""
        ghost = self._ghosts.pop(hash(entry.key), None)
        if ghost is not None:
            uses, used_at = ghost
            self._returns[_class(uses)][_bucket(now - used_at)] += 1
            entry.uses = uses // 2 + 1
        entry.used_at = now
        self._queue(entry)

    def replace(self, old: Ranked, new: Ranked) -> None:
        """Give *new* the place and the uses of *old*, which has the same key."""
        new.uses, new.used_at, new.queued_at, new.queue = old.uses, old.used_at, old.queued_at, old.queue
        self._queues[old.queue][old.key] = new

    def remove(self, entry: Ranked) -> None:
        """Forget *entry*, which is ranked, without leaving a ghost."""
        del self._queues[entry.queue][entry.key]

    def clear(self) -> None:
        """Forget every entry and every ghost, but not what reuse is like."""
        for queue in self._queues:
            queue.clear()
        self._ghosts.clear()

    def evict(self, now: int) -> bytes:
        """Take the entry that is worth least out of the ranking, and return its key; there is at least one."""
        self._until_lesson -= 1
        if self._until_lesson <= 0:
            self._learn()
        self._until_review -= 1
        if self._until_review <= 0:
            self._review(now)
        values = self._values
        while True:
            side = values.index(min(values))
            newest = side >= CLASSES
            number = side - CLASSES if newest else side
            queue = self._queues[number]
            if not queue:
                self._review(now)
                continue
            key, entry = queue.popitem(last=newest)
            if entry.queued_at != entry.used_at:
                self._queue(entry)
                if not newest or entry.queue != number:
                    self._value(number, now)
                    continue
                del queue[key]
            self._value(number, now)
            self._remember(entry, now)
            return key

    def _queue(self, entry: Ranked) -> None:
        entry.queue, entry.queued_at = _class(entry.uses), entry.used_at
        self._queues[entry.queue][entry.key] = entry

    def _remember(self, entry: Ranked, now: int) -> None:
        self._ghosts[hash(entry.key)] = (entry.uses, entry.used_at)
        if len(self._ghosts) > self._max_ghosts:
            _, (uses, used_at) = self._ghosts.popitem(last=False)
            self._gone[_class(uses)][_bucket(now - used_at)] += 1

    def _review(self, now: int) -> None:
        self._until_review = _REVIEW
        for number in range(CLASSES):
            self._value(number, now)

    def _value(self, number: int, now: int) -> None:
        """Value both ends of a queue.  A used entry at the front goes to where it belongs by now."""
        queue, values = self._queues[number], self._values
        for _ in range(2):
            if not queue:
                break
            entry = next(iter(queue.values()))
            if entry.queued_at == entry.used_at:
                break
            del queue[entry.key]
            self._queue(entry)
        if not queue:
            values[number] = values[CLASSES + number] = _NOTHING
            return
        worth = self._worth[number]
        entry = next(iter(queue.values()))
        values[number] = worth[_bucket(now - entry.used_at)]
        entry = next(reversed(queue.values()))
        values[CLASSES + number] = worth[_bucket(now - entry.used_at)]

    def _learn(self) -> None:
        """Work out what entries are worth from the counts, and let the counts fade."""
        self._until_lesson, self._until_review = self._lesson, 0
        self._worth = []
        returns, gone = [0.0] * BUCKETS, [0.0] * BUCKETS
        for own_returns, own_gone in zip(self._returns, self._gone, strict=True):
            returns = [a + _BORROWED * b for a, b in zip(own_returns, returns, strict=True)]
            gone = [a + _BORROWED * b for a, b in zip(own_gone, gone, strict=True)]
            self._worth.append(indices(returns, gone))
        for counts in itertools.chain(self._returns, self._gone):
            counts[:] = [_KEPT * count for count in counts]


def indices(returns: Sequence[float], gone: Sequence[float]) -> list[float]:
    """Return for each bucket of ages the most hits per time that an entry of this age can still bring.

    Of those that reach an age, some return within each later bucket and some are gone; keeping an entry up to
    a later bucket brings the returns until there and costs the time until there.  Neighbouring buckets are
    merged from the end as long as the later one pays better, so each ends up with its best moment to stop.
    """
    found = [0.0] * len(returns)
    merged: list[tuple[float, float]] = []  # hits, time
    alive = 0.0  # reach the end of this bucket
    for bucket in range(len(returns) - 1, -1, -1):
        hits = returns[bucket]
        ended = hits + gone[bucket]
        time = (alive + ended / 2) * _WIDTHS[bucket] + 1e-9
        alive += ended
        while merged and merged[-1][0] * time > hits * merged[-1][1]:
            more_hits, more_time = merged.pop()
            hits, time = hits + more_hits, time + more_time
        merged.append((hits, time))
        found[bucket] = hits / time
    return found


def _class(uses: int) -> int:
    bits = uses.bit_length()
    return bits if bits < CLASSES else CLASSES - 1


def _bucket(age: int) -> int:
    bits = (age * age).bit_length()
    return bits if bits < BUCKETS else BUCKETS - 1


def _assumed(longest: int) -> tuple[list[list[float]], list[list[float]]]:
    """Return counts to begin with: the more uses and the younger, the better.  They fade with the lessons."""
    returns = [[0.0] * BUCKETS for _ in range(CLASSES)]
    gone = [[0.0] * BUCKETS for _ in range(CLASSES)]
    for number in range(CLASSES):
        returns[number][:longest] = [(number + 1) / CLASSES] * longest
        gone[number][longest] = 5 * (1 - number / CLASSES)
    return returns, gone
