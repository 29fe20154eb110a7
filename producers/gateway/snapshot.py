"""A process's copy of something small that is kept elsewhere, read again and again.

Units: seconds.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from producers.errors import ProducerError, Unavailable
from producers.gateway.aside import Aside
from workers.store.errors import StoreError

T = TypeVar("T")
Clock = Callable[[], float]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a copy is read: every *every_s*; besides, when somebody asks, but *asked_s* apart at least.

    While its source is away, the last copy counts for *good_s*.
    """

    every_s: float
    asked_s: float
    good_s: float
    patience_s: float = 5.0  # with one reading


class Snapshot(Generic[T]):
    """The value that *read*, which may block, gave last; *what* names it to people.

    A value that is equal to the one before does not replace it, so ``is`` tells whether anything changed.
    """

    def __init__(
        self, what: str, read: "Callable[[], T]", rhythm: Rhythm, clock: Clock = time.monotonic
    ) -> None:
        self._what, self._read, self._rhythm, self._clock = what, read, rhythm, clock
        self._value: T | None = None
        self._good_until = self._ask_again = float("-inf")
        self._failing = False
        self._aside = Aside(what, rhythm.patience_s)
        self._one_at_a_time = asyncio.Lock()  # or an older reading could replace a newer one
        self._asked: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def value(self) -> T:
        """The copy; raises Unavailable if there is none that still counts."""
        if self._value is None or self._clock() > self._good_until:
            raise Unavailable(self._what, "its source does not answer")
        return self._value

    async def ask(self) -> None:
        """Read again, unless somebody has asked for it just now; whoever asks meanwhile waits, too."""
        if self._asked is None or self._asked.done():
            if self._clock() < self._ask_again:
                return
            self._asked = asyncio.create_task(self._read_for_many())
        await asyncio.shield(self._asked)

    async def next(self) -> None:
        """Wait for a reading that begins after this call, for its turn if need be; it is for all who wait."""
        if self._next is None:
            self._next = asyncio.create_task(self._in_turn())
        await asyncio.shield(self._next)

    async def __aenter__(self) -> Self:
        await self._renew()
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._keeping, self._asked, self._next):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _in_turn(self) -> None:
        await asyncio.sleep(max(0.0, self._ask_again - self._clock()))
        self._next = None  # whoever comes from now on is too late for this reading
        await self._read_for_many()

    async def _read_for_many(self) -> None:
        self._ask_again = self._clock() + self._rhythm.asked_s
        await self._renew()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._rhythm.every_s)
            await self._renew()

    async def _renew(self) -> None:
        async with self._one_at_a_time:
            began = self._clock()
            try:
                value = await self._aside.run(self._read)
            except Exception as error:  # noqa: BLE001 - whatever it is, the last copy counts and the next try comes
                self._note(error)
                return
            if self._failing:
                self._failing = False
                logger.info("%s: read again", self._what)
            self._good_until = began + self._rhythm.good_s
            if value != self._value:
                self._value = value

    def _note(self, error: Exception) -> None:
        """Log the first of several failures; an error that is not ours may hold anything."""
        if not self._failing:
            told = isinstance(error, ProducerError | StoreError)
            logger.warning(
                "%s: not read, and tried again: %s", self._what, error if told else type(error).__name__
            )
        self._failing = True
