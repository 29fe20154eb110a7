"""What to compute before it is asked, and whether that pays.

A predictor that is right about the next question saves a wait; one that is wrong costs a computation.
So each prefetched content is watched: used, if the same person asks it soon after, wasted if not.

On trial (at first, and whenever it did not pay), prefetching lives on an allowance: `budget` for each
request earns it, each prefetched content costs 1, each used one gives back 1 / `floor`.  Hence on trial

    prefetched - used  <=  budget x requests + used x (1 / floor - 1)

that is, 1 % extra work where nothing follows anything, and fast growth where the predictions are right.
Once a full window of them was right often enough, everything confident is prefetched, until a window
is not.  On trial only a fixed sample of the people is followed, all of whose requests are seen, so that
what does not pay costs little time either.  What is cached already costs nothing to prefetch, so the
real extra work is below these figures.

Units:   budget, floor and precision have no unit and lie in [0, 1]; windows are contents, patience and
         `within` are requests.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice, takewhile
from threading import Lock

from persona_system.cache.followups import FollowUps, Generations, Learnt

SWEEP_EVERY = 1_024  # requests between two looks for contents that waited too long


@dataclass(frozen=True, slots=True)
class PrefetchPolicy:
    """What prefetching may cost, and what counts as used."""

    budget: float = 0.01  # contents prefetched on trial, as a share of the requests
    floor: float = 0.5  # the share of prefetched contents that must be used
    window: int = 64  # settled contents judged at a time; also the most that can be saved up on trial
    one_in: int = 4  # on trial, people followed: one in so many; a power of two
    within: int = 4  # used means: among this many next requests of the same person,
    patience: int = 8_192  # and before this many requests of everyone
    slots: int = 16_384  # people whose last request is remembered
    waiting: int = 4_096  # people with prefetched contents not yet settled; beyond, the oldest are wasted

    def __post_init__(self) -> None:
        if not 0 <= self.budget <= 1 or not 0 < self.floor <= 1:
            raise ValueError("budget and floor must lie in 0..1, floor above 0")
        if min(self.window, self.within, self.patience, self.waiting) < 1 or self.slots < 2:
            raise ValueError("window, within, patience and waiting must be at least 1, slots at least 2")
        if self.one_in < 1 or self.one_in & (self.one_in - 1):
            raise ValueError("one_in must be a power of two")


@dataclass(frozen=True, slots=True)
class PrefetchStats:
    """Since the start, in this process.  What is neither used nor wasted is not settled yet."""

    observed: int  # requests
    prefetched: int  # contents
    used: int
    wasted: int
    active: bool  # False: on trial

    @property
    def precision(self) -> float | None:
        """Used contents as a share of the settled ones; None before the first is settled."""
        settled = self.used + self.wasted
        return self.used / settled if settled else None


class _Waiting:
    """What was prefetched for one person: content -> requests left in which it may still be used."""

    __slots__ = ("contents", "since")

    def __init__(self) -> None:
        self.contents: dict[bytes, int] = {}
        self.since = 0  # number of the request at which the newest was prefetched


class Prefetcher:
    """Decides what to prefetch as people ask; computes and stores nothing itself.

    A *slot* is who asks (a hash of the user or session), a *content* is what (a hash of all that the
    answer depends on).  Neither is kept in the clear, and memory is bounded by the two policies.
    The sample on trial is taken by the slot's last byte, so it is the same in every process.  An empty
    slot is nobody in particular, and is not followed.

    Thread-safe: every public method holds one lock; ``asked_all`` takes it once for a batch.
    """

    def __init__(self, follow_ups: FollowUps | None = None, policy: PrefetchPolicy | None = None) -> None:
        self.policy = policy if policy is not None else PrefetchPolicy()
        self._follow_ups = follow_ups if follow_ups is not None else FollowUps()
        self._lock = Lock()
        self._last: Generations[bytes, bytes] = Generations(self.policy.slots)
        self._waiting: dict[bytes, _Waiting] = {}  # the longest waiting first
        self._observed = self._prefetched = self._settled = self._used = 0
        self._window_settled = self._window_used = 0
        self._active = False
        self._mask = self.policy.one_in - 1  # of a slot's last byte: 0 for people who are followed
        self._allowance = 0.0
        self._earned_until = 0  # the request up to which the allowance was earned

    def follows(self, slot: bytes) -> bool:
        """Tell whether *slot* is followed now; requests of others may be counted by ``pass_by`` instead."""
        return bool(slot) and (not slot[-1] & self._mask or slot in self._waiting)

    def pass_by(self, requests: int) -> None:
        """Count *requests* of people who are not followed, as ``asked`` would."""
        with self._lock:
            before, self._observed = self._observed, self._observed + requests
            if before // SWEEP_EVERY != self._observed // SWEEP_EVERY:
                self._sweep()

    def asked(self, slot: bytes, content: bytes) -> tuple[bytes, ...]:
        """Note that *slot* asked *content*; return what to prefetch now, usually nothing."""
        with self._lock:
            return self._asked(slot, content)

    def asked_all(self, requests: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
        """Do ``asked`` for each (slot, content) in their order; return what to prefetch, each once."""
        wanted: dict[bytes, None] = {}
        with self._lock:
            for slot, content in requests:
                for predicted in self._asked(slot, content):
                    wanted[predicted] = None
        return list(wanted)

    def stats(self) -> PrefetchStats:
        """Return the counters as they stand."""
        with self._lock:
            return PrefetchStats(
                observed=self._observed,
                prefetched=self._prefetched,
                used=self._used,
                wasted=self._settled - self._used,
                active=self._active,
            )

    def export(self, n: int) -> list[Learnt]:
        """Return what was learnt since the last export, as ``FollowUps.export`` does."""
        with self._lock:
            return self._follow_ups.export(n)

    def merge(self, rows: Iterable[Learnt]) -> None:
        """Add what another process exported; see ``FollowUps.merge``."""
        with self._lock:
            self._follow_ups.merge(rows)

    def _asked(self, slot: bytes, content: bytes) -> tuple[bytes, ...]:
        self._observed += 1
        if not self._observed % SWEEP_EVERY:
            self._sweep()
        waiting = self._waiting.get(slot)
        if waiting is not None:
            self._settle(slot, waiting, content)
        elif not slot or slot[-1] & self._mask:
            return ()
        previous = self._last.swap(slot, content)
        if previous is not None and previous != content:  # the same again says nothing about what is next
            self._follow_ups.observe(previous, content)
        predicted = self._follow_ups.predict(content)
        return self._choose(slot, predicted) if predicted else predicted

    def _choose(self, slot: bytes, predicted: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Return those of *predicted* that are not waiting already and that may be afforded."""
        waiting = self._waiting.get(slot)
        if waiting is not None:
            predicted = tuple(content for content in predicted if content not in waiting.contents)
        if not self._active:
            predicted = predicted[: self._afford(len(predicted))]
        if predicted:
            if waiting is None:
                waiting = _Waiting()
                self._make_room()
            else:
                del self._waiting[slot]
            self._waiting[slot] = waiting  # at the end
            waiting.since = self._observed
            waiting.contents.update(dict.fromkeys(predicted, self.policy.within))
            self._prefetched += len(predicted)
        return predicted

    def _afford(self, wanted: int) -> int:
        """Take what *wanted* contents cost from the allowance, or what is there; return how many."""
        earned = self.policy.budget * (self._observed - self._earned_until)
        self._earned_until = self._observed
        self._allowance = min(self._allowance + earned, float(self.policy.window))
        affordable = min(wanted, int(self._allowance))
        self._allowance -= affordable
        return affordable

    def _settle(self, slot: bytes, waiting: _Waiting, content: bytes) -> None:
        """Settle what *slot* was expected to ask, now that it asked *content*."""
        contents = waiting.contents
        if contents.pop(content, None) is not None:
            self._judge(used=True)
        for expected, left in list(contents.items()):
            if left > 1:
                contents[expected] = left - 1
            else:
                del contents[expected]
                self._judge(used=False)
        if not contents:
            del self._waiting[slot]

    def _sweep(self) -> None:
        """Count as wasted what waited longer than the patience."""
        latest = self._observed - self.policy.patience
        self._give_up(
            [slot for slot, _ in takewhile(lambda item: item[1].since <= latest, self._waiting.items())]
        )

    def _make_room(self) -> None:
        if (
            len(self._waiting) >= self.policy.waiting
        ):  # an eighth at a time: looking for the first is not free
            self._give_up(list(islice(self._waiting, 1 + self.policy.waiting // 8)))

    def _give_up(self, slots: list[bytes]) -> None:
        for slot in slots:
            for _ in self._waiting.pop(slot).contents:
                self._judge(used=False)

    def _judge(self, *, used: bool) -> None:
        """Settle one prefetched content; at the end of a window, decide whether prefetching pays."""
        self._settled += 1
        self._window_settled += 1
        if used:
            self._used += 1
            self._window_used += 1
            if not self._active:
                self._allowance += 1 / self.policy.floor
        if self._window_settled >= self.policy.window:
            paid = self._window_used >= self.policy.floor * self._window_settled
            self._window_settled = self._window_used = 0
            if self._active and not paid:
                self._allowance, self._earned_until = 0.0, self._observed
            self._active = paid
            self._mask = 0 if paid else self.policy.one_in - 1
