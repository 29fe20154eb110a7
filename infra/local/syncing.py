"""Bring the server's append-only file to the disk once a second, from outside the server.

Left to itself with ``appendfsync everysec``, the server holds writes back while its own fsync runs, but
acknowledges them: killed in that moment, it loses what it has acknowledged (src/aof.c,
``flushAppendOnlyFile``).  Told not to sync at all, it hands every command to the kernel before it answers,
so that its death loses nothing; and a machine that loses its power loses a second, as before.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

PERIOD_S = 1.0


class Syncer:
    """Syncs the files below *directory* until it is closed; *tell* hears of the first failure in a row."""

    def __init__(self, directory: Path, tell: Callable[[str], None], period_s: float = PERIOD_S) -> None:
        self._directory, self._tell, self._period_s = directory, tell, period_s
        self._failing = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ion-syncer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Sync once more, and stop."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._period_s):
            self._sync()
        self._sync()

    def _sync(self) -> None:
        try:
            for file in self._directory.glob("*.aof"):
                sync(file)
        except FileNotFoundError:  # rewritten meanwhile; its successor is synced the next time
            return
        except OSError as error:
            if not self._failing:
                self._tell(f"the broker's file cannot be synced to disk: {error.strerror}")
            self._failing = True
        else:
            self._failing = False


def sync(file: Path) -> None:
    """Return when what was written to *file*, by whichever process, is on the disk."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
