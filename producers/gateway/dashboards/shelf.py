"""What was made lately, for all who ask for the same: however many look, each page is made once a second.

Units: seconds of a monotonic clock.
"""

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from producers.gateway.aside import Aside

T = TypeVar("T")

FRESH_S = 1.0
PATIENCE_S = 5.0
MOST = 64  # things at once; there are no more pages than that


class Shelf(Generic[T]):
    """Keeps what a call beside the event loop returned, or raised, for FRESH_S; *what* is what calls need."""

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._aside = clock, Aside(what, PATIENCE_S, most=2)
        self._made: dict[Hashable, tuple[float, asyncio.Task[T]]] = {}

    async def get(self, key: Hashable, make: "Callable[[], T]") -> T:
        """Return what *make* gave for *key*, just now or within FRESH_S; raise what it raised."""
        kept = self._made.get(key)
        if kept is None or (kept[1].done() and self._clock() >= kept[0]):
            if len(self._made) >= MOST:
                self._made.clear()
            making = asyncio.create_task(self._aside.run(make))
            making.add_done_callback(_seen)
            kept = self._made[key] = (self._clock() + FRESH_S, making)
        return await asyncio.shield(kept[1])


def _seen(made: "asyncio.Task[T]") -> None:
    """Take note of a failure that nobody waits for any more."""
    if not made.cancelled():
        made.exception()
