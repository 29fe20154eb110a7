"""Log lines of several processes on one stream."""

import io
import threading

from infra.local.logs import LinePrinter, prefixer, printable
from tests.support.wait import wait_until


def test_names_are_aligned_and_plain_without_a_terminal() -> None:
    prefixed = prefixer(["valkey", "worker10"], colour=False)

    assert prefixed("valkey", "hello") == "valkey   | hello"
    assert prefixed("worker10", "hello") == "worker10 | hello"


def test_each_name_has_its_colour_and_the_supervisor_is_bold() -> None:
    prefixed = prefixer(["a", "b"], colour=True)

    assert prefixed("a", "x") == "\x1b[36ma   | \x1b[0mx"
    assert prefixed("b", "x") == "\x1b[32mb   | \x1b[0mx"
    assert prefixed("ion", "x") == "\x1b[1mion | \x1b[0mx"


def test_a_line_cannot_steer_the_terminal() -> None:
    assert printable("배포\tfailed \x1b]0;owned\x07 \u202e") == "배포\tfailed �]0;owned� �"


def test_a_stopped_terminal_loses_lines_and_stops_nobody() -> None:
    """6,001 lines against room for 5,000: callers go on, and the reader is told how many are gone."""
    stuck = _StuckStream()
    printer = LinePrinter(stuck, prefixer(["a"], colour=False))
    printer("a", "first")
    wait_until(stuck.entered.is_set, 5)
    for number in range(6_000):
        printer("a", str(number))

    stuck.leave.set()
    printer.close()

    lines = stuck.getvalue().splitlines()
    assert lines[:3] == ["a   | first", "ion | 1000 log lines dropped", "a   | 0"]
    assert len(lines) == 1 + 1 + 5_000


def test_a_closed_terminal_is_no_error() -> None:
    gone = io.StringIO()
    gone.close()
    printer = LinePrinter(gone, prefixer([], colour=False))
    printer("a", "nobody reads this")

    printer.close()


class _StuckStream(io.StringIO):
    """A terminal after Ctrl-S: the first write does not return until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.leave = threading.Event(), threading.Event()

    def write(self, text: str, /) -> int:
        if not self.entered.is_set():
            self.entered.set()
            self.leave.wait(10)
        return super().write(text)
