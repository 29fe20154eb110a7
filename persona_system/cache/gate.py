"""Let a cache get out of the way while it does not pay.

While too few look-ups hit, the gate is closed: only a fixed sample of the key space still goes through
the cache, and everything else is computed at once.  The sample is taken by the key's own bits, so it is
the same in every process and every repetition of a sampled key is seen; its share of hits estimates what
the whole would give.  When that share is good again, the gate opens.

Units:   shares have no unit and lie in [0, 1]; windows are look-ups that went through the cache.
Source:  Waldspurger et al., FAST 2015, "Efficient MRC Construction with SHARDS" (spatial sampling).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from zlib import crc32

MAX_PATIENCE = 8  # the most good windows in a row that a closed gate asks for


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """When a gate closes and opens.  The sample's window is as many requests as an open one.

    At 0.05 of 256 sampled look-ups the estimate is 12.8 hits, give or take 3.5: well above the floor.
    """

    window: int = 16_384  # look-ups judged at a time while open: many answers are first asked for once
    floor: float = 0.02  # a smaller share of hits closes the gate
    reopen: float = 0.05  # this share of hits in the sample opens it
    one_in: int = 64  # the sample: one key in so many; a power of two

    def __post_init__(self) -> None:
        if not 0 <= self.floor < self.reopen <= 1:
            raise ValueError("shares must obey 0 <= floor < reopen <= 1")
        if self.one_in < 2 or self.one_in & (self.one_in - 1):
            raise ValueError("one_in must be a power of two, at least 2")
        if self.window < self.one_in:
            raise ValueError("window must be at least one_in")


class Gate:
    """Whether one endpoint's cache is worth asking, in this process.

    Use: while `open`, ask the cache for everything.  Otherwise ask it only for what ``passing`` (or
    ``sampled``) names, and store only that.  Either way ``note`` what was asked of it.

    A new gate is open and judges nothing before its first full window, so an empty cache has that long
    to fill; after the cache was emptied on purpose, ``restart`` gives it the same chance again.  If the
    reuse is further apart than one window, the gate closes, the sample fills, and it opens again.

    A full cache holds a sample longer than it would hold the whole, so the estimate can be too good.
    An opening whose first window does not pay therefore doubles the good windows asked for before the
    next, up to eight.  So a gate opens within `reopens_within` requests of the hits coming back.

    Thread-safe: `open` is read without a lock, ``note`` takes one per batch.  A batch that was selected
    just before a change and noted after it counts towards the new window.
    """

    def __init__(self, policy: GatePolicy | None = None) -> None:
        self.policy = policy if policy is not None else GatePolicy()
        self.open = True
        self.closings = 0  # how often it has closed
        self._mask = self.policy.one_in - 1
        self._lock = Lock()
        self.restart()

    @property
    def reopens_within(self) -> int:
        """Requests that pass at most between the hits coming back and an opening.

        A window that was under way when they came back may be judged bad: hence one more.  Batches that
        do not divide a window stretch it by up to a batch.
        """
        return (self._patience + 1) * self.policy.window

    def restart(self) -> None:
        """Open, forget, and wait for a full window again."""
        with self._lock:
            self.open = True
            self._lookups = self._hits = 0
            self._good = 0  # windows in a row whose sample was good enough
            self._patience = 1  # how many of them open the gate
            self._on_trial = False  # opened again, and not one window has paid since

    def admits(self, text: str) -> bool:
        """Whether the cache is to be asked about *text*."""
        return self.open or self.sampled(fingerprint(text))

    def sampled(self, fingerprint: int) -> bool:
        """Whether a key passes a closed gate; *fingerprint* is any well-mixed hash of it, such as CRC-32."""
        return not fingerprint & self._mask

    def passing(self, fingerprints: Sequence[int]) -> Sequence[int]:
        """Return the positions that go through the cache: all while open, otherwise the sampled ones."""
        if self.open:
            return range(len(fingerprints))
        mask = self._mask
        return [position for position, fingerprint in enumerate(fingerprints) if not fingerprint & mask]

    def note(self, lookups: int, hits: int) -> None:
        """Count *lookups* that went through the cache, *hits* of them answered by it."""
        with self._lock:
            self._lookups += lookups
            self._hits += hits
            policy = self.policy
            if self._lookups >= (policy.window if self.open else policy.window // policy.one_in):
                share = self._hits / self._lookups
                self._lookups = self._hits = 0
                if self.open:
                    self._judge_open(share)
                else:
                    self._judge_sample(share)

    def _judge_open(self, share: float) -> None:
        if share < self.policy.floor:
            if self._on_trial:
                self._patience = min(2 * self._patience, MAX_PATIENCE)
            self.open = False
            self.closings += 1
        else:
            self._patience = 1
        self._on_trial = False

    def _judge_sample(self, share: float) -> None:
        self._good = self._good + 1 if share >= self.policy.reopen else 0
        if self._good >= self._patience:
            self._good = 0
            self.open = self._on_trial = True


def fingerprint(text: str) -> int:
    """Return a cheap hash of what is asked: the same in every process, as the sample has to be."""
    return crc32(text.encode())
