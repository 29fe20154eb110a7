"""The supervisor's end of the watchdog: starts it, replaces it when it dies, tells it who has ended."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_PYTHON = (sys.executable, "-I", "-S")  # no site packages, no environment: starts in 15 ms


class Guard:
    """Keeps one watchdog alive.  *keep_fds* stay open in it, so a lock among them outlives us."""

    def __init__(self, grace_s: float, keep_fds: tuple[int, ...] = ()) -> None:
        self._grace_s, self._keep_fds = grace_s, keep_fds
        self._process, self._pipe = self._launch()

    @property
    def pid(self) -> int:
        """The watchdog's process id."""
        return self._process.pid

    @property
    def pipe(self) -> int:
        """The descriptor that a child needs while it enrols."""
        return self._pipe

    def wrap(self, argv: tuple[str, ...], stage: int) -> tuple[str, ...]:
        """Return the command that enrols itself in *stage* and then becomes *argv*."""
        return (*_PYTHON, str(_HERE / "enrol.py"), str(self._pipe), str(stage), *argv)

    def forget(self, leader: int) -> None:
        """Strike a group off: it has ended, and its number may soon be another's."""
        self._write(f"-{leader}\n")

    def renew(self, alive: Iterable[tuple[int, int]]) -> bool:
        """Replace a dead watchdog, enrolling *alive* ((leader, stage) pairs) anew; say if it was dead."""
        if self._process.poll() is None:
            return False
        os.close(self._pipe)
        self._process, self._pipe = self._launch()
        self._write("".join(f"+{leader} {stage}\n" for leader, stage in alive))
        return True

    def close(self) -> None:
        """Let the watchdog go; it ends what is still enrolled, then itself."""
        os.close(self._pipe)
        self._process.wait()

    def _launch(self) -> tuple[subprocess.Popen[bytes], int]:
        read, write = os.pipe()  # both are closed on exec: no other child can hold the pipe open
        try:
            process = subprocess.Popen(
                (*_PYTHON, str(_HERE / "watchdog.py"), str(self._grace_s)),
                stdin=read,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=self._keep_fds,
                start_new_session=True,  # Ctrl-C is for the supervisor only
            )
        except BaseException:
            os.close(write)
            raise
        finally:
            os.close(read)
        return process, write

    def _write(self, lines: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # renew() will notice
            os.write(self._pipe, lines.encode())
