"""Worker processes that a test kills, freezes and starts again, each in a process group of its own."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from infra.local.settings import child_environment
from tests.support.wait import wait_until

_START_S = 90.0  # on a machine that does other things, too


class Fleet:
    """Workers by name.  *command* and *env* make one; it touches ``ION_READY_FILE`` when it serves."""

    def __init__(
        self,
        directory: Path,
        workers: Sequence[str],
        command: Callable[[str], Sequence[str]],
        env: Callable[[str], Mapping[str, str]],
    ) -> None:
        self.workers = tuple(workers)
        self._directory, self._command, self._env = directory, command, env
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        """Start these workers, or all; ``wait_ready`` waits for them."""
        for name in names or self.workers:
            ready_file = self._ready_file(name)
            ready_file.unlink(missing_ok=True)
            ours = {"ION_READY_FILE": str(ready_file)}
            with (self._directory / f"{name}.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    self._command(name),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**child_environment(), **self._env(name), **ours},
                    start_new_session=True,
                )

    def wait_ready(self, *names: str) -> None:
        """Return when these workers, or all, serve."""
        for name in names or self.workers:
            wait_until(partial(self.ready, name), _START_S, f"{name} is ready")

    def ready(self, name: str) -> bool:
        """Say whether the worker serves."""
        return self._ready_file(name).exists() and self.alive(name)

    def alive(self, name: str) -> bool:
        """Say whether its process runs."""
        process = self._processes.get(name)
        return process is not None and process.poll() is None

    def pid(self, name: str) -> int:
        """Return its process's id, which is its group's as well."""
        return self._processes[name].pid

    def kill(self, name: str) -> None:
        """End the worker and all that it started, at once, as the kernel does when memory is short."""
        self.send(name, signal.SIGKILL, group=True)
        self._processes[name].wait(30)

    def send(self, name: str, what: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the worker's process, or to its whole group."""
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            (os.killpg if group else os.kill)(self.pid(name), what)

    def wait(self, name: str, patience_s: float) -> int | None:
        """Return the worker's exit code, or None if it has not ended in time."""
        try:
            return self._processes[name].wait(patience_s)
        except subprocess.TimeoutExpired:
            return None

    def log(self, name: str) -> str:
        """Return what the worker has said so far."""
        return (self._directory / f"{name}.log").read_text(errors="replace")

    def revive(self) -> list[str]:
        """Start again, as a supervisor does, whoever has ended; return their names."""
        ended = [name for name in self.workers if name in self._processes and not self.alive(name)]
        for name in ended:
            self.send(name, signal.SIGKILL, group=True)  # what it may have left behind
        if ended:
            self.start(*ended)
        return ended

    def stop(self) -> None:
        """End everything."""
        for name in self._processes:
            self.send(name, signal.SIGKILL, group=True)
        for process in self._processes.values():
            process.wait(30)

    def _ready_file(self, name: str) -> Path:
        return self._directory / f"{name}.ready"
