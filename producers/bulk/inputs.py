"""Steps 1 and 2 as one: an input of any format, as items, without those that are done already."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from producers.bulk.coverage import NOTHING, Coverage
from producers.bulk.csv_rows import read_csv, read_header
from producers.bulk.errors import UnusableInput
from producers.bulk.jsonl import read_jsonl
from producers.bulk.parquet import open_parquet
from producers.bulk.records import Item
from producers.bulk.sources import STDIN, Format, identity_of, open_file, open_source, starting_at


@dataclass(frozen=True, slots=True)
class Input:
    """An open input: its *items*, and how far it is read of how much (None when nobody can know).

    *position* and *total* are in bytes, or rows for Parquet.  *done* covers what is no item, such as a
    header.  *identity* tells it from another input.
    """

    name: str
    items: Iterator[Item]
    position: Callable[[], int]
    total: int | None
    identity: str = ""
    done: Coverage = NOTHING


@contextmanager
def open_input(
    path: str, kind: Format, done: Coverage = NOTHING, *, ignore_columns: bool = False
) -> Iterator[Input]:
    """Open *path*, which is of format *kind*; raise UnusableInput or MissingExtra if that fails.

    What *done* covers is passed over: as a whole up to its first gap, item by item beyond.
    """
    if kind == "parquet":
        if path == STDIN:
            raise UnusableInput("standard input", "cannot be Parquet", "name a file: its index is at its end")
        with open_file(path) as raw:
            identity = identity_of(path, raw)
        with open_parquet(path, ignore_columns=ignore_columns, upto=done.upto) as rows:
            items = _not_in(done, read_jsonl(rows.lines()))
            yield Input(path, items, rows.position, rows.total, identity, done)
        return
    with open_source(path) as source:
        lines = source.lines
        if kind == "csv":
            layout = read_header(source.name, lines, ignore_columns=ignore_columns)
            done = done.add(1, 1)
            items = read_csv(starting_at(lines, done.upto + 1), layout)
        else:
            items = read_jsonl(starting_at(lines, done.upto + 1))
        yield Input(source.name, _not_in(done, items), source.position, source.total, source.identity, done)


def _not_in(done: Coverage, items: Iterator[Item]) -> Iterator[Item]:
    return (item for item in items if not done.covers(item.line)) if done.beyond else items
