"""Which entry leaves a full cache: the one whose room pays least, as learnt from when keys came back.

Entries are classed by how often they were used: never, once, 2-3, 4-7 times, and so on.  For each class the
policy counts after how long keys came back, and how many did not while they were remembered.  From that
follows what an entry of a class and an age is worth: the hits it can bring per unit of time, if it is kept
for the best time to come (its Gittins index).  A full cache drops the entry that is worth least.  Recency,
frequency, resistance to scans and holding on to a part of a long loop are all what this one rule learns from
the traffic that rewards them.

To find that entry without looking at all, each class is a queue in the order of use.  Worth mostly falls
with age, so the oldest one of each queue is looked at.  Where worth rises again, as just before a loop comes
round, a class has a second queue for the entries that are past the dip.  Readers take no lock: they only note
a use, and a used entry moves when it comes to the front.

A key that left is remembered for a while as a ghost: its return counts as any other, and gives back half of
its uses.  What newcomers are worth is scaled down while fewer of them return than usual: that is how a scan
shows before its keys could be missed.

Units:   time and ages are hits plus entries put, not seconds: a quiet night ages nobody.
Bounds:  the ghosts by a number; all that is learnt by ``CLASSES`` x ``BUCKETS`` counts.
Sources: Beckmann, Chen, Cidon, "LHD: improving cache hit rate by maximizing hit density", NSDI 2018 (worth
         from class and age); Gittins, "Bandit processes and dynamic allocation indices", 1979 (the best time
         to come); Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023 (lazy queues).
"""

import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

CLASSES = 8  # by the bits of the number of uses; the last begins at 64
BUCKETS = 40  # of ages, two to an octave; the last begins at 2 ** 19
SAMPLE = 7  # one hit in so many is counted, since hits must be fast; no power of two, as periods often are

_KEPT = 0.975  # share of the counts that outlives a lesson; there are two while the cache is replaced once
_BORROWED = 0.02  # share of the counts of the class below that a class adds to its own, lest it have none
_RISE = 1.5  # how many times its least worth an entry must regain with age for a class to have two queues
_REVIEW = 16  # evictions between two looks at every queue
_RECENT = 0.05  # evictions over which newcomers are watched, as a share of the cache
_SURVEYED = 16  # one ghost in so many is looked at for a lesson
_TIDIED = 8  # entries at most that move on when a queue is looked at
_WIDTHS = [1.0, *(2 ** (b / 2) - 2 ** ((b - 1) / 2) for b in range(1, BUCKETS))]  # of the buckets
_USES = 63  # the most uses that a ghost remembers, in its lowest bits
_USES_BITS = _USES.bit_length()

Counts = list[list[float]]  # class -> bucket -> intervals between uses


class Ranked(Protocol):
    """What the policy knows of an entry; readers change ``uses`` and ``used_at`` without a lock."""

    key: bytes
    uses: int
    used_at: int
    queued_at: int  # ``used_at`` when the entry was queued: if they differ, it was used since
    queue: int  # its class, or that plus CLASSES in the queue behind the dip


