"""Count together what comes together, in the shared store, or in this process while that is away.

Units: seconds.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from limits import RateLimitItemPerSecond

from producers.errors import ProducerError
from producers.faults import fault_of
from producers.gateway.access.patience import patience
from producers.gateway.access.rate_counts import Counts, Hit, OwnCounts
from producers.gateway.access.rate_window import shares

PATIENCE_S = 0.1  # with the store, before this process counts by itself
RETRY_S = 1.0  # how often the store is tried while it is away
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
        self._asking: asyncio.Task[None] | None = None
        self._trying: asyncio.Task[None] | None = None

    async def count(self, hit: Hit) -> float:
        """Count *hit* if its rate lets it through and return 0, else return how long to wait."""
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._gathered.append(Waiter(hit, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())  # it begins when this turn of the loop is over
        return await answer

    async def close(self) -> None:
        """Stop asking, and give connections back."""
        tasks = [task for task in (self._asking, self._trying) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for waiter in self._gathered:
            waiter.answer.cancel()
        if self._shared is not None:
            await self._shared.close()

    async def _ask(self) -> None:
        try:
            while self._gathered:
                waiters, self._gathered = self._gathered, []
                await self._settle(waiters)
        finally:
            self._asking = None

    async def _settle(self, waiters: list[Waiter]) -> None:
        """Answer *waiters*, whatever becomes of the store."""
        try:
            if self._own is None:
                try:
                    async with patience(self._patience_s):
                        await settle(self._store(), waiters)
                except Exception as error:  # noqa: BLE001 - whatever its client raises, callers go on
                    self._own = self._leave(error)
            if self._own is not None:
                await settle(self._own, waiters)  # who has an answer already is not counted again
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


async def settle(counts: Counts, waiters: list[Waiter]) -> None:
    """Let in who fits, in the order they came, and tell the others how long to wait.

    Those under one key are counted together, by their sum; if that is too much, those who fit into what is
    left are.  Meanwhile other processes may have taken it; then it is looked at again.
    """
    while groups := _unanswered(waiters):
        hits = [
            Hit(group[0].hit.rate, key, sum(waiter.hit.cost for waiter in group))
            for key, group in groups.items()
        ]
        refused = []
        for hit, counted in zip(hits, await counts.count(hits), strict=True):
            if counted:
                for waiter in groups[hit.key]:
                    waiter.tell(0.0)
            else:
                refused.append(hit)
        if refused:
            for hit, window in zip(refused, await counts.windows(refused), strict=True):
                group = groups[hit.key]
                waits = shares(window, hit.rate, [waiter.hit.cost for waiter in group])
                for waiter, wait_s in zip(group, waits, strict=True):
                    if wait_s:
                        waiter.tell(wait_s)


def _unanswered(waiters: list[Waiter]) -> dict[str, list[Waiter]]:
    """Return who waits still, by key; those who were cancelled do not."""
    groups: dict[str, list[Waiter]] = {}
    for waiter in waiters:
        if not waiter.answer.done():
            groups.setdefault(waiter.hit.key, []).append(waiter)
    return groups
