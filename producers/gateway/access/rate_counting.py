"""Count together what comes together, in the shared store, or in this process while that is away.

While more than half of a limit is left, a process lets in on *credit* what is little beside that, and counts
it a few milliseconds later with one question: nobody waits, and a question serves more requests.

Units: seconds.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from limits import RateLimitItemPerSecond

from producers.errors import ProducerError
from producers.faults import fault_of
from producers.gateway.access.patience import patience
from producers.gateway.access.rate_counts import Counts, Hit, OwnCounts
from producers.gateway.access.rate_window import Window, shares

PATIENCE_S = 0.1  # with the store, before this process counts by itself
RETRY_S = 1.0  # how often the store is tried while it is away
LINGER_S = 0.005  # how long what was let in on credit may stay uncounted
_GOOD_S = 0.05  # how long a credit may be used
_SHARE = 16  # of what is left, one part may be let in on credit
_LEAST = 8  # jobs; a smaller credit is none, so small limits are counted exactly
_CREDITS = 10_000  # keys that have one
_CONNECT_S = 2.0  # for the first question of a try, which may have to open a connection

_PROBE = Hit(RateLimitItemPerSecond(1), "probe", 0)  # costs nobody anything, and writes as every hit does

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Waiter:
    """A hit, and what wakes with how long its caller has to wait; 0: it is let in."""

    hit: Hit
    answer: "asyncio.Future[float]"

    def tell(self, wait_s: float) -> None:
        """Wake the caller, unless it has gone."""
        if not self.answer.done():
            self.answer.set_result(wait_s)


@dataclass(slots=True)
class Credit:
    """How many more jobs may be let in before they are counted, and until when on the loop's clock."""

    left: int
    until: float


