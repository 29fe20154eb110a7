"""Do work aside: in a thread of its own for each kind of work, one of a kind at a time.

Whoever asks is not kept waiting.  What is asked for while the same kind is under way is dropped: it is asked
for again soon.  So a server that is silent holds one thread a kind, for as long as its client lets it; and
work that fails each time is reported once.
"""

import threading
import time
from collections.abc import Callable

from workers.observability.bugs import ReportBug


class Aside:
    """Starts work; belongs to one process."""

    def __init__(self, report_bug: ReportBug) -> None:
        self._report_bug = report_bug
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._failing: set[str] = set()
        self._closed = False

    def start(self, kind: str, work: Callable[[], None]) -> None:
        """Begin *work*, unless some of this *kind* is under way."""

        def run() -> None:
            try:
                work()
                self._failing.discard(kind)
            except Exception as error:  # noqa: BLE001 - there is nobody to raise it to
                if kind not in self._failing:
                    self._failing.add(kind)
                    self._report_bug(kind, error)

        with self._lock:
            before = self._threads.get(kind)
            if self._closed or (before is not None and before.is_alive()):
                return
            self._threads[kind] = threading.Thread(target=run, name=f"ion-{kind}", daemon=True)
            self._threads[kind].start()

    def close(self, patience_s: float) -> bool:
        """Begin nothing more; wait for what is under way, and say whether that has come to its end."""
        with self._lock:
            self._closed = True
        deadline = time.monotonic() + patience_s
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads.values())
