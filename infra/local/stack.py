"""The embedded stack: Valkey servers and workers in a state directory, as a context manager.

    with LocalStack(LocalSettings()) as stack:
        client = PersonaClient(stack.urls.broker_url)

Units:   seconds, bytes.
Errors:  AlreadyRunning, AddressTaken, StartFailed, StartCancelled, UnsafeDirectory; see errors.
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from infra.local import commands, flower, state, urls
from infra.local.directory import ensure_private, socket_path
from infra.local.gateway import check_address, gateway_beside, gateway_spec
from infra.local.process import ProcessSpec, State
from infra.local.settings import LocalSettings, child_environment
from infra.local.supervisor import ITSELF, Supervisor
from infra.local.syncing import Syncer

MARKER = "ION_STACK_DIR"  # in the environment of every process of a stack: its state directory
_LOCK_PATIENCE_S = 10.0  # more than a watchdog takes to end what a killed supervisor left


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One running process of the stack.  ``rss_bytes`` includes its children; None if it is down."""

    name: str
    pid: int | None
    rss_bytes: int | None
    state: State
    restarts: int
    where: str


def ignore_line(name: str, line: str) -> None:
    """Drop a log line; the last ones of each process are kept for StartFailed all the same."""


class LocalStack:
    """Runs the stack between ``start`` and ``stop``, in this process's care.

    *on_line* gets (process name, log line) and must neither block nor raise.  *worker_command* gives
    a worker's command line, for whoever wants another worker.
    """

    def __init__(
        self,
        settings: LocalSettings,
        on_line: Callable[[str, str], None] = ignore_line,
        worker_command: commands.WorkerCommand = commands.worker_command,
    ) -> None:
        self.settings, self._on_line, self._worker_command = settings, on_line, worker_command
        temp_dir = Path(tempfile.gettempdir()).resolve()
        self._socket = socket_path(settings.state_dir, temp_dir)
        self._cache_socket = socket_path(settings.state_dir, temp_dir, commands.CACHE_SOCKET)
        self.urls = urls.resolve(settings, self._socket, self._cache_socket)
        self.gateway = gateway_beside(settings) if settings.gateway else None
        self.flower = flower.flower_beside(self.gateway) if settings.flower else None
        self._lock: state.StackLock | None = None
        self._supervisor: Supervisor | None = None
        self._syncer: Syncer | None = None
        self._stop_requested = False

    @property
    def embedded(self) -> bool:
        """Whether the broker is the embedded server."""
        return self.settings.broker_url is None

    def start(self) -> None:
        """Return when every process is ready, but for Flower.  On any error nothing is left running."""
        directory = self.settings.state_dir
        sockets = (self._socket.parent, self._cache_socket.parent)
        for private in (directory, directory / "run", directory / "valkey", *sockets):
            ensure_private(private)
        (directory / ".gitignore").write_text("*\n", encoding="utf-8")  # like .venv, it ignores itself
        self._lock = state.StackLock.acquire(directory, _LOCK_PATIENCE_S)
        try:
            if self._lock.unclean and (left := state.sweep(MARKER, str(directory))):
                self._on_line(ITSELF, f"ended {left} processes that an earlier stack had left behind")
            if self.gateway is not None:
                check_address(self.gateway)
            if self.flower is not None:
                flower.check_address(self.flower)
            self._supervisor = Supervisor(
                self._stages(), self._on_line, inherited=child_environment(), keep_fds=(self._lock.fd,)
            )
            if self._stop_requested:
                self._supervisor.request_stop()
            if self.embedded:
                self._syncer = Syncer(commands.append_only_dir(directory), self._tell)
            self._supervisor.start()
            state.announce(self._note())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything, the servers last; return when nothing is left.  A second call does nothing."""
        if self._lock is None:
            return
        state.withdraw(self.settings.state_dir)
        try:
            if self._supervisor is not None:
                self._supervisor.stop()
        finally:
            if self._syncer is not None:
                self._syncer.close()
                self._syncer = None
            self._lock.release()
            self._lock = None

    def request_stop(self) -> None:
        """Ask for a stop, from a signal handler or another thread; ``wait`` then returns."""
        self._stop_requested = True
        if self._supervisor is not None:
            self._supervisor.request_stop()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the processes have been stopped; say whether they have."""
        return self._supervisor is None or self._supervisor.wait(timeout_s)

    def processes(self) -> tuple[ProcessInfo, ...]:
        """Return every process of the stack, in the order of their start."""
        rows = () if self._supervisor is None else self._supervisor.status()
        return tuple(
            ProcessInfo(row.name, row.pid, _rss_bytes(row.pid), row.state, row.restarts, row.where)
            for row in rows
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _tell(self, line: str) -> None:
        self._on_line(ITSELF, line)

    def _note(self) -> state.RunningStack:
        return state.RunningStack(
            pid=os.getpid(),
            state_dir=self.settings.state_dir,
            started_at_s=time.time(),
            socket=self._socket if self.embedded else None,
            cache_url=self.urls.cache_url if self.settings.embeds_cache else None,
            database_url=self.urls.database_url if self.settings.embeds_database else None,
        )

    def _stages(self) -> list[list[ProcessSpec]]:
        """Return the servers, then what needs them, then who lets people in, then who looks on."""
        directory = self.settings.state_dir
        mark = {MARKER: str(directory)}
        env = {**mark, **self.urls.environment(), "ION_STATE_DIR": str(directory)}
        if self.settings.log_format == "auto":
            env["ION_LOG_FORMAT"] = "human"  # the lines of all end up on one terminal
        servers = [commands.valkey_spec(self.settings, self._socket, mark)] if self.embedded else []
        if self.settings.embeds_cache:
            servers.append(commands.cache_spec(self.settings, self._cache_socket, mark))
        clients = [
            commands.worker_spec(self.settings, index, env, self._worker_command)
            for index in range(1, self.settings.workers + 1)
        ]
        if self.settings.beat:
            clients.append(commands.beat_spec(self.settings, env))
        doors = [] if self.gateway is None else [gateway_spec(self.gateway, self.settings, env)]
        lookouts = [] if self.flower is None else [flower.flower_spec(self.flower, self.settings, env)]
        return [servers, clients, *filter(None, (doors, lookouts))]


def _rss_bytes(pid: int | None) -> int | None:
    """Return the resident memory of *pid* and its descendants, or None if it is gone."""
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(int(member.memory_info().rss) for member in family)
    except psutil.Error:
        return None
