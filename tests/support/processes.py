"""Which processes of a stack are running."""

import os
from pathlib import Path

import psutil

from infra.local.stack import MARKER


def left_of(state_dir: Path) -> list[str]:
    """Return the processes that carry the mark of *state_dir*'s stack, or watch over it."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == str(state_dir) or _holds_lock(process, state_dir):
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except (psutil.Error, OSError):
            continue  # it ended while we looked
    return found


def _holds_lock(process: psutil.Process, state_dir: Path) -> bool:
    files = Path(f"/proc/{process.pid}/fd")
    return process.pid != os.getpid() and any(
        str(file.readlink()) == str(state_dir / "lock") for file in files.iterdir()
    )
