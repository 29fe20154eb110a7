"""What a shared tier is to the cache, and the one that shares with nobody.

A look-up gives a *ticket*: the stamps of every tag that an answer may carry, read before anything is
computed.  What is stored later carries these stamps, so an invalidation in between voids it.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from persona_system.cache.envelope import STAMP_BYTES, Stamped
from persona_system.cache.keys import EVERYTHING_ID
from persona_system.cache.lifetime import Lifetime
from persona_system.cache.stamps import MAX_TAGS

Ticket = Mapping[bytes, bytes]


class Found(NamedTuple):
    """An answer of the shared tier; times in seconds of the process's monotonic clock."""

    value: bytes
    due_at: float
    dead_at: float
    stamped: Stamped


class Item(NamedTuple):
    """An answer to store; *tags* must all be in the ticket that it is stored with.

    The tag of every answer need not be among them.
    """

    key: bytes
    value: bytes
    tags: tuple[bytes, ...]
    lifetime: Lifetime


class SharedTier(Protocol):
    """Answers that other processes see, and the truth about tags.  Never raises for the store's sake."""

    @property
    def up(self) -> bool:
        """Whether it serves; while it does not, no tier may."""

    def start(self) -> None:
        """Begin to serve, in the background; idempotent."""

    def lookup(self, keys: Sequence[bytes], tags: Sequence[bytes]) -> tuple[list[Found | None], Ticket]:
        """Return what is there for each key, and the ticket for *tags*; it is empty when there is none."""

    def store(self, items: Sequence[Item], ticket: Ticket) -> list[Found | None]:
        """Keep *items*; return each as a look-up would give it, None for one that must not be kept."""

    def current(self, stamped: Stamped) -> bool:
        """Tell whether these tags are known to have these stamps now."""

    def elect(self, keys: Sequence[bytes]) -> list[bool]:
        """Tell for each due key whether this caller is the one to refresh it."""

    def invalidate(self, tags: Sequence[bytes]) -> bool:
        """Void every answer with one of *tags*; False: not everywhere yet, it will be tried again."""

    def discard(self, keys: Sequence[bytes]) -> None:
        """Drop the answers under *keys*."""

    def close(self) -> None:
        """Stop serving."""


class Stamper:
    """Gives tags their stamps of one ticket; answers of a batch share few combinations of tags."""

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._done: dict[tuple[bytes, ...], Stamped | None] = {}

    def __call__(self, tags: tuple[bytes, ...]) -> Stamped | None:
        """Return *tags*, and the one of every answer, with stamps; None: one is missing, do not keep it."""
        try:
            return self._done[tags]
        except KeyError:
            pass
        try:
            stamped: Stamped | None = tuple([(tag, self._ticket[tag]) for tag in (*tags, EVERYTHING_ID)])
        except KeyError:
            stamped = None
        self._done[tags] = stamped
        return stamped


class OwnTier:
    """The Null of SharedTier: no other process, so it keeps no answers, only the stamps of tags."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, random: Callable[[], float] = random.random
    ) -> None:
        self.up = True
        self._clock, self._random = clock, random
        self._stamps: dict[bytes, bytes] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Do nothing."""

    def lookup(self, keys: Sequence[bytes], tags: Sequence[bytes]) -> tuple[list[Found | None], Ticket]:
        """Find nothing, and give the ticket."""
        with self._lock:
            if len(self._stamps) > MAX_TAGS:
                self._stamps.clear()  # answers under way are not kept then
            ticket = {tag: self._stamps.setdefault(tag, os.urandom(STAMP_BYTES)) for tag in tags}
        return [None] * len(keys), ticket

    def store(self, items: Sequence[Item], ticket: Ticket) -> list[Found | None]:
        """Return *items* as they are to be kept in this process."""
        now = self._clock()
        kept: list[Found | None] = []
        stamper = Stamper(ticket)
        for item in items:
            stamped = stamper(item.tags)
            due_ms, dead_ms = item.lifetime.draw_ms(self._random)
            kept.append(
                None
                if stamped is None
                else Found(item.value, now + due_ms / 1000, now + dead_ms / 1000, stamped)
            )
        return kept

    def current(self, stamped: Stamped) -> bool:
        """Tell whether none of the tags was invalidated since."""
        return all(self._stamps.get(tag) == stamp for tag, stamp in stamped)

    def elect(self, keys: Sequence[bytes]) -> list[bool]:
        """Elect this caller: the local tier has seen to it that it is the only one."""
        return [True] * len(keys)

    def invalidate(self, tags: Sequence[bytes]) -> bool:
        """Forget the stamps, which voids what carries them."""
        with self._lock:
            for tag in tags:
                self._stamps.pop(tag, None)
        return True

    def discard(self, keys: Sequence[bytes]) -> None:
        """Do nothing: the local tier has them."""

    def close(self) -> None:
        """Do nothing."""
