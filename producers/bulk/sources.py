"""Step 1: the lines of a file or of standard input, as bytes, with bounded memory.

``.gz`` and ``.zst`` are unpacked.  A line over the limit is never held: it is skipped up to its newline and
comes out as None.
Units: sizes and positions in bytes.  Errors: UnusableInput on opening, BrokenInput while reading.
Source: RFC 8878 section 3.1.1.1.2 (the window that a Zstandard frame asks its reader to hold).
"""

import gzip
import hashlib
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Literal

from producers.bulk.errors import BrokenInput, UnusableInput

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STDIN = "-"
MAX_LINE_BYTES = 1 << 20  # 32,768 characters take at most 393,216 bytes, even as JSON escapes
_BUFFER_BYTES = 1 << 18
_HEAD_BYTES = 1 << 16
_ZSTD_WINDOW_LOG = 24  # 16 MiB to unpack: all that `zstd` makes up to -19
_UTF8_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff")

Format = Literal["jsonl", "csv", "parquet"]
Line = tuple[int, bytes | None]  # its number, from 1, and its bytes; None when it is too long

_PACKED = frozenset({".gz", ".zst"})
_FORMATS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}


@dataclass(frozen=True, slots=True)
class Source:
    """An open input: its *lines*, and how far it is read of how much (None when nobody can know).

    *identity* tells it from another input, as far as that can be told before it is read.
    """

    name: str
    lines: Iterator[Line]
    position: Callable[[], int]
    total: int | None
    identity: str = ""


def format_of(path: str) -> Format:
    """Return the format that the name of *path* tells; standard input is JSONL."""
    if path == STDIN:
        return "jsonl"
    name = Path(path)
    suffix = Path(name.stem).suffix if name.suffix in _PACKED else name.suffix
    try:
        return _FORMATS[suffix.lower()]
    except KeyError:
        raise UnusableInput(
            path, "does not tell its format by its name", "say --format jsonl, csv or parquet"
        ) from None


def full_path(path: str) -> str:
    """Return the full path of *path*, which means the same in any directory."""
    return path if path == STDIN else str(Path(path).absolute())


@contextmanager
def open_source(path: str, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Source]:
    """Open *path* (``-`` for standard input); raise UnusableInput if that fails."""
    if path == STDIN:
        name = "standard input"
        first, lines = _lines(name, sys.stdin.buffer, max_line_bytes)
        yield Source(name, lines, lambda: 0, None, f"first line {_digest(first)}")
        return
    with open_file(path) as raw:
        identity = identity_of(path, raw)
        first, lines = _lines(path, _unpacked(path, raw), max_line_bytes)
        if Path(path).is_file():
            yield Source(path, lines, raw.tell, Path(path).stat().st_size, identity)
        else:  # a pipe has a name, and no more
            yield Source(path, lines, lambda: 0, None, f"first line {_digest(first)}")


@contextmanager
def open_file(path: str) -> Iterator[BinaryIO]:
    """Open *path* for reading; raise UnusableInput if that fails."""
    try:
        raw = Path(path).open("rb")  # noqa: SIM115 - closed below; only opening may fail this way
    except OSError as error:
        raise UnusableInput(path, f"cannot be read: {error.strerror}", "check the path") from None
    with raw:
        yield raw


def identity_of(path: str, raw: BinaryIO) -> str:
    """Return what tells the file from another one: its size, its time of change, its first 64 KiB."""
    with _told(path):
        found = Path(path).stat()
        if not Path(path).is_file():
            return ""
        head = raw.read(_HEAD_BYTES)
        raw.seek(0)
    return f"{found.st_size} bytes, changed {found.st_mtime_ns}, head {_digest(head)}"


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _unpacked(path: str, raw: BinaryIO) -> BinaryIO:
    # GzipFile.readline is Python code; a buffer around it reads lines in C
    if path.endswith(".gz"):
        return io.BufferedReader(gzip.GzipFile(fileobj=raw), _BUFFER_BYTES)
    if path.endswith(".zst"):
        options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG}
        return io.BufferedReader(zstd.ZstdFile(raw, options=options), _BUFFER_BYTES)
    return raw


def _lines(name: str, stream: BinaryIO, limit: int) -> tuple[bytes, Iterator[Line]]:
    """Read the first line, so that an input of the wrong kind fails before any work; return all, too."""
    with _told(name):
        first = stream.readline(limit + 1)
    if first.startswith(_OTHER_BOMS):
        raise UnusableInput(name, "is UTF-16, not UTF-8", "convert it, e.g. iconv -f UTF-16 -t UTF-8")
    return first, _telling(name, bounded(stream, limit, first.removeprefix(_UTF8_BOM)))


def bounded(stream: IO[bytes], limit: int, first: bytes | None = None) -> Iterator[Line]:
    """Yield the lines of *stream* after *first*, which was read before, if given."""
    line, number = stream.readline(limit + 1) if first is None else first, 1
    while line:
        if len(line) > limit and not line.endswith(b"\n"):
            _skip_line(stream)
            yield number, None
        else:
            yield number, line
        number += 1
        line = stream.readline(limit + 1)


def _telling(name: str, lines: Iterator[Line]) -> Iterator[Line]:
    with _told(name):
        yield from lines


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error) as error:
        raise BrokenInput(name, "is damaged, or ends too early", "fetch or pack it again") from error
    except zstd.ZstdError as error:
        problem = f"is damaged, or takes over {2 ** (_ZSTD_WINDOW_LOG - 20)} MiB to unpack"
        raise BrokenInput(name, problem, "fetch it again, or pack it with zstd -19 at most") from error
    except OSError as error:  # gzip.BadGzipFile among them
        raise BrokenInput(name, f"cannot be read: {error}", "check the file and its disk") from error


def _skip_line(stream: IO[bytes]) -> None:
    while True:
        piece = stream.readline(_BUFFER_BYTES)
        if not piece or piece.endswith(b"\n"):
            return


def starting_at(lines: Iterator[Line], from_line: int) -> Iterator[Line]:
    """Return *lines* without those before number *from_line*."""
    return (line for line in lines if line[0] >= from_line) if from_line > 1 else lines
