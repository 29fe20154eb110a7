"""Step 2 for CSV (RFC 4180, comma, header in the first line): each row becomes an item.

A quoted field may hold line breaks, so a row may span lines.  A quote that is never closed would
swallow its neighbours: such a row is rejected by its first line alone, and reading goes on at the next.
Errors: WrongHeader, before any row is read.
"""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from persona_system.models import Context
from producers.bulk.errors import WrongHeader
from producers.bulk.jsonl import not_utf8
from producers.bulk.records import Accepted, Blank, Item, Reject, too_long
from producers.bulk.sources import MAX_LINE_BYTES, Line
from producers.requests import PersonaRequest

TEXT_COLUMNS = ("user_input", "text")
OPTIONAL_COLUMNS = ("resonance_key", "id", "user_id", "session_id")
WANTED_COLUMNS = f"columns are user_input (or text), and if you like {', '.join(OPTIONAL_COLUMNS)}"
_MAX_ROW_LINES = 10_000


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each known column stands in a row of *width* columns; None for one that is not there."""

    width: int
    text: int
    resonance_key: int | None
    id: int | None
    user_id: int | None
    session_id: int | None


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    end: int
    size: int
    values: list[str]
    utf8: bool


def read_header(name: str, lines: Iterator[Line], *, ignore_columns: bool = False) -> Layout:
    """Take the first line of *lines* as the header; raise WrongHeader unless it can be used."""
    raw = next(lines, (0, b""))[1]
    try:
        text = "" if raw is None else raw.decode()
    except UnicodeDecodeError:
        raise WrongHeader(name, "has a header that is not UTF-8", "convert the file to UTF-8") from None
    columns = [column.strip() for column in next(csv.reader([text]), [])]
    wanted = WANTED_COLUMNS
    if not any(columns):
        raise WrongHeader(name, "has no header line", wanted)
    texts = [column for column in columns if column in TEXT_COLUMNS]
    if not texts:
        found = ", ".join(column[:40] for column in columns[:8])
        hint = "; separate columns by commas" if len(columns) == 1 and (";" in text or "\t" in text) else ""
        raise WrongHeader(name, f"has no column user_input or text (found: {found})", wanted + hint)
    known = {*TEXT_COLUMNS, *OPTIONAL_COLUMNS}
    twice = sorted({column for column in columns if column in known and columns.count(column) > 1})
    if twice or len(texts) > 1:
        named = ", ".join(twice) or "user_input and text, which mean the same"
        raise WrongHeader(name, f"names a column twice: {named}", "keep one of them")
    unknown = [column for column in columns if column not in known]
    if unknown and not ignore_columns:
        raise WrongHeader(
            name,
            f"has columns that are not known: {', '.join(column[:40] for column in unknown[:8])}",
            f"{wanted}; --ignore-columns passes over the others",
        )
    where = {column: index for index, column in enumerate(columns)}
    return Layout(len(columns), where[texts[0]], *(where.get(column) for column in OPTIONAL_COLUMNS))


def read_csv(lines: Iterator[Line], layout: Layout, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Item]:
    """Yield one item for each row after the header, in order."""
    for found in _rows(lines, max_line_bytes):
        if not isinstance(found, _Row):
            yield found
        elif not found.values or (len(found.values) == 1 < layout.width and not found.values[0].strip()):
            yield Blank(found.line)
        elif not found.utf8:
            yield not_utf8(found.line)
        elif len(found.values) != layout.width:
            yield Reject(
                found.line,
                "line",
                f"has {_columns(len(found.values))}, the header names {layout.width}",
                'put a value that holds a comma between quotes ("), and double the quotes in it',
            )
        else:
            yield _accepted(found, layout)


def _accepted(row: _Row, layout: Layout) -> Accepted:
    values = row.values

    def cell(index: int | None) -> str | None:
        return (values[index] or None) if index is not None else None  # an empty cell is not given

    user_id, session_id = cell(layout.user_id), cell(layout.session_id)
    context = None if user_id is None and session_id is None else Context(user_id, session_id)
    request = PersonaRequest(values[layout.text], cell(layout.resonance_key), context)
    return Accepted(row.line, row.end, row.size, cell(layout.id), request)


def _rows(lines: Iterator[Line], limit: int) -> Iterator[_Row | Reject]:
    ahead: deque[Line] = deque()  # lines read for a row that turned out to be one line
    while True:
        first = ahead.popleft() if ahead else next(lines, None)
        if first is None:
            return
        number, raw = first
        if raw is None:
            yield too_long(number, limit)
            continue
        taken: list[Line] = [first]
        try:
            values = next(csv.reader(_texts(taken, ahead, lines, limit), strict=True), [])
        except csv.Error as error:
            ahead.extendleft(reversed(taken[1:]))
            yield _malformed(number, error)
            continue
        raws = [raw for _, raw in taken if raw is not None]
        yield _Row(number, taken[-1][0], sum(map(len, raws)), values, all(map(_is_utf8, raws)))


def _texts(taken: list[Line], ahead: deque[Line], lines: Iterator[Line], limit: int) -> Iterator[str]:
    """Yield the first line, then further ones as long as csv.reader asks and the row stays in bounds."""
    size = 0
    line: Line | None = taken[0]
    while line is not None:
        if line is not taken[0]:
            taken.append(line)
        raw = line[1]
        size += limit + 1 if raw is None else len(raw)
        if raw is None or size > limit or len(taken) > _MAX_ROW_LINES:
            raise csv.Error("the row does not end")
        yield raw.decode(errors="surrogateescape")
        line = ahead.popleft() if ahead else next(lines, None)


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _malformed(line: int, error: csv.Error) -> Reject:
    if "field limit" in str(error):
        limit = csv.field_size_limit()
        return Reject(line, "line", f"has a column over {limit:,} characters", "shorten or split the message")
    return Reject(
        line,
        "line",
        "has a quote that is not closed, or text after a closing quote",
        'put the value between quotes (") and double the quotes in it',
    )


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
