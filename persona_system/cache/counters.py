"""Counts of what a process's cache did, to be added up over all processes.

Counting costs one lock a batch, and no count is lost: ``drain`` takes what there is, and whoever fails to
hand it on gives it back.
"""

import threading
from collections import Counter
from collections.abc import Mapping


class Counters:
    """Whole numbers by scope and name; scope is an endpoint or a part of the cache."""

    def __init__(self) -> None:
        self.start_afresh()

    def start_afresh(self) -> None:
        """Count from nothing, e.g. in a forked child: what its parent counted is the parent's."""
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._pending: Counter[tuple[str, str]] = Counter()

    def add(self, scope: str, **counts: int) -> None:
        """Add to the counts of *scope*; zeros are welcome."""
        with self._lock:
            for name, count in counts.items():
                if count:
                    self._counts[scope, name] += count
                    self._pending[scope, name] += count

    def counts(self) -> dict[str, dict[str, int]]:
        """Return everything that this process counted: scope -> name -> count."""
        with self._lock:
            found: dict[str, dict[str, int]] = {}
            for (scope, name), count in self._counts.items():
                found.setdefault(scope, {})[name] = count
            return found

    def drain(self) -> Mapping[tuple[str, str], int]:
        """Take what was counted since the last drain."""
        with self._lock:
            taken, self._pending = self._pending, Counter()
            return taken

    def give_back(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Return what a drain took and could not be handed on."""
        with self._lock:
            self._pending.update(counts)
