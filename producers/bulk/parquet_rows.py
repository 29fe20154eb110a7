"""Steps 1 and 2 for Parquet: each row becomes an item; read a thousand rows at a time, so memory is bounded.

Columns are those of CSV, here with types: text for all, and for ``id`` whole numbers, too.  A null is "not
given".  "Lines" are rows, from 1.
Errors: MissingExtra without pyarrow; WrongHeader for a schema that does not fit; BrokenInput while reading.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from persona_system.models import Context
from producers.bulk.csv_rows import OPTIONAL_COLUMNS, TEXT_COLUMNS, WANTED_COLUMNS
from producers.bulk.errors import BrokenInput, MissingExtra, WrongHeader
from producers.bulk.jsonl import not_utf8
from producers.bulk.records import Accepted, CallersId, Item, Reject
from producers.requests import PersonaRequest

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

_ROWS = 1_000  # decoded at a time
_BUFFER_BYTES = 1 << 18  # of a column chunk's pages, rather than all of them
_KNOWN = (*TEXT_COLUMNS, *OPTIONAL_COLUMNS)


class ParquetRows:
    """The rows of a Parquet file after row *upto*."""

    def __init__(self, name: str, file: "ParquetFile", columns: Sequence[str], upto: int) -> None:
        self._name, self._file, self._columns = name, file, columns
        self._done = upto
        self.total = int(file.metadata.num_rows)

    def position(self) -> int:
        """Return how many rows are read."""
        return self._done

    def items(self) -> Iterator[Item]:
        """Yield one item for each row, in order."""
        first, groups = self._groups_after(self._done)
        skip = self._done - first
        with _told(self._name):
            batches = self._file.iter_batches(
                _ROWS, row_groups=groups, columns=list(self._columns), use_threads=False
            )
            for batch in batches:
                if skip >= batch.num_rows:
                    skip -= batch.num_rows
                    continue
                yield from self._items_of(batch.slice(skip))
                skip = 0

    def _groups_after(self, row: int) -> tuple[int, list[int]]:
        """Return the row groups that hold what comes after *row*, and how many rows stand before them."""
        metadata, before = self._file.metadata, 0
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            if before + rows > row:
                return before, list(range(group, metadata.num_row_groups))
            before += rows
        return before, []

    def _items_of(self, batch: "pa.RecordBatch") -> Iterator[Item]:
        nulls = [None] * batch.num_rows
        columns = {name: _values(batch.column(name)) for name in batch.schema.names}
        text = columns.get(TEXT_COLUMNS[0], columns.get(TEXT_COLUMNS[1], nulls))
        others = (columns.get(name, nulls) for name in OPTIONAL_COLUMNS)
        for row in zip(text, *others, strict=True):
            self._done += 1
            yield _item(self._done, *row)


@contextmanager
def open_parquet(path: str, *, ignore_columns: bool, upto: int) -> Iterator[ParquetRows]:
    """Open the Parquet file *path*, to be read from after row *upto*."""
    pa, parquet = pyarrow()
    try:
        file = parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as error:
        problem = getattr(error, "strerror", None) or "it is no Parquet file, or a damaged one"
        raise BrokenInput(path, f"cannot be read: {problem}", "check the path and the file") from None
    with file:
        columns = _columns(path, file.schema_arrow, ignore_columns=ignore_columns)
        yield ParquetRows(path, file, columns, upto)


def pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and its Parquet module; raise MissingExtra where they are not installed."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and large
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise MissingExtra(
            "Parquet", "needs pyarrow, which is not installed", "pip install 'ion-mentoring[parquet]'"
        ) from None
    return pa, parquet


def _columns(name: str, schema: "pa.Schema", *, ignore_columns: bool) -> list[str]:
    texts = [column for column in schema.names if column in TEXT_COLUMNS]
    if len(texts) != 1:
        problem = "names the message twice: user_input and text" if texts else "has no column user_input"
        raise WrongHeader(name, problem, WANTED_COLUMNS)
    unknown = [column for column in schema.names if column not in _KNOWN]
    if unknown and not ignore_columns:
        shown = ", ".join(column[:40] for column in unknown[:8])
        raise WrongHeader(
            name,
            f"has columns that are not known: {shown}",
            f"{WANTED_COLUMNS}; --ignore-columns passes over the others",
        )
    known = [column for column in schema.names if column in _KNOWN]
    for column in known:
        _check_type(name, column, schema.field(column).type)
    return known


def _check_type(name: str, column: str, given: "pa.DataType") -> None:
    from pyarrow import types  # noqa: PLC0415

    kind = given.value_type if types.is_dictionary(given) else given
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if texts or types.is_null(kind) or (column == "id" and types.is_integer(kind)):
        return
    wanted = "text or whole numbers" if column == "id" else "text"
    raise WrongHeader(name, f"has a column {column} of type {kind}", f"make it {wanted}")


def _values(column: "pa.Array") -> Sequence[Any]:
    try:
        return column.to_pylist()  # type: ignore[no-any-return,unused-ignore]
    except UnicodeDecodeError:  # Parquet does not check what it calls text
        import pyarrow as pa  # noqa: PLC0415

        plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        return [_decoded(raw) for raw in plain.cast(pa.large_binary()).to_pylist()]


class _NotUtf8:
    """Stands where a text would be."""


def _decoded(raw: bytes | None) -> "str | _NotUtf8 | None":
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return _NotUtf8()


def _item(
    row: int,
    text: str | _NotUtf8 | None,
    key: str | _NotUtf8 | None,
    callers_id: CallersId | _NotUtf8,
    user_id: str | _NotUtf8 | None,
    session_id: str | _NotUtf8 | None,
) -> Item:
    if text is None:
        return Reject(row, "user_input", "is missing", "send text in it")
    if (
        isinstance(text, _NotUtf8)
        or isinstance(key, _NotUtf8)
        or isinstance(callers_id, _NotUtf8)
        or isinstance(user_id, _NotUtf8)
        or isinstance(session_id, _NotUtf8)
    ):
        return not_utf8(row)
    context = None if user_id is None and session_id is None else Context(user_id, session_id)
    size = 3 * len(text)  # in UTF-8, at the most but for rare letters
    return Accepted(row, row, size, callers_id, PersonaRequest(text, key, context))


@contextmanager
def _told(name: str) -> Iterator[None]:
    import pyarrow as pa  # noqa: PLC0415

    broken: tuple[type[Exception], ...] = (pa.ArrowException, OSError)
    try:
        yield
    except broken as error:
        raise BrokenInput(name, "is a damaged Parquet file", "fetch or write it again") from error
