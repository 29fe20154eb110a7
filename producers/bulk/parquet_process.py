"""The process that reads or writes Parquet: all that is known of pyarrow, apart from the run.

    python -m producers.bulk.parquet_process read FILE UPTO IGNORE_COLUMNS
    python -m producers.bulk.parquet_process write SPOOL OUTPUT

pyarrow takes 60 MB and is native code, which a damaged file may crash; here neither is the run's.  It speaks
lines of JSON on its standard output, see ``parquet``.  Rows are read and written a thousand at a time, so
memory is bounded.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
from pyarrow import parquet, types

from producers.bulk.collect import Trouble
from producers.bulk.csv_rows import OPTIONAL_COLUMNS, TEXT_COLUMNS, WANTED_COLUMNS
from producers.bulk.records import CallersId

_KNOWN = (*TEXT_COLUMNS, *OPTIONAL_COLUMNS)
_ROWS_READ = 1_000  # decoded at a time
_ROWS_WRITTEN = 1_000  # in a row group: some 3 MB of prompts
_BUFFER_BYTES = 1 << 18  # of a column chunk's pages, rather than all of them
_NOT_UTF8 = b'{"user_input":"\xff"}\n'  # stands for a row whose text is not UTF-8
# of long texts, the least and the greatest in each group would only make the index large
_SUMMED_UP = ["line", "id", "status", "persona_used", "resonance_key", "confidence", "language"]

_FEW_VALUES = ["status", "persona_used", "resonance_key", "language", "error_code"]
_AS_THEY_ARE = ("job_id", "content", *(name for name in _SUMMED_UP if name != "id"))

_TEXT = pa.string()
_OUTPUT = pa.schema(
    [
        pa.field("line", pa.int64(), nullable=False),
        ("id", _TEXT),
        ("job_id", _TEXT),
        ("status", _TEXT),
        ("persona_used", _TEXT),
        ("resonance_key", _TEXT),
        ("confidence", pa.float64()),
        ("language", _TEXT),
        ("content", _TEXT),
        ("metadata", _TEXT),  # as JSON: every record may have fields of its own
        ("error_code", _TEXT),
        ("error_problem", _TEXT),
    ]
)


class _People(msgspec.Struct, omit_defaults=True):
    user_id: str | None = None
    session_id: str | None = None


class _Record(msgspec.Struct, omit_defaults=True):
    """A row as a line of JSONL."""

    user_input: str | None = None
    resonance_key: str | None = None
    id: CallersId = None
    context: _People | None = None


class _Line(msgspec.Struct, frozen=True):
    """A line of the spool, whether it was answered or not."""

    line: int
    job_id: str
    status: str
    id: CallersId = None
    persona_used: str | None = None
    resonance_key: str | None = None
    confidence: float | None = None
    language: str | None = None
    content: str | None = None
    metadata: msgspec.Raw | None = None
    error: Trouble | None = None


class Refused(Exception):
    """The file cannot be used: *problem* says why, *fix* what to do."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem, fix)
        self.problem, self.fix = problem, fix


def read(path: str, upto: int, *, ignore_columns: bool, out: BinaryIO) -> None:
    """Write how many rows *path* has, then each row after row *upto* as a line of JSONL."""
    try:
        file = parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        problem = getattr(error, "strerror", None) or "it is no Parquet file, or a damaged one"
        raise Refused(f"cannot be read: {problem}", "check the path and the file") from None
    with file:
        columns = _columns_of(file.schema_arrow, ignore_columns=ignore_columns)
        _say(out, {"rows": file.metadata.num_rows})
        out.flush()
        before, groups = _groups_after(file.metadata, upto)
        skip = upto - before
        for batch in file.iter_batches(_ROWS_READ, row_groups=groups, columns=columns, use_threads=False):
            if skip >= batch.num_rows:
                skip -= batch.num_rows
                continue
            out.write(_lines_of(batch.slice(skip)))
            skip = 0


def write(spool: str, output: str, out: BinaryIO) -> None:
    """Make the Parquet file *output* of the JSONL file *spool*, all at once; tell of rows on the way."""
    temporary = Path(f"{output}.part")
    try:
        with (
            Path(spool).open("rb") as lines,
            parquet.ParquetWriter(
                temporary,
                _OUTPUT,
                compression="zstd",
                write_statistics=_SUMMED_UP,
                use_dictionary=_FEW_VALUES,
            ) as writer,
        ):
            for columns in _columns_from(lines):
                batch = pa.RecordBatch.from_pydict(columns, schema=_OUTPUT)
                writer.write_batch(batch)
                _say(out, {"rows": batch.num_rows})
                out.flush()
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(output)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        problem = f"cannot be written: {error.strerror or 'the disk says no'}"
        raise Refused(problem, "make room; the answers are kept, beside it") from error


