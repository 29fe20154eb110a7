"""A worker's way to the dead letters in the database: opened late, and never waited for too long.

A database driver waits for a server that takes connections and says nothing for as long as the network
lets it.  A worker has other work, so each call runs in a thread of its own, which is left behind if need be.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from workers.contract.dead_letters import DeadLetter
from workers.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from workers.store.dead_letters import DeadLetterStore
    from workers.store.engine import Store

T = TypeVar("T")

LONGEST_S = 8.0  # for one call; other work waits meanwhile
_LOCKED_S = 2.0  # patience with a locked database, likewise
_MOST_LEFT_BEHIND = 3  # threads; more would pile up for as long as the server is silent


class StoredLetters:
    """The dead letters in the database at *url*: opened when first used, also after a fork.

    Every method raises StoreError.  A call that was given up may take effect later: letters are kept once.
    """

    def __init__(self, url: str, longest_s: float = LONGEST_S) -> None:
        self._url, self._longest_s = url, longest_s
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._pid = 0
        self._left_behind: list[threading.Thread] = []

    def keep(self, letter: DeadLetter) -> bool:
        """Keep *letter*; say whether that was news."""
        return self._ask(lambda letters: letters.keep(letter))

    def tidy(self, before_ms: int, most: int) -> int:
        """Delete what has not changed since *before_ms*, and the oldest beyond *most*; return how many."""
        return self._ask(lambda letters: letters.tidy(before_ms, most))

    def close(self) -> None:
        """Close this process's connections; a parent's stay the parent's."""
        with self._lock:
            if self._store is not None and self._pid == os.getpid():
                self._store.close()
            self._store = None

    def _ask(self, call: "Callable[[DeadLetterStore], T]") -> T:
        from workers.store.dead_letters import DeadLetterStore  # noqa: PLC0415 - see _opened

        store, answer = self._opened(), Future[T]()

        def run() -> None:
            try:
                answer.set_result(call(DeadLetterStore(store)))
            except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits for it
                answer.set_exception(error)

        thread = threading.Thread(target=run, name="dead-letters", daemon=True)
        thread.start()
        try:
            return answer.result(self._longest_s)
        except TimeoutError:
            if answer.done():
                raise
            self._leave(thread, store, answer)
            raise _silent() from None

    def _leave(self, thread: threading.Thread, store: "Store", answer: "Future[T]") -> None:
        """Take another store for the next call: this one's connections may be cut off without knowing it."""
        with self._lock:
            self._left_behind.append(thread)
            if self._store is store:
                self._store = None
        answer.add_done_callback(lambda _: store.close())

    def _opened(self) -> "Store":
        # SQLAlchemy is 20 MB of a worker's memory, for those that come across a dead letter
        from workers.store.engine import open_store  # noqa: PLC0415

        with self._lock:
            if self._pid != os.getpid():
                self._store, self._pid, self._left_behind = None, os.getpid(), []
            self._left_behind = [thread for thread in self._left_behind if thread.is_alive()]
            if len(self._left_behind) >= _MOST_LEFT_BEHIND:
                raise _silent()
            if self._store is None:
                self._store = open_store(self._url, _LOCKED_S)
            return self._store


def _silent() -> StoreUnavailable:
    return StoreUnavailable("the database", "it did not answer in time", "see what holds it up")
