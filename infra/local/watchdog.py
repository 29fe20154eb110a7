"""End the supervisor's children when the supervisor is gone: ``watchdog.py GRACE_S``, pipe on stdin.

A supervisor killed with SIGKILL cannot clean up, so this process does.  Through the pipe it learns
which process groups exist: ``+PID STAGE`` when one starts, ``-PID`` when it has ended.  When the pipe
closes, or the supervisor stops being our parent (a forked copy of it may hold the pipe open), whatever
is still enrolled is ended, highest stage first: SIGTERM to the group's leader, SIGKILL to the group
GRACE_S seconds later.  Only the leader is asked, because Celery's prefork children take a SIGTERM as
an order to drop their task.

It runs by path under ``python -I -S`` and imports next to nothing: 11 MB, 15 ms.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

ORPHANED_CHECK_S = 0.5
LATE_ENROLMENT_S = 1.5  # for children that were starting when the supervisor died, and hold the pipe yet
POLL_S = 0.05

Groups = dict[int, tuple[int, str]]  # leader -> stage, start time of the leader


def main() -> None:
    """Watch until the supervisor ends, then end what it left."""
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # our life is bound to the pipe, nothing else
    end_all(watch(sys.stdin.fileno(), os.getppid()), float(sys.argv[1]))


def watch(pipe: int, supervisor: int) -> Groups:
    """Follow *pipe* until it closes, or *supervisor* has long not been our parent; return who is left.

    The pipe is closed on return: a child that enrols later yet is refused, and ends by that.
    """
    groups: Groups = {}
    rest = b""
    give_up_at = float("inf")
    while time.monotonic() < give_up_at:
        if os.getppid() != supervisor and give_up_at == float("inf"):
            give_up_at = time.monotonic() + LATE_ENROLMENT_S
        readable, _, _ = select.select([pipe], [], [], ORPHANED_CHECK_S)
        if readable:
            chunk = os.read(pipe, 65536)
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                note(groups, line.decode())
    os.close(pipe)
    return groups


def note(groups: Groups, line: str) -> None:
    """Apply one line of the pipe to *groups*."""
    words = line[1:].split()
    if line.startswith("+"):
        groups[int(words[0])] = (int(words[1]), started(int(words[0])))
    elif line.startswith("-"):
        groups.pop(int(words[0]), None)


def started(pid: int) -> str:
    """Return the start time of *pid* in clock ticks since boot, or "" where that cannot be told."""
    fields = _stat(pid)
    return fields[19] if fields else ""


def runs(pid: int) -> bool:
    """Say whether *pid* still runs; a zombie, which its new parent may reap late or never, does not."""
    fields = _stat(pid)
    return fields[0] not in {"Z", "X"} if fields else _send(os.kill, pid, 0)


def _stat(pid: int) -> list[str]:
    """Return the fields of proc(5)'s stat from the third on; [] without such a process, or a /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()  # the second field, a name, may hold blanks and brackets


def end_all(groups: Groups, grace_s: float) -> None:
    """End every group of *groups*, highest stage first, each stage within *grace_s* seconds."""
    for stage in sorted({stage for stage, _ in groups.values()}, reverse=True):
        ours = [
            leader
            for leader, (of, born) in groups.items()
            if of == stage and (started(leader) in {"", born})  # else the number was given to another
        ]
        for leader in ours:
            if not _send(os.kill, leader, signal.SIGTERM):
                _send(os.killpg, leader, signal.SIGTERM)  # the leader is gone, its children are not
        deadline = time.monotonic() + grace_s
        while any(runs(leader) for leader in ours) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        for leader in ours:
            _send(os.killpg, leader, signal.SIGKILL)


def _send(how: Callable[[int, int], None], target: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        how(target, number)
        return True
    return False


if __name__ == "__main__":
    main()