def _columns_of(schema: pa.Schema, *, ignore_columns: bool) -> list[str]:
    """Return the columns to read; raise Refused where the schema does not fit."""
    texts = [column for column in schema.names if column in TEXT_COLUMNS]
    if len(texts) != 1:
        problem = "names the message twice: user_input and text" if texts else "has no column user_input"
        raise Refused(problem, WANTED_COLUMNS)
    unknown = [column for column in schema.names if column not in _KNOWN]
    if unknown and not ignore_columns:
        shown = ", ".join(column[:40] for column in unknown[:8])
        fix = f"{WANTED_COLUMNS}; --ignore-columns passes over the others"
        raise Refused(f"has columns that are not known: {shown}", fix)
    known = [column for column in schema.names if column in _KNOWN]
    for column in known:
        _check_type(column, schema.field(column).type)
    return known


def _check_type(column: str, given: pa.DataType) -> None:
    kind = given.value_type if types.is_dictionary(given) else given
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if texts or types.is_null(kind) or (column == "id" and types.is_integer(kind)):
        return
    wanted = "text or whole numbers" if column == "id" else "text"
    raise Refused(f"has a column {column} of type {kind}", f"make it {wanted}")


def _groups_after(metadata: Any, row: int) -> tuple[int, list[int]]:
    """Return how many rows stand before the row groups that hold what comes after *row*, and those."""
    before = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if before + rows > row:
            return before, list(range(group, metadata.num_row_groups))
        before += rows
    return before, []


def _lines_of(batch: pa.RecordBatch) -> bytes:
    nulls = [None] * batch.num_rows
    columns = {name: _values(batch.column(name)) for name in batch.schema.names}
    text = columns.get(TEXT_COLUMNS[0], columns.get(TEXT_COLUMNS[1], nulls))
    rows = zip(text, *(columns.get(name, nulls) for name in OPTIONAL_COLUMNS), strict=True)
    return b"".join(_line_of(row) for row in rows)


def _line_of(row: tuple[Any, ...]) -> bytes:
    if any(isinstance(value, bytes) for value in row):
        return _NOT_UTF8
    text, key, callers_id, user_id, session_id = row
    people = None if user_id is None and session_id is None else _People(user_id, session_id)
    return _encode(_Record(text, key, callers_id, people)) + b"\n"


def _values(column: pa.Array) -> Sequence[Any]:
    """Return the values of *column*; one that is called text and is not UTF-8 comes as bytes."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:  # Parquet does not check what it calls text
        plain = column.dictionary_decode() if types.is_dictionary(column.type) else column
        return [_decoded(raw) for raw in plain.cast(pa.large_binary()).to_pylist()]


def _decoded(raw: bytes | None) -> str | bytes | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return raw


def _columns_from(lines: BinaryIO) -> Iterator[dict[str, list[Any]]]:
    decode = msgspec.json.Decoder(_Line).decode
    while rows := [decode(line) for line in islice(lines, _ROWS_WRITTEN)]:
        yield {
            **{name: [getattr(row, name) for row in rows] for name in _AS_THEY_ARE},
            "id": [None if row.id is None else str(row.id) for row in rows],
            "metadata": [None if row.metadata is None else bytes(row.metadata).decode() for row in rows],
            "error_code": [None if row.error is None else row.error.code for row in rows],
            "error_problem": [None if row.error is None else row.error.problem for row in rows],
        }


_encode = msgspec.json.Encoder().encode


def _say(out: BinaryIO, said: dict[str, Any]) -> None:
    out.write(_encode(said) + b"\n")


def main(words: Sequence[str]) -> int:
    """Do what *words* say; a file that cannot be used is said, too, and makes the exit code 1."""
    pa.set_memory_pool(pa.system_memory_pool())  # its own keeps more than we ever need at once
    out = sys.stdout.buffer
    try:
        if words[0] == "read":
            read(words[1], int(words[2]), ignore_columns=words[3] == "True", out=out)
        else:
            write(words[1], words[2], out)
    except Refused as error:
        _say(out, {"problem": error.problem, "fix": error.fix})
        return 1
    except (pa.ArrowException, OSError):  # in the midst of a file, or nobody reads any more
        return 1
    finally:
        try:
            out.flush()
        except BrokenPipeError:
            os._exit(1)  # the run is gone; a farewell would only complain
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
