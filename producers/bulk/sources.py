"""Step 1: the lines of a file or of standard input, as bytes, with bounded memory.

A line over the limit is never held: it is skipped up to its newline and comes out as None.
Units: sizes and positions in bytes.  Errors: UnusableInput on opening, BrokenInput while reading.
"""

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from producers.bulk.errors import BrokenInput, UnusableInput

STDIN = "-"
MAX_LINE_BYTES = 1 << 20  # 32,768 characters take at most 393,216 bytes, even as JSON escapes
_BUFFER_BYTES = 1 << 18
_UTF8_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff")

Format = Literal["jsonl", "csv"]
Line = tuple[int, bytes | None]  # its number, from 1, and its bytes; None when it is too long

_FORMATS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv"}


@dataclass(frozen=True, slots=True)
class Source:
    """An open input: its *lines*, and how far it is read of how much (None when nobody can know)."""

    name: str
    lines: Iterator[Line]
    position_bytes: Callable[[], int]
    total_bytes: int | None


def format_of(path: str) -> Format:
    """Return the format that the name of *path* tells; standard input is JSONL."""
    if path == STDIN:
        return "jsonl"
    name = Path(path)
    suffix = Path(name.stem).suffix if name.suffix == ".gz" else name.suffix
    try:
        return _FORMATS[suffix.lower()]
    except KeyError:
        raise UnusableInput(
            path, "does not tell its format by its name", "say --format jsonl or --format csv"
        ) from None


@contextmanager
def open_source(path: str, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Source]:
    """Open *path* (``-`` for standard input, ``.gz`` is unpacked); raise UnusableInput if that fails."""
    if path == STDIN:
        name = "standard input"
        yield Source(name, _lines(name, sys.stdin.buffer, max_line_bytes), lambda: 0, None)
        return
    try:
        raw = Path(path).open("rb")  # noqa: SIM115 - closed below; only opening may fail this way
    except OSError as error:
        raise UnusableInput(path, f"cannot be read: {error.strerror}", "check the path") from None
    with raw:
        total = Path(path).stat().st_size
        stream = _unpacked(raw) if path.endswith(".gz") else raw
        yield Source(path, _lines(path, stream, max_line_bytes), raw.tell, total)


def _unpacked(raw: BinaryIO) -> BinaryIO:
    # GzipFile.readline is Python code; a buffer around it reads lines in C
    return io.BufferedReader(gzip.GzipFile(fileobj=raw), _BUFFER_BYTES)


def _lines(name: str, stream: BinaryIO, limit: int) -> Iterator[Line]:
    """Read the first line, so that an input of the wrong kind fails before any work; return them all."""
    with _told(name):
        first = stream.readline(limit + 1)
    if first.startswith(_OTHER_BOMS):
        raise UnusableInput(name, "is UTF-16, not UTF-8", "convert it, e.g. iconv -f UTF-16 -t UTF-8")
    return _bounded(name, first.removeprefix(_UTF8_BOM), stream, limit)


def _bounded(name: str, first: bytes, stream: BinaryIO, limit: int) -> Iterator[Line]:
    line, number = first, 1
    with _told(name):
        while line:
            if len(line) > limit and not line.endswith(b"\n"):
                _skip_line(stream)
                yield number, None
            else:
                yield number, line
            number += 1
            line = stream.readline(limit + 1)


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error) as error:
        raise BrokenInput(name, "is a damaged gzip file", "fetch or pack it again") from error
    except OSError as error:  # gzip.BadGzipFile among them
        raise BrokenInput(name, f"cannot be read: {error}", "check the file and its disk") from error


def _skip_line(stream: BinaryIO) -> None:
    while True:
        piece = stream.readline(_BUFFER_BYTES)
        if not piece or piece.endswith(b"\n"):
            return


def starting_at(lines: Iterator[Line], from_line: int) -> Iterator[Line]:
    """Return *lines* without those before number *from_line*."""
    return (line for line in lines if line[0] >= from_line) if from_line > 1 else lines
