"""What a job of the fault suite does: its id says it, ``n-1f`` works 1 ms, ``exit-3`` ends its process.

The same function runs in our workers (as their text analyser) and in bare Celery's task.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable

from tests.support.oracle import Witness

WORK_S = 0.001


def do(job_id: str, witness: Witness) -> None:
    """Tell the witness that the job begins, and do as its id says."""
    witness.begins(job_id)
    DEEDS[job_id.partition("-")[0]]()


def _nap(seconds: float) -> Callable[[], None]:
    return lambda: time.sleep(seconds)


def _die() -> None:
    os._exit(3)


def _segfault() -> None:
    ctypes.string_at(1)


def _out_of_memory() -> None:
    raise MemoryError


def _hang() -> None:
    while True:
        time.sleep(1)


def _spin() -> None:
    """Hang in C with Python's lock held, as a bad regular expression does: no other thread runs."""
    ctypes.PyDLL(None).sleep(600)


def _kill_main() -> None:
    """Kill the worker's main process, which in a pool of processes is the parent."""
    os.kill(int(os.environ.get("CHAOS_MAIN_PID") or os.getpid()), signal.SIGKILL)


DEEDS: dict[str, Callable[[], None]] = {
    "n": _nap(WORK_S),
    "slow": _nap(0.05),
    "long": _nap(3.0),
    "quick": lambda: None,
    "exit": _die,
    "segv": _segfault,
    "memory": _out_of_memory,
    "hang": _hang,
    "spin": _spin,
    "main": _kill_main,
}
