"""The stamps of tags, as this process knows them.

A tag's stamp is eight random bytes in the shared store; invalidating the tag replaces them, and every
answer that carries the old ones is void.  A tag without a stamp voids its answers, too, so losing stamps
(eviction, expiry) costs misses, never a wrong answer.

This table holds stamps only while news of changes reach this process.  A stamp that was on its way
here while its tag changed must not enter: whoever reads stamps takes a ``mark`` before, and ``learn``
refuses what changed since.
"""

import itertools
import threading
from collections.abc import Mapping, Sequence

from persona_system.cache.envelope import Stamped

MAX_TAGS = 20_000  # known at once; beyond it the table starts afresh
MAX_CHANGES = 10_000  # remembered, to refuse late stamps one by one; older marks are refused whole


class Stamps:
    """Tag -> stamp.  Reads need no lock; changes take one."""

    def __init__(self, max_tags: int = MAX_TAGS, max_changes: int = MAX_CHANGES) -> None:
        self._max_tags, self._max_changes = max_tags, max_changes
        self._known: dict[bytes, bytes] = {}
        self._changed: dict[bytes, int] = {}  # tag -> time of its latest change; oldest first
        self._now = 0  # counts changes
        self._floor = 0  # marks before it are too old to tell what changed since
        self._lock = threading.Lock()

    def get(self, tag: bytes) -> bytes | None:
        """Return the stamp of *tag*; None when it is not known here."""
        return self._known.get(tag)

    def tags(self) -> list[bytes]:
        """Return the tags whose stamps are known."""
        return list(self._known)

    def current(self, stamped: Stamped) -> bool:
        """Tell whether every tag is known and has the stamp that *stamped* gives."""
        known = self._known
        return all(known.get(tag) == stamp for tag, stamp in stamped)

    def mark(self) -> int:
        """Return the present time of the table, to be handed to ``learn``."""
        return self._now

    def learn(self, stamps: Mapping[bytes, bytes], mark: int) -> None:
        """Take in *stamps* that were read after *mark*, except those of tags that changed since."""
        with self._lock:
            if mark < self._floor:
                return
            if len(self._known) + len(stamps) > self._max_tags:
                self._known.clear()
            for tag, stamp in stamps.items():
                if self._changed.get(tag, -1) <= mark and len(self._known) < self._max_tags:
                    self._known[tag] = stamp

    def changed(self, tags: Sequence[bytes]) -> None:
        """Forget *tags*: they have been invalidated."""
        with self._lock:
            self._now += 1
            for tag in tags:
                self._known.pop(tag, None)
                self._changed.pop(tag, None)  # so that it moves to the end
                self._changed[tag] = self._now
            if len(self._changed) > self._max_changes:
                # a quarter at once: finding a dict's oldest key takes the longer, the more were removed
                excess = len(self._changed) - self._max_changes * 3 // 4
                for tag in list(itertools.islice(self._changed, excess)):
                    self._floor = max(self._floor, self._changed.pop(tag))

    def forget_all(self) -> None:
        """Forget everything, also what is on its way: news may have been missed."""
        with self._lock:
            self._now += 1
            self._floor = self._now
            self._known.clear()
            self._changed.clear()
