"""A real worker whose analyser does what the text says, to the worker: what ``celery -A`` loads in tests.

A text ``poison exit`` ends the process; the other ways are in ``WAYS``.  Each run of a poisonous text is
noted in the file that ION_TEST_RUNS names, one line with the whole text.  With ION_TEST_DIES_ONCE, the
first worker to answer a batch is killed before it acknowledges it, which the file of that name tells.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import signals

from persona_system.analysis import load_analyser
from persona_system.errors import Unavailable
from persona_system.models import Analysis
from workers.app import create_app
from workers.settings import WorkerSettings

RUNS, DIES_ONCE = "ION_TEST_RUNS", "ION_TEST_DIES_ONCE"


def hang() -> None:
    """Take for ever, and let others run."""
    time.sleep(3600)


def hang_with_the_lock() -> None:
    """Take for ever, and let no other Python code run: as a slow regular expression, or C that is stuck."""
    ctypes.PyDLL(None).sleep(3600)


def segfault() -> None:
    """Read what is not there."""
    ctypes.string_at(0)


def no_memory() -> None:
    """Ask for more memory than there is."""
    raise MemoryError


def be_away() -> None:
    """Need a server that does not answer."""
    raise Unavailable("the model", "told to be away")


WAYS: dict[str, Callable[[], object]] = {
    "exit": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": segfault,
    "hang": hang,
    "stuck": hang_with_the_lock,
    "memory": no_memory,
    "quit": lambda: sys.exit(4),
    "away": be_away,
}


class PoisonousAnalyser:
    """The package's analyser, with side effects."""

    def __init__(self, runs: Path) -> None:
        self._analyser = load_analyser()
        self._runs = runs
        self.version = f"poisonous-{self._analyser.version}"

    def analyse(self, text: str) -> Analysis:
        """Analyse *text*, or suffer from it."""
        if text.startswith("poison "):
            with self._runs.open("a") as file:
                file.write(f"{text}\n")
            WAYS[text.split()[1]]()
        return self._analyser.analyse(text)


def die_before_acknowledging(**_: Any) -> None:
    """End the process when the reply is out and its message not yet acknowledged; once in a fleet."""
    marker = os.environ.get(DIES_ONCE)
    if marker is not None:
        with contextlib.suppress(FileExistsError):
            Path(marker).touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)


app = create_app(WorkerSettings(), PoisonousAnalyser(Path(os.environ[RUNS])))
signals.task_postrun.connect(die_before_acknowledging, weak=False)
