"""Who runs the stack of a state directory: the lock that says so, and the note that says where.

``lock``        held (flock) by the supervisor and its watchdog, so it frees itself when both are gone;
                holds the supervisor's pid while it runs and nothing after an orderly stop
``stack.json``  what other commands need to find the running stack; external servers' URLs may hold
                passwords and are left out
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from infra.local.errors import AlreadyRunning
from infra.local.urls import StackUrls, socket_urls

_PEEK_S = 0.05
_SWEEP_S = 3.0


class StackLock:
    """The lock of one state directory; ``unclean`` says that its last holder did not release it."""

    def __init__(self, fd: int, *, unclean: bool) -> None:
        self.fd, self.unclean = fd, unclean

    @classmethod
    def acquire(
        cls,
        state_dir: Path,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> Self:
        """Return the lock, or raise AlreadyRunning.

        A holder that is alive is final.  A dead one means that its watchdog still ends the children:
        starting beside them would run two servers on one data directory, so we wait *patience_s*.
        """
        fd = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = clock() + patience_s
        while not _try_lock(fd, fcntl.LOCK_EX):
            pid = _holder(fd)
            if (pid is not None and _alive(pid)) or clock() >= deadline:
                os.close(fd)
                raise AlreadyRunning(pid, state_dir)
            pause(_PEEK_S)
        unclean = _holder(fd) is not None
        _write(fd, str(os.getpid()))
        return cls(fd, unclean=unclean)

    def release(self) -> None:
        """Leave a clean record and free the lock."""
        _write(self.fd, "")
        fcntl.flock(self.fd, fcntl.LOCK_UN)  # closing is not enough if a forked copy of us lives
        os.close(self.fd)


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack that another process runs.  ``urls`` is None where its broker is external."""

    pid: int
    state_dir: Path
    started_at_s: float  # seconds since the epoch
    socket: Path | None
    cache_url: str | None = None  # of the embedded cache server
    database_url: str | None = None  # of the file in its directory

    @property
    def urls(self) -> StackUrls | None:
        """The embedded servers' URLs."""
        return None if self.socket is None else socket_urls(self.socket, self.cache_url, self.database_url)


def announce(stack: RunningStack) -> None:
    """Leave the note by which other commands find *stack*."""
    note = {
        "pid": stack.pid,
        "started_at_s": stack.started_at_s,
        "socket": None if stack.socket is None else str(stack.socket),
        "broker_url": None if stack.urls is None else stack.urls.broker_url,
        "cache_url": stack.cache_url,
        "database_url": stack.database_url,
    }
    draft = stack.state_dir / "stack.json.new"
    draft.write_text(json.dumps(note), encoding="utf-8")
    draft.replace(stack.state_dir / "stack.json")


def withdraw(state_dir: Path) -> None:
    """Take the note away."""
    (state_dir / "stack.json").unlink(missing_ok=True)


def find_running(state_dir: Path) -> RunningStack | None:
    """Return the stack that runs in *state_dir* and answers, or None."""
    state_dir = state_dir.expanduser().resolve()
    try:
        note = json.loads((state_dir / "stack.json").read_text(encoding="utf-8"))
        fd = os.open(state_dir / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        if _try_lock(fd, fcntl.LOCK_SH) or _holder(fd) != note["pid"]:
            return None  # nobody holds it, or the note is of an earlier holder
    finally:
        os.close(fd)
    where = None if note["socket"] is None else Path(note["socket"])
    if not _alive(note["pid"]) or (where is not None and not answers(where)):
        return None
    urls = (note.get("cache_url"), note.get("database_url"))
    return RunningStack(note["pid"], state_dir, note["started_at_s"], where, *urls)


def answers(path: Path, timeout_s: float = 1.0) -> bool:
    """Say whether a server on the socket *path* is up and has loaded its data."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def sweep(marker: str, value: str) -> int:
    """Kill every process group whose environment has *marker* = *value*; return how many.

    For the one case that the watchdog cannot cover: it was killed together with the supervisor.
    """
    us = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    ours = {os.getpgid(pid) for pid in us}
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid not in us and process.environ().get(marker) == value:
                left.append((process, os.getpgid(process.pid)))
    groups = {group for _, group in left} - ours
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    psutil.wait_procs([process for process, _ in left], timeout=_SWEEP_S)
    return len(groups)


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _write(fd: int, text: str) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, text.encode(), 0)
