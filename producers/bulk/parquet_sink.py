"""Step 6 for Parquet: the finished JSONL spool becomes the output, in one rename.

It is read a few thousand lines at a time, so memory is bounded; a conversion that is cut short leaves the
spool, and starts over.
Errors: UnusableOutput; MissingExtra without pyarrow.
"""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from producers.bulk.collect import Trouble
from producers.bulk.errors import UnusableOutput
from producers.bulk.parquet_rows import pyarrow
from producers.bulk.records import CallersId

_ROWS = 4_000  # in a row group: some 12 MB of prompts


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


def to_parquet(spool: str, output: str, written: Callable[[int], None]) -> None:
    """Make *output* of *spool*, all at once; tell *written* after so many rows more."""
    pa, parquet = pyarrow()
    temporary = Path(f"{output}.part")
    try:
        with (
            Path(spool).open("rb") as lines,
            parquet.ParquetWriter(temporary, _schema(pa), compression="zstd") as writer,
        ):
            for columns in _columns(lines):
                batch = pa.RecordBatch.from_pydict(columns, schema=_schema(pa))
                writer.write_batch(batch)
                written(batch.num_rows)
        _make_durable(temporary)
        temporary.replace(output)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UnusableOutput(
            output,
            f"cannot be written: {error.strerror or error}",
            "make room; the answers are kept, beside it",
        ) from error


def _schema(pa: Any) -> Any:
    text = pa.string()
    return pa.schema(
        [
            pa.field("line", pa.int64(), nullable=False),
            ("id", text),
            ("job_id", text),
            ("status", text),
            ("persona_used", text),
            ("resonance_key", text),
            ("confidence", pa.float64()),
            ("language", text),
            ("content", text),
            ("metadata", text),  # as JSON: every record may have fields of its own
            ("error_code", text),
            ("error_problem", text),
        ]
    )


def _columns(lines: BinaryIO) -> Iterator[dict[str, list[Any]]]:
    decode = msgspec.json.Decoder(_Line).decode
    while rows := [decode(line) for line in islice(lines, _ROWS)]:
        yield {
            "line": [row.line for row in rows],
            "id": [None if row.id is None else str(row.id) for row in rows],
            "job_id": [row.job_id for row in rows],
            "status": [row.status for row in rows],
            "persona_used": [row.persona_used for row in rows],
            "resonance_key": [row.resonance_key for row in rows],
            "confidence": [row.confidence for row in rows],
            "language": [row.language for row in rows],
            "content": [row.content for row in rows],
            "metadata": [None if row.metadata is None else bytes(row.metadata).decode() for row in rows],
            "error_code": [None if row.error is None else row.error.code for row in rows],
            "error_problem": [None if row.error is None else row.error.problem for row in rows],
        }


def _make_durable(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
