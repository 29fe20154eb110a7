"""Let one of a kind through in a while, and count the others, so that a flood is a few drops.

Units:  seconds by the monotonic clock.
"""

import threading
from collections.abc import Callable, Hashable

_MOST_KINDS = 1_000  # that are remembered


class Sparing:
    """Lets one of a kind through in *every_s*.  Safe to use from many threads."""

    def __init__(self, monotonic: Callable[[], float], every_s: float) -> None:
        self._monotonic, self._every_s = monotonic, every_s
        self._lock = threading.Lock()
        self._kinds: dict[Hashable, tuple[float, int]] = {}  # when one passed, and how many did not since

    def passes(self, kind: Hashable) -> int:
        """Return how many of *kind* this one stands for, itself included; 0: it does not pass."""
        now = self._monotonic()
        with self._lock:
            passed, held = self._kinds.get(kind, (None, 0))
            if passed is not None and 0 <= now - passed < self._every_s:
                self._kinds[kind] = (passed, held + 1)
                return 0
            if passed is None and len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()  # their counts are lost, which costs a report each
            self._kinds[kind] = (now, 0)
        return held + 1
