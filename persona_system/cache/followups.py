"""What people ask next: after A, the same person asks B.

A first-order association learnt from the requests themselves.  For each A a row counts how often A was
followed by anything and by each of a few Bs.  B is predicted when it followed often enough (support), in
a large enough part of the cases (confidence), and far more often than it is asked anyway (lift): on skewed
traffic a popular B follows everything with the probability of its popularity, and is cached already.

Ageing: a row is halved every `ROW_LIMIT` cases, the base rates every `BASE_LIMIT` observations, and a
row that nobody asked for during a whole generation is dropped.  So drift is followed.

Units:   counts are observations; confidence has no unit and lies in [0, 1].
Source:  Agrawal et al. 1993 (support, confidence); Brin et al. 1997 (lift, there called interest).
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from persona_system.cache.popularity import Tally

ROW_LIMIT = 32  # cases of one A before its counts are halved: confidence is that of the last 16 to 32
BASE_LIMIT = 32_768  # observations before the base rates are halved; also bounds how many are held
LOG_LIMIT = 1_024  # repeated pairs kept one by one before they are counted for the export
ANY_OTHER = b""  # stands for all other followers of A in an exported row

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Learnt = tuple[bytes, bytes, int]  # previous, current or ANY_OTHER, cases


@dataclass(frozen=True, slots=True)
class FollowUpPolicy:
    """When B counts as following A, and how much is remembered."""

    confidence: float = 0.5  # B in at least this share of the cases, two imagined failures included
    support: int = 3  # cases in which B followed A
    lift: float = 3.0  # times more often than B is asked anyway
    most: int = 2  # predictions at a time
    rows: int = 8_192  # As remembered
    followers: int = 8  # Bs remembered per A

    def __post_init__(self) -> None:
        if not 0 < self.confidence <= 1:
            raise ValueError("confidence must lie in 0..1, above 0")
        if min(self.support, self.most, self.followers) < 1 or self.rows < 2:
            raise ValueError("support, most and followers must be at least 1, rows at least 2")


class Generations(Generic[K, V]):
    """A dict of the most recently used keys, at most *limit* of them, without a list to maintain.

    New and used keys live in the young half; when that is full, it becomes the old half, and the
    former old half is dropped.  So the last limit / 2 distinct keys are always held.  Not thread-safe.
    """

    __slots__ = ("_half", "_old", "young")

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._old: dict[K, V] = {}
        self.young: dict[K, V] = {}  # may be read directly, to spare a call: what is in it needs no `get`

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def get(self, key: K) -> V | None:
        """Return the value of *key* and count that as a use; None if it is not held."""
        value = self.young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.swap(key, value)
        return value

    def swap(self, key: K, value: V) -> V | None:
        """Hold *value* under *key*; return the value held before, None if there was none."""
        previous = self.young.get(key)
        if previous is None:
            previous = self._old.pop(key, None)
            if len(self.young) >= self._half:
                self._old, self.young = self.young, {}
        self.young[key] = value
        return previous


class _Row:
    """How often one A was followed by anything (`cases`), and by whom."""

    __slots__ = ("best", "cases", "followers", "unshared")

    def __init__(self) -> None:
        self.cases = 0
        self.best = 0  # no follower has more than this
        self.followers: dict[bytes, int] = {}
        self.unshared = 0  # cases since this row was exported


class FollowUps:
    """Learns which content follows which, in bounded memory.  Not thread-safe: see Prefetcher.

    Memory: at most `rows` x `followers` counts, `BASE_LIMIT` base rates, and what waits for export (at
    most 2 x `rows` counts).  A follower with a share p of the cases is under-counted by at most about
    (1 - p) / `followers`, since a newcomer to a full row costs the oldest follower one case.
    """

    def __init__(self, policy: FollowUpPolicy | None = None) -> None:
        self.policy = policy if policy is not None else FollowUpPolicy()
        self._support, self._confidence = self.policy.support, self.policy.confidence
        self._most_followers = self.policy.followers
        self._rows: Generations[bytes, _Row] = Generations(self.policy.rows)
        self._base: dict[bytes, int] = {}
        self._observed = 0  # what the base rates are shares of
        self._repeated: list[tuple[bytes, bytes]] = []
        self._pairs: Tally[tuple[bytes, bytes]] = Tally(self.policy.rows)

    def observe(self, previous: bytes, current: bytes) -> None:
        """Learn that a person asked *current* right after *previous*."""
        row = self._rows.young.get(previous)
        if row is None:
            row = self._row(previous)
        row.cases += 1
        row.unshared += 1
        count = row.followers.get(current)
        if count is None:
            self._add_follower(row, current, 1)
        else:
            row.followers[current] = count = count + 1
            if count > row.best:  # noqa: PLR1730 - on the path of every request, and max() is a call
                row.best = count
            self._log(previous, current, count)
        if row.cases >= ROW_LIMIT:
            _halve(row)
        self._base[current] = self._base.get(current, 0) + 1
        self._observed += 1
        if self._observed >= BASE_LIMIT:
            self._halve_base()

    def predict(self, current: bytes) -> tuple[bytes, ...]:
        """Return what will be asked after *current*, the most likely first; usually nothing."""
        row = self._rows.young.get(current)
        if row is None:
            row = self._rows.get(current)
            if row is None:
                return ()
        best = row.best
        # Two imagined failures: three cases out of three are not yet certainty (the rule of succession).
        if best < self._support or best < self._confidence * (row.cases + 2):
            return ()
        least = max(self._support, self._confidence * (row.cases + 2))
        likely = [
            (count, follower)
            for follower, count in row.followers.items()
            if count >= least and self._is_lifted(follower, count / (row.cases + 2))
        ]
        likely.sort(reverse=True)
        return tuple(follower for _, follower in likely[: self.policy.most])

    def export(self, n: int) -> list[Learnt]:
        """Return what was learnt since the last export, at most *n* rows, the most frequent pairs.

        For sharing with other processes.  A pair counts from its second case.  Its row is joined by one
        that says how often its A was followed by anything else (`ANY_OTHER`), without which the
        confidence would come out too high.
        """
        self._count_log()
        pairs, self._pairs = self._pairs.counts, Tally(self.policy.rows)
        learnt: list[Learnt] = []
        others: dict[bytes, int] = {}
        for (previous, current), count in pairs.most_common(n):
            if len(learnt) + 1 + len(others) + (previous not in others) > n:
                break
            if previous not in others:
                row = self._rows.get(previous)
                if row is None:  # forgotten since, and with it how often its A was asked
                    continue
                others[previous], row.unshared = row.unshared, 0
            others[previous] -= count
            learnt.append((previous, current, count))
        learnt += [(previous, ANY_OTHER, count) for previous, count in others.items() if count > 0]
        return learnt

    def merge(self, rows: Iterable[Learnt]) -> None:
        """Add what another process exported: each of its rows once.  It is not exported again."""
        grown: list[_Row] = []
        for previous, current, count in rows:
            if count > 0:
                row = self._row(previous)
                row.cases += count
                if current != ANY_OTHER:
                    self._add_follower(row, current, count)
                    self._base[current] = self._base.get(current, 0) + count
                self._observed += count
                grown.append(row)
        for row in grown:  # only now, so that all rows of one A weigh the same
            _halve(row)
        while self._observed >= BASE_LIMIT:
            self._halve_base()

    def _row(self, previous: bytes) -> _Row:
        row = self._rows.get(previous)
        if row is None:
            row = _Row()
            self._rows.swap(previous, row)
        return row

    def _add_follower(self, row: _Row, current: bytes, count: int) -> None:
        followers = row.followers
        if current in followers:
            count += followers[current]
        elif len(followers) >= self._most_followers:
            oldest = next(iter(followers))
            left = followers.pop(oldest) - count
            if left > 0:
                followers[oldest] = left  # goes to the end: the next newcomer costs another one
                return
        followers[current] = count
        row.best = max(row.best, count)

    def _is_lifted(self, follower: bytes, confidence: float) -> bool:
        """Whether *follower* comes much more often here than anywhere."""
        return confidence * self._observed >= self.policy.lift * self._base.get(follower, 0)

    def _halve_base(self) -> None:
        self._base = {key: count // 2 for key, count in self._base.items() if count > 1}
        self._observed //= 2

    def _log(self, previous: bytes, current: bytes, count: int) -> None:
        """Keep a repeated pair for the export; one seen once is chance, and most are."""
        pair = (previous, current)
        self._repeated.append(pair)
        if count == 2:
            self._repeated.append(pair)  # the first case, which was not kept
        if len(self._repeated) >= LOG_LIMIT:
            self._count_log()

    def _count_log(self) -> None:
        self._pairs.add(self._repeated)
        self._repeated = []


def _halve(row: _Row) -> None:
    """Halve the counts of *row* until they are below the limit; a merged row may hold many cases."""
    while row.cases >= ROW_LIMIT:
        row.cases //= 2
        row.followers = {follower: count // 2 for follower, count in row.followers.items() if count > 1}
    row.best = max(row.followers.values(), default=0)
