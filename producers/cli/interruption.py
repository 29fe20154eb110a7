"""Ctrl-C and SIGTERM as a request: at the first, a run awaits what is under way; at the second, it ends.

Neither breaks into the writing of a result, so a file never ends within a line.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """A request to stop.  *breakable* is set while the run only reads, and may be broken off."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.breakable = False
        self.urgent = False  # asked for twice
        self.signal_number: int | None = None

    @property
    def requested(self) -> bool:
        """Whether a stop was asked for."""
        return self._asked.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until a stop is asked for; say whether it is."""
        return self._asked.wait(seconds)

    def ask(self, number: int = signal.SIGINT) -> None:
        """Ask for a stop; raise KeyboardInterrupt if the run is reading, which may last for ever."""
        self.urgent = self.requested
        self.signal_number = number
        self._asked.set()
        if self.breakable:
            raise KeyboardInterrupt


@contextmanager
def on_signals(stop: Interruption) -> Iterator[None]:
    """Let SIGINT and SIGTERM ask *stop* as long as the block runs."""

    def handle(number: int, _frame: FrameType | None) -> None:
        stop.ask(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
