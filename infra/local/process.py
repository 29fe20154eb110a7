"""One supervised process: what it is (ProcessSpec), and the child that currently plays it (Child)."""

import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from infra.local.guard import Guard
from infra.local.policy import RestartPolicy

TAIL_LINES = 20
DEFAULT_RESTART = RestartPolicy()
LONGEST_LINE = 16_384  # bytes; a longer line is cut into several
_CHUNK = 65_536
_LAST_CHUNKS = 64  # a process that left the group may hold the pipe and write for ever


def _nothing_to_prepare() -> None:
    pass


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process to keep running.

    ``ready`` is asked often while the process starts: it answers at once (within 1 s) and never raises.
    ``prepare`` runs before each start, to take away what an earlier run left.  What is not ``awaited`` may
    come up later, and is started again if it does not: nothing else needs it.
    """

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)  # added to what children inherit
    where: str = ""  # an address for people: a socket, a URL, queues
    prepare: Callable[[], None] = _nothing_to_prepare
    ready_timeout_s: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 8.0  # then SIGKILL
    restart: RestartPolicy = DEFAULT_RESTART
    awaited: bool = True


class State(Enum):
    """Where a child stands."""

    DOWN = "down"  # not started yet, stopped, or waiting for its next attempt
    STARTING = "starting"
    READY = "ready"


class Child:
    """The running side of a spec.  Owned by the supervisor's thread; others read ``pid`` and ``state``."""

    def __init__(self, spec: ProcessSpec, stage: int) -> None:
        self.spec, self.stage = spec, stage
        self.state = State.DOWN
        self.crashes = 0  # in a row
        self.starts = 0
        self.started_at = 0.0
        self.due_at = 0.0  # of the next attempt, while DOWN
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""

    @property
    def pid(self) -> int | None:
        """The process and group id, or None while there is no process."""
        process = self._process
        return None if process is None else process.pid

    @property
    def output(self) -> int | None:
        """The descriptor of the child's stdout and stderr, or None while there is no process."""
        pipe = None if self._process is None else self._process.stdout
        return None if pipe is None else pipe.fileno()

    def launch(self, guard: Guard, inherited: Mapping[str, str], now: float) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches the supervisor only."""
        self.spec.prepare()
        self._process = subprocess.Popen(
            guard.wrap(self.spec.argv, self.stage),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**inherited, **self.spec.env},
            pass_fds=(guard.pipe,),
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - PIPE was asked for
        os.set_blocking(self._process.stdout.fileno(), False)
        self.state, self.started_at, self.starts = State.STARTING, now, self.starts + 1

    def exit_code(self) -> int | None:
        """Return how the process ended, negative for a signal, or None while it runs."""
        return None if self._process is None else self._process.poll()

    def read_lines(self) -> tuple[list[str], bool]:
        """Return the lines the process has written since the last call, and whether more may come now.

        The last line may lack its end: it is kept for the next call unless nothing more comes.
        """
        chunk = b""
        if self.output is not None:
            with contextlib.suppress(BlockingIOError):
                chunk = os.read(self.output, _CHUNK)
        *lines, rest = (self._rest + chunk).split(b"\n")
        if rest and (not chunk or len(rest) > LONGEST_LINE):
            lines, rest = [*lines, rest], b""
        self._rest = rest
        texts = [line.decode(errors="replace").rstrip("\r") for line in lines]
        self.tail.extend(text for text in texts if text.strip())
        return texts, bool(chunk)

    def ask_to_stop(self) -> None:
        """Send the stop signal to the process, not its group: Celery tells its own children."""
        if self._process is not None:
            self._process.send_signal(self.spec.stop_signal)

    def kill_group(self) -> None:
        """Send SIGKILL to the process and everything it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def bury(self, guard: Guard) -> list[str]:
        """Clear away a process that has ended, with what is left of its group; return its last lines."""
        if self._process is None:
            return []
        self.kill_group()  # its number is free from now on, and not given out again this soon
        last: list[str] = []
        for _ in range(_LAST_CHUNKS):
            lines, more = self.read_lines()
            last.extend(lines)
            if not more:
                break
        guard.forget(self._process.pid)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process, self.state = None, State.DOWN
        return last
