"""Log lines of several processes on one stream: each with its process's name, in that name's colour."""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import IO

from infra.local.supervisor import ITSELF

_COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)  # ANSI foregrounds that read well on black and white
_BOLD = "1"
_WAITING_LINES = 5_000  # about 1 MB; beyond it the reader is too slow and lines are dropped
_LAST_WORDS_S = 1.0


def prefixer(names: Sequence[str], *, colour: bool) -> Callable[[str, str], str]:
    """Return a function of (name, line) that gives the line to print."""
    width = max((len(name) for name in (*names, ITSELF)), default=0)
    codes = {name: str(_COLOURS[i % len(_COLOURS)]) for i, name in enumerate(names)}

    def prefixed(name: str, line: str) -> str:
        head = f"{name:<{width}} | "
        if colour:
            head = f"\x1b[{codes.get(name, _BOLD)}m{head}\x1b[0m"
        return head + printable(line)

    return prefixed


def printable(line: str) -> str:
    """Return *line* without the control characters that could move the cursor or retitle a terminal."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() or c == "\t" else "�" for c in line)


class LinePrinter:
    """Writes lines to *stream* from a thread of its own, so that a stopped terminal stops nobody else."""

    def __init__(self, stream: IO[str], prefixed: Callable[[str, str], str]) -> None:
        self._stream, self._prefixed = stream, prefixed
        self._lines: queue.Queue[tuple[str, str] | None] = queue.Queue(_WAITING_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log printer", daemon=True)
        self._thread.start()

    def __call__(self, name: str, line: str) -> None:
        """Print *line* soon; drop it when too many wait."""
        try:
            self._lines.put_nowait((name, line))
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Print what waits, within a second."""
        try:
            self._lines.put(None, timeout=_LAST_WORDS_S)
        except queue.Full:
            return
        self._thread.join(_LAST_WORDS_S)

    def _run(self) -> None:
        while (item := self._lines.get()) is not None:
            try:
                self._stream.write(self._prefixed(*item) + "\n")
                if self._dropped:
                    dropped, self._dropped = self._dropped, 0
                    self._stream.write(self._prefixed(ITSELF, f"{dropped} log lines dropped") + "\n")
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                return  # nobody reads any more, which is no reason to stop the fleet
