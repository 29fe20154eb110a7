"""Runs what may block, such as a database or a remote server, beside the event loop and never for too long.

Units: seconds.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from producers.errors import Unavailable

T = TypeVar("T")


class Aside:
    """Calls functions that need *what*, in threads: at most *most* at once, each for *patience_s*.

    One that takes longer is left behind, since nothing can end it; it does not hold the process up.
    """

    def __init__(self, what: str, patience_s: float, most: int = 4) -> None:
        self._what, self._patience_s = what, patience_s
        self._free = asyncio.Semaphore(most)

    async def run(self, call: "Callable[[], T]") -> T:
        """Return what *call* returns and raise what it raises; Unavailable when its time is up.

        A call that was given up may take effect later.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                await self._free.acquire()
                return await asyncio.shield(self._begun(call))
        except TimeoutError:
            raise Unavailable(self._what, "it did not answer in time") from None

    def _begun(self, call: "Callable[[], T]") -> "asyncio.Future[T]":
        answer: Future[T] = Future()
        answer.set_running_or_notify_cancel()

        def work() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits for it
                answer.set_exception(error)

        threading.Thread(target=work, name=self._what, daemon=True).start()
        waited_for = asyncio.wrap_future(answer)
        waited_for.add_done_callback(self._ended)
        return waited_for

    def _ended(self, answer: "asyncio.Future[T]") -> None:
        self._free.release()
        if not answer.cancelled():
            answer.exception()  # of a call that was left behind nobody else asks
