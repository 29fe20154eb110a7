"""How often each key is asked, in bounded memory: who to warm first, and what ``ion cache top`` shows.

A table of counters in the manner of Misra and Gries: when it is full, the count of the (capacity + 1)-th
most frequent key is taken off every counter, and those that reach zero go.  Taking c off more than
`capacity` counters needs more than c x capacity lookups, so all cuts together stay below
lookups / (capacity + 1).  Two such tables add up without losing the bound.

Units:   counts are lookups.
Source:  Misra & Gries 1982, "Finding repeated elements"; Agarwal et al. 2012, "Mergeable summaries"
         (the cut in batches, and the bound under merging).
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from threading import Lock
from typing import Generic, TypeVar

DEFAULT_CAPACITY = 8_192  # a key with more than 1 / 8,193 of the lookups (0.012 %) is always held

K = TypeVar("K", bound=Hashable)


class Tally(Generic[K]):
    """One table of counters; at most 2 x *capacity* of them at any moment.  Not thread-safe.

    With `total` counted: true - `error` <= count <= true, and `error` <= total / (capacity + 1); so
    every key counted more than `error` times is in the table.  A ``scale`` adds less than 1 to `error`.
    """

    __slots__ = ("capacity", "counts", "error", "total")

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self.capacity = capacity
        self.counts: Counter[K] = Counter()
        self.total = 0.0  # what was counted, scaled as the counts are
        self.error = 0.0  # the most by which any count may be too low

    def __len__(self) -> int:
        return len(self.counts)

    def add(self, keys: list[K]) -> None:
        """Count each of *keys* once per occurrence."""
        if len(keys) > self.capacity:
            for start in range(0, len(keys), self.capacity):
                self.add(keys[start : start + self.capacity])
            return
        if len(self.counts) + len(keys) > 2 * self.capacity:  # then more than `capacity` are held
            self._cut()
        self.counts.update(keys)  # in C; everything else here is amortised over a batch
        self.total += len(keys)

    def absorb(self, other: "Tally[K]") -> None:
        """Add the counts of *other*, a table of the same capacity, and its error."""
        self.counts.update(other.counts)
        self.total += other.total
        self.error += other.error
        if len(self.counts) > self.capacity:
            self._cut()

    def scale(self, factor: float) -> None:
        """Multiply all counts by *factor*, rounding down; those that reach zero go."""
        scaled = ((key, int(count * factor)) for key, count in self.counts.items())
        self.counts = Counter({key: count for key, count in scaled if count})
        self.total *= factor
        self.error = self.error * factor + 1

    def _cut(self) -> None:
        """Take the (capacity + 1)-th highest count off all; called only with more than `capacity` held."""
        counts = list(self.counts.values())
        if len(counts) - counts.count(1) <= self.capacity:
            cut = 1  # as nearly always, since most keys of a long tail are asked once; sorting costs 4 x more
        else:
            cut = sorted(counts, reverse=True)[self.capacity]
        self.counts = Counter({key: count - cut for key, count in self.counts.items() if count > cut})
        self.error += cut


class Popularity:
    """How often each key was asked, by everyone who shares this object.

    Two tallies: what was counted since the last ``drain``, and everything before it.  Together they
    hold at most 4 x *capacity* counters, and a count is never too high, and too low by at most
    (lookups counted) / (capacity + 1); see ``error`` for the bound at this moment.

    Thread-safe: every method holds one lock, once per batch rather than once per key.
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self._lock = Lock()
        self._recent: Tally[bytes] = Tally(capacity)
        self._older: Tally[bytes] = Tally(capacity)

    def __len__(self) -> int:
        """Return how many counters are held."""
        with self._lock:
            return len(self._recent) + len(self._older)

    @property
    def error(self) -> float:
        """The most by which any estimate may be too low."""
        with self._lock:
            return self._recent.error + self._older.error

    def add(self, keys: Iterable[bytes]) -> None:
        """Count each of *keys*; a key asked twice in a batch stands in it twice."""
        batch = keys if isinstance(keys, list) else list(keys)
        with self._lock:
            self._recent.add(batch)

    def estimate(self, key: bytes) -> int:
        """Return how often *key* was asked: at most `error` too low, never too high."""
        with self._lock:
            return self._recent.counts.get(key, 0) + self._older.counts.get(key, 0)

    def top(self, n: int) -> list[tuple[bytes, int]]:
        """Return the *n* most frequent keys with their counts, most frequent first."""
        with self._lock:
            counts = Counter(self._older.counts)
            counts.update(self._recent.counts)
        return counts.most_common(n)

    def drain(self, n: int) -> dict[bytes, int]:
        """Return what was counted since the last drain, at most the *n* most frequent keys.

        For adding to a shared sorted set.  What is not among the *n* stays in the estimates of this
        object and is not handed out again.
        """
        with self._lock:
            recent, self._recent = self._recent, Tally(self._recent.capacity)
            self._older.absorb(recent)
        return dict(recent.counts.most_common(n))

    def decay(self, factor: float) -> None:
        """Weigh what was drained so far by *factor* (0..1), so that yesterday's favourites fade.

        What was counted since the last drain keeps its full weight: drain first, then decay.
        """
        if not 0 <= factor <= 1:
            raise ValueError("factor must lie in 0..1")
        with self._lock:
            self._older.scale(factor)
