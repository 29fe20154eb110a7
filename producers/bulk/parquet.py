"""Parquet for a run: rows come as lines of JSONL, and the finished JSONL becomes a file.

pyarrow itself works in a process of its own, see ``parquet_process``.
Errors: MissingExtra without pyarrow; WrongHeader, BrokenInput; UnusableOutput.
"""

import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

import msgspec

from producers.bulk.errors import BrokenInput, MissingExtra, UnusableOutput, WrongHeader
from producers.bulk.sources import MAX_LINE_BYTES, Line, bounded

_PROGRAM = (sys.executable, "-m", "producers.bulk.parquet_process")


class _Said(msgspec.Struct):
    """A line that the other process says of itself."""

    rows: int = 0
    problem: str = ""
    fix: str = ""


_decode = msgspec.json.Decoder(_Said).decode
_SILENT = b'{"problem": "cannot be read: it crashes its reader", "fix": "write the file again"}'


class ParquetRows:
    """The rows of a file, from after row *upto*, as *lines* of JSONL; *total* is how many it has in all."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", upto: int) -> None:
        self._name, self._process, self._read = name, process, upto
        said = _decode(_output(process).readline() or _SILENT)
        if said.problem:
            kind = BrokenInput if said.problem.startswith("cannot") else WrongHeader
            raise kind(name, said.problem, said.fix)
        self.total = said.rows

    def position(self) -> int:
        """Return how many rows are read."""
        return self._read

    def lines(self) -> Iterator[Line]:
        """Yield each row; raise BrokenInput when the file ends too early."""
        first = self._read
        for number, line in bounded(_output(self._process), MAX_LINE_BYTES):
            self._read = first + number
            yield self._read, line
        if self._process.wait() or self._read != self.total:
            raise BrokenInput(self._name, "is a damaged Parquet file", "fetch or write it again")


@contextmanager
def open_parquet(path: str, *, ignore_columns: bool, upto: int) -> Iterator[ParquetRows]:
    """Open the Parquet file *path*, to be read from after row *upto*."""
    require_pyarrow()
    with _process("read", path, str(upto), str(ignore_columns)) as process:
        yield ParquetRows(path, process, upto)


def to_parquet(spool: str, output: str, written: Callable[[int], None]) -> None:
    """Make *output* of the JSONL file *spool*, all at once; tell *written* after so many rows more."""
    require_pyarrow()
    with _process("write", spool, output) as process:
        for line in _output(process):
            said = _decode(line)
            if said.problem:
                raise UnusableOutput(output, said.problem, said.fix)
            written(said.rows)
        if process.wait():
            raise UnusableOutput(
                output, "could not be written", f"resume the run; the answers are in {spool}"
            )


def require_pyarrow() -> None:
    """Raise MissingExtra where pyarrow is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtra(
            "Parquet", "needs pyarrow, which is not installed", "pip install 'ion-mentoring[parquet]'"
        )


@contextmanager
def _process(*words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the other process as long as the block lasts; Ctrl-C is for this one only."""
    process = subprocess.Popen(
        [*_PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    )
    with process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def _output(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdout is not None  # noqa: S101 - we asked for a pipe
    return process.stdout
