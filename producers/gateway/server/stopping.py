"""How a process of the gateway stops: in steps, so that nobody's request is cut off.

Units: seconds.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from types import FrameType

from producers.gateway.settings import GatewaySettings

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PARENT_CHECK_S = 1.0

logger = logging.getLogger(__name__)


class _Stop:
    """The steps of a stop; see stopping_well.  Made in the main thread, after the server set its handlers."""

    def __init__(
        self, drain: Callable[[], None], give_up: Callable[[], Awaitable[None]], settings: GatewaySettings
    ) -> None:
        self._drain, self._give_up = drain, give_up
        self._drain_s, self._grace_s = settings.drain_s, settings.stop_grace_s
        self._loop = asyncio.get_running_loop()
        self._servers_own = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        self._asked = False
        self._giving_up: asyncio.Future[None] | None = None
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_signal)

    def ask(self) -> None:
        """Begin to stop, unless it has begun."""
        if not self._asked:
            self._asked = True
            self._drain()
            self._loop.call_later(self._drain_s, self._finish)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        for number, handler in self._servers_own.items():  # another signal is for the server, at once
            signal.signal(number, handler)
        self._loop.call_soon_threadsafe(self.ask)

    def _finish(self) -> None:
        handler = self._servers_own[signal.SIGTERM]
        if callable(handler):
            handler(signal.SIGTERM, None)
        self._loop.call_later(self._grace_s, self._end_the_rest)

    def _end_the_rest(self) -> None:
        self._giving_up = asyncio.ensure_future(self._give_up())


@contextlib.asynccontextmanager
async def stopping_well(
    drain: Callable[[], None], give_up: Callable[[], Awaitable[None]], settings: GatewaySettings
) -> AsyncIterator[None]:
    """Within the block, SIGTERM and Ctrl-C first call *drain*, and reach the server after ``drain_s``.

    It then takes no more connections and finishes what is open; *give_up* is called to end what still is
    ``stop_grace_s`` later.  A second signal reaches the server at once.  One of several processes whose
    parent is gone stops as well, since it would hold the port.
    """
    if threading.current_thread() is not threading.main_thread():  # a test's server: nobody signals it
        yield
        return
    stop = _Stop(drain, give_up, settings)
    watching = asyncio.create_task(_with_parent(stop))
    try:
        yield
    finally:
        watching.cancel()


async def _with_parent(stop: _Stop) -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    while os.getppid() == parent.pid:  # noqa: ASYNC110 - no event of asyncio's tells of it
        await asyncio.sleep(_PARENT_CHECK_S)
    logger.warning("the parent process is gone; stopping")
    stop.ask()