class Eviction:
    """The ranking of a cache's entries.  Its cache holds a lock around each call but ``learn_hit``.

    *tick* steps the time; readers call it as well, and ``ticks_taken`` tells how often the ranking did.
    """

    __slots__ = (
        "_dips",
        "_fade",
        "_ghosts",
        "_gone",
        "_lesson",
        "_luck",
        "_max_ghosts",
        "_new",
        "_new_returned",
        "_now",
        "_queues",
        "_returned",
        "_tick",
        "_until_lesson",
        "_until_review",
        "_usual",
        "_worth",
        "_worths",
        "ticks_taken",
    )

    def __init__(self, max_entries: int, max_ghosts: int, tick: Callable[[], int]) -> None:
        self._tick, self._now, self.ticks_taken = tick, 0, 0
        self._queues: list[OrderedDict[bytes, Ranked]] = [OrderedDict() for _ in range(2 * CLASSES)]
        self._worths = [math.inf] * (2 * CLASSES)  # of each queue's first entry, when last looked at
        self._ghosts: OrderedDict[int, int] = OrderedDict()  # the key's hash -> its uses and last use
        self._max_ghosts = max_ghosts
        self._new = self._new_returned = 0.0  # of late: entries put, returns of those that had no use
        self._fade = max(0.0, 1 - _REVIEW / (max_entries * _RECENT))
        self._luck, self._lesson, self._until_review = 1.0, max(1, max_entries // 2), 0
        self._returned, self._gone = _assumed(), _assumed_gone()
        shortest = min(_bucket(8 * max_entries), BUCKETS - 1)  # newcomers are tried for so long at first
        self._returned[0] = [1 / CLASSES] * shortest + [0.0] * (BUCKETS - shortest)
        self._gone[0][shortest], self._gone[0][-1] = self._gone[0][-1], 0.0
        self._learn()

    @property
    def ghosts(self) -> int:
        """How many keys are remembered without their value."""
        return len(self._ghosts)

    def learn_hit(self, entry: Ranked, now: int) -> None:
        """Count a hit for ``SAMPLE`` of them, before it is noted in *entry*.

        Needs no lock: of two threads that count at once one may be lost, which a statistic can bear.
        """
        uses, age = entry.uses, now - entry.used_at
        classed, bits = (
            uses.bit_length(),
            (age * age).bit_length(),
        )  # said again here, where a call would tell
        self._returned[classed if classed < CLASSES else -1][bits if bits < BUCKETS else -1] += SAMPLE
        if uses == 0:
            self._new_returned += SAMPLE

    def add(self, entry: Ranked) -> None:
        """Rank an entry whose key is not ranked."""
        now = self._step()
        ghost = self._ghosts.pop(hash(entry.key), None)
        if ghost is None:
            self._new += 1
        else:
            uses = ghost & _USES
            self._count_return(uses, now - (ghost >> _USES_BITS))
            entry.uses = uses // 2 + 1
        entry.used_at = now
        self._queue(entry)

    def replace(self, old: Ranked, new: Ranked, *, used: bool) -> None:
        """Give *new* the place of *old*, which has the same key; *used* if that was asked for in vain."""
        new.uses, new.used_at, new.queued_at, new.queue = old.uses, old.used_at, old.queued_at, old.queue
        self._queues[old.queue][old.key] = new
        if used:
            now = self._step()
            self._count_return(new.uses, now - new.used_at)
            new.used_at, new.uses = now, new.uses + 1

    def remove(self, entry: Ranked) -> None:
        """Forget *entry*, which is ranked, without leaving a ghost."""
        del self._queues[entry.queue][entry.key]

    def clear(self) -> None:
        """Forget every entry and ghost, but not what was learnt of traffic."""
        for queue in self._queues:
            queue.clear()
        self._ghosts.clear()

    def evict(self) -> bytes:
        """Take the entry that is worth least out of the ranking and return its key; there must be one."""
        self._until_lesson -= 1
        if self._until_lesson <= 0:
            self._learn()
        self._until_review -= 1
        if self._until_review <= 0:
            self._review()
        worths = self._worths
        while True:
            number = worths.index(min(worths))
            queue = self._queues[number]
            if not queue:
                self._review()
                continue
            key, entry = queue.popitem(last=False)
            used = entry.queued_at != entry.used_at
            if used:
                self._queue(entry)
            self._look_at(number)
            if not used:
                self._remember(entry)
                return key

    def _step(self) -> int:
        self.ticks_taken += 1
        self._now = now = self._tick()
        return now

    def _queue(self, entry: Ranked) -> None:
        entry.queue, entry.queued_at = _class(entry.uses), entry.used_at
        self._queues[entry.queue][entry.key] = entry

    def _count_return(self, uses: int, age: int) -> None:
        self._returned[_class(uses)][_bucket(age)] += 1
        if uses == 0:
            self._new_returned += 1

    def _remember(self, entry: Ranked) -> None:
        uses = entry.uses
        self._ghosts[hash(entry.key)] = entry.used_at << _USES_BITS | (uses if uses < _USES else _USES)
        if len(self._ghosts) > self._max_ghosts:
            _, ghost = self._ghosts.popitem(last=False)
            uses, age = ghost & _USES, self._now - (ghost >> _USES_BITS)
            self._gone[_class(uses)][_bucket(age)] += 1

    def _review(self) -> None:
        self._until_review = _REVIEW
        self._luck = min(1.0, (self._new_returned + 0.01) / ((self._new + 0.01) * self._usual))
        self._new, self._new_returned = self._new * self._fade, self._new_returned * self._fade
        for number in range(2 * CLASSES):
            self._look_at(number)

    def _look_at(self, number: int) -> None:
        """Move on those in front that belong elsewhere by now, and value the first of the rest."""
        queue, now = self._queues[number], self._now
        self._worths[number] = math.inf
        for left in range(_TIDIED, -1, -1):
            if not queue:
                return
            entry = next(iter(queue.values()))
            used_at = entry.used_at
            if entry.queued_at != used_at and left:
                del queue[entry.key]
                self._queue(entry)
            elif number < CLASSES and now - used_at >= self._dips[number] and left:
                del queue[entry.key]
                entry.queue = number + CLASSES
                self._queues[entry.queue][entry.key] = entry
            else:
                break
        worth = self._worth[number % CLASSES][_bucket(now - used_at)]
        self._worths[number] = worth * self._luck if number % CLASSES == 0 else worth

    def _learn(self) -> None:
        """Work out what entries are worth by now, and let the counts fade into the assumptions.

        Ghosts that may still return count as gone at their present age; to wait until they are forgotten
        would make newcomers look good for as long as there is room for ghosts.
        """
        self._until_lesson = self._lesson
        self._worth: list[list[float]] = []
        returned, gone = [0.0] * BUCKETS, [0.0] * BUCKETS
        away = [list(row) for row in self._gone]
        for ghost in itertools.islice(self._ghosts.values(), 0, None, _SURVEYED):
            away[_class(ghost & _USES)][_bucket(self._now - (ghost >> _USES_BITS))] += _SURVEYED
        for own_returned, own_gone in zip(self._returned, away, strict=True):
            returned = [own + _BORROWED * below for own, below in zip(own_returned, returned, strict=True)]
            gone = [own + _BORROWED * below for own, below in zip(own_gone, gone, strict=True)]
            self._worth.append(worth_by_age(returned, gone))
        self._dips = [_dip(worth) for worth in self._worth]
        returns = sum(self._returned[0])
        self._usual = max(returns / (returns + sum(away[0])), 1e-9)
        _fade(self._returned, _assumed())
        _fade(self._gone, _assumed_gone())


def worth_by_age(returned: Sequence[float], gone: Sequence[float]) -> list[float]:
    """Return for each bucket of ages the most hits per time that an entry of this age can bring.

    *returned* and *gone* say in which bucket intervals between uses ended, by a use or without one.  Keeping
    entries of an age until a later one brings the returns in between and costs the time in between, of those
    that last so long; the best later age makes the most of it.  From the oldest bucket on, each is merged
    with its later neighbours while these pay better.
    """
    worth = [0.0] * len(returned)
    later: list[tuple[float, float]] = []  # merged buckets: hits, time
    alive = 0.0
    for bucket in range(len(returned) - 1, -1, -1):
        hits, ended = returned[bucket], returned[bucket] + gone[bucket]
        time = (alive + ended / 2) * _WIDTHS[bucket] + 1e-9  # those that end do so half way through
        alive += ended
        while later and later[-1][0] * time > hits * later[-1][1]:
            more_hits, more_time = later.pop()
            hits, time = hits + more_hits, time + more_time
        later.append((hits, time))
        worth[bucket] = hits / time
    return worth


def _dip(worth: Sequence[float]) -> float:
    """Return the age from which an entry gains most worth by growing older, or infinity."""
    best_rise, dip, peak = _RISE, math.inf, 0.0
    for bucket in range(len(worth) - 1, -1, -1):
        if peak > best_rise * worth[bucket]:
            best_rise, dip = peak / max(worth[bucket], 1e-12), 2 ** (bucket / 2)
        peak = max(peak, worth[bucket])
    return dip


def _class(uses: int) -> int:
    bits = uses.bit_length()
    return bits if bits < CLASSES else CLASSES - 1


def _bucket(age: int) -> int:
    bits = (age * age).bit_length()
    return bits if bits < BUCKETS else BUCKETS - 1


def _assumed() -> Counts:
    """Return the returns to assume: the more uses, the more; at any age, so that a used entry has some worth.

    Newcomers have none to live on but their own, lest they push out used entries during a long scan.
    """
    return [[(number + 1) / CLASSES if number else 0.0] * BUCKETS for number in range(CLASSES)]


def _assumed_gone() -> Counts:
    """Return how many are assumed to be gone without a return: the more uses, the fewer."""
    return [[0.0] * (BUCKETS - 1) + [5 * (1 - number / CLASSES)] for number in range(CLASSES)]


def _fade(counts: Counts, assumed: Counts) -> None:
    for row, floor in zip(counts, assumed, strict=True):
        row[:] = [_KEPT * count + (1 - _KEPT) * least for count, least in zip(row, floor, strict=True)]
