"""What belongs to one process, and is made in it.

A prefork child inherits its parent's memory but must not share its connections and threads, so a slot builds
per process id; threads of one process share what it holds.
"""

import os
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """What belongs to one process, and is closed in it."""

    def close(self) -> None:
        """Close what holds connections."""


T = TypeVar("T", bound=Closable)


class ProcessSlot(Generic[T]):
    """Holds the one thing of its kind of this process; builds it on first use, also after a fork."""

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._held: T | None = None
        self._pid = 0

    def get(self) -> T:
        """Return this process's own."""
        if self._held is not None and self._pid == os.getpid():
            return self._held
        with self._lock:
            if self._held is None or self._pid != os.getpid():
                self._held, self._pid = self._build(), os.getpid()
            return self._held

    def held(self) -> T | None:
        """Return this process's own, if it was built."""
        return self._held if self._pid == os.getpid() else None

    def close(self) -> None:
        """Close this process's own, if it has one; a parent's stays the parent's."""
        with self._lock:
            if self._held is not None and self._pid == os.getpid():
                self._held.close()
            self._held = None
