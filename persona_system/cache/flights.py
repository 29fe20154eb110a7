"""One computation at a time for one key in this process, among its threads and among an event loop's tasks.

Whoever comes first does the work; the others get what it gave: the value, or the error.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_WAITS = 32  # threads that wait for other processes, so that as many keys are waited for at once


class Flights:
    """What is under way here.  Threads and tasks do not join each other's work, nor do two event loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: dict[bytes, Future[bytes]] = {}
        self._tasks: dict[tuple[asyncio.AbstractEventLoop, str, bytes], _Shared] = {}
        self._waits: ThreadPoolExecutor | None = None

    def join(self, key: bytes, work: Callable[[], bytes]) -> bytes:
        """Return what *work* gives, here or in the thread that is already at it; raise what it raises.

        An interrupted thread (KeyboardInterrupt and the like) takes nobody with it: another one starts anew.
        """
        while True:
            with self._lock:
                flight = self._threads.get(key)
                if flight is None:
                    mine = self._threads[key] = Future()
                    break
            try:
                return flight.result()
            except _Interrupted:
                continue
        return self._fly(key, mine, work)

    def _fly(self, key: bytes, mine: Future[bytes], work: Callable[[], bytes]) -> bytes:
        try:
            value = work()
        except BaseException as error:
            self._land(key)
            mine.set_exception(error if isinstance(error, Exception) else _Interrupted())
            raise
        self._land(key)
        mine.set_result(value)
        return value

    def _land(self, key: bytes) -> None:
        with self._lock:
            del self._threads[key]

    async def join_task(self, what: str, key: bytes, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return what *work* gives, and whether this caller was the one who started it.

        The work goes on while anybody waits for it; when the last one is cancelled, so is the work.
        """
        name = (asyncio.get_running_loop(), what, key)
        shared = self._tasks.get(name)
        led = shared is None
        if shared is None:
            shared = self._tasks[name] = _Shared(asyncio.ensure_future(work()))
        shared.waiting += 1
        try:
            await asyncio.wait([shared.task])
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                if self._tasks.get(name) is shared:
                    del self._tasks[name]  # whoever comes now starts anew
                shared.end()
        result: T = shared.task.result()
        return result, led

    def waits(self) -> ThreadPoolExecutor:
        """Return the threads in which tasks wait for other processes.

        They are apart from those that store answers: processes that wait for each other must not run out
        of threads to finish with.
        """
        with self._lock:
            if self._waits is None:
                self._waits = ThreadPoolExecutor(_WAITS, thread_name_prefix="ion-cache-wait")
            return self._waits


class _Shared:
    """A task and how many wait for it."""

    def __init__(self, task: "asyncio.Future[Any]") -> None:
        self.task = task
        self.waiting = 0

    def end(self) -> None:
        """Let nobody wait for it any more."""
        if not self.task.done():
            self.task.cancel()
            self.task.add_done_callback(_look_at)


def _look_at(task: "asyncio.Future[Any]") -> None:
    """Take notice of the error of a task that nobody waits for, or asyncio complains."""
    if not task.cancelled():
        task.exception()


class _Interrupted(Exception):
    """The thread that did the work was interrupted."""