class Counting:
    """Asks one question at a time about all hits that have come since the last, in one event loop.

    *open_shared* returns the store's counts, or raises a ProducerError.
    """

    def __init__(
        self,
        open_shared: Callable[[], Counts],
        patience_s: float = PATIENCE_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._open_shared, self._patience_s, self._retry_s = open_shared, patience_s, retry_s
        self._shared: Counts | None = None
        self._own: Counts | None = None  # while the store is away
        self._gathered: list[Waiter] = []
        self._credits: dict[str, Credit] = {}
        self._owed: dict[str, Hit] = {}  # what was let in on credit since the last question
        self._lingering: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None
        self._trying: asyncio.Task[None] | None = None

    async def count(self, hit: Hit) -> float:
        """Count *hit* if its rate lets it through and return 0, else return how long to wait."""
        loop = asyncio.get_running_loop()
        if self._on_credit(hit, loop):
            return 0.0
        answer: asyncio.Future[float] = loop.create_future()
        self._gathered.append(Waiter(hit, answer))
        self._begin()
        return await answer

    async def close(self) -> None:
        """Stop asking, and give connections back."""
        if self._lingering is not None:
            self._lingering.cancel()
        tasks = [task for task in (self._asking, self._trying) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for waiter in self._gathered:
            waiter.answer.cancel()
        if self._shared is not None:
            await self._shared.close()

    def _on_credit(self, hit: Hit, loop: asyncio.AbstractEventLoop) -> bool:
        """Let *hit* in on credit, if there is any."""
        credit = self._credits.get(hit.key)
        if credit is None or credit.left < hit.cost or credit.until < loop.time():
            return False
        credit.left -= hit.cost
        owed = self._owed.get(hit.key)
        self._owed[hit.key] = hit if owed is None else replace(owed, cost=owed.cost + hit.cost)
        self._linger(loop)
        return True

    def _learn(self, hit: Hit, window: Window) -> None:
        """Give credit under the key of *hit*, or take it away."""
        room = window.room(hit.rate)
        owed = self._owed.get(hit.key)
        left = room // _SHARE - (0 if owed is None else owed.cost)
        if left < _LEAST or room * 2 < hit.rate.amount:
            self._credits.pop(hit.key, None)
            return
        if len(self._credits) >= _CREDITS:
            self._credits.clear()  # the next question about each brings its credit back
        self._credits[hit.key] = Credit(left, asyncio.get_running_loop().time() + _GOOD_S)

    def _linger(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._asking is None and self._lingering is None:
            self._lingering = loop.call_later(LINGER_S, self._begin)

    def _begin(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())  # it begins when this turn of the loop is over

    async def _ask(self) -> None:
        try:
            await self._settle(self._taken())
            while self._gathered:
                await self._settle(self._taken())
        finally:
            self._asking = None
            if self._owed:
                self._linger(asyncio.get_running_loop())

    def _taken(self) -> list[Waiter]:
        """Take what is owed, which nobody waits for, and then who waits."""
        loop = asyncio.get_running_loop()
        debts = [Waiter(hit, loop.create_future()) for hit in self._owed.values()]
        for debt in debts:
            debt.answer.add_done_callback(_ignore)
        waiters, self._gathered, self._owed = [*debts, *self._gathered], [], {}
        return waiters

    async def _settle(self, waiters: list[Waiter]) -> None:
        """Answer *waiters*, whatever becomes of the store."""
        try:
            if self._own is None:
                try:
                    async with patience(self._patience_s):
                        await settle(self._store(), waiters, self._learn)
                except Exception as error:  # noqa: BLE001 - whatever its client raises, callers go on
                    self._own = self._leave(error)
            if self._own is not None:
                await settle(
                    self._own, waiters, self._learn
                )  # who has an answer already is not counted again
        except Exception as error:  # noqa: BLE001 - a fault of ours goes to whoever waits
            for waiter in waiters:
                if not waiter.answer.done():
                    waiter.answer.set_exception(error)
        finally:
            for waiter in waiters:
                waiter.answer.cancel()  # nothing, unless this task was cancelled

    def _store(self) -> Counts:
        if self._shared is None:
            self._shared = self._open_shared()
        return self._shared

    def _leave(self, error: Exception) -> Counts:
        fault = error if isinstance(error, ProducerError) else fault_of(error, "the reply store")
        logger.warning("rate limits are counted by each process for itself: %s", fault)
        self._trying = asyncio.create_task(self._come_back())
        return OwnCounts()

    async def _come_back(self) -> None:
        """Try the store until it answers as quickly as it has to."""
        while self._own is not None:
            await asyncio.sleep(self._retry_s)
            with contextlib.suppress(Exception):  # that it is away, and why, has been said
                async with patience(_CONNECT_S):
                    await self._store().count([_PROBE])
                async with patience(self._patience_s):
                    await self._store().count([_PROBE])
                self._own = None
        logger.warning("rate limits are shared again: the reply store is back")


async def settle(counts: Counts, waiters: list[Waiter], learn: Callable[[Hit, Window], None]) -> None:
    """Let in who fits, in the order they came, and tell the others how long to wait.

    Those under one key are counted together, by their sum; if that is too much, those who fit into what is
    left are.  Meanwhile other processes may have taken it; then it is looked at again.  *learn* is told what
    is counted under each key.
    """
    while groups := _unanswered(waiters):
        hits = [
            Hit(group[0].hit.rate, key, sum(waiter.hit.cost for waiter in group))
            for key, group in groups.items()
        ]
        for hit, (through, window) in zip(hits, await counts.count(hits), strict=True):
            learn(hit, window)
            group = groups[hit.key]
            if through:
                for waiter in group:
                    waiter.tell(0.0)
                continue
            for waiter, wait_s in zip(
                group, shares(window, hit.rate, [waiter.hit.cost for waiter in group]), strict=True
            ):
                if wait_s:
                    waiter.tell(wait_s)


def _ignore(answer: "asyncio.Future[float]") -> None:
    """Take what nobody waits for: a debt that did not fit any more, or a fault that others are told of."""
    if not answer.cancelled():
        answer.exception()


def _unanswered(waiters: list[Waiter]) -> dict[str, list[Waiter]]:
    """Return who waits still, by key; those who were cancelled do not."""
    groups: dict[str, list[Waiter]] = {}
    for waiter in waiters:
        if not waiter.answer.done():
            groups.setdefault(waiter.hit.key, []).append(waiter)
    return groups
