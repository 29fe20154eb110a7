"""Step 2 for CSV: the header, quoted fields over several lines, and rows that do not fit."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.models import Context
from producers.bulk.csv_rows import read_csv, read_header
from producers.bulk.errors import WrongHeader
from producers.bulk.records import Accepted, Blank, Item, Reject
from producers.bulk.sources import Line


def lines_of(data: bytes) -> list[Line]:
    return list(enumerate(data.splitlines(keepends=True), 1))


def items_of(data: bytes, *, ignore_columns: bool = False, limit: int = 10_000) -> list[Item]:
    lines = iter(lines_of(data))
    layout = read_header("in.csv", lines, ignore_columns=ignore_columns)
    return list(read_csv(lines, layout, limit))


def texts_of(items: list[Item]) -> list[str]:
    return [item.request.user_input for item in items if isinstance(item, Accepted)]


def test_columns_may_stand_in_any_order_and_empty_cells_are_not_given() -> None:
    first, second = items_of(b"id,text,user_id,resonance_key\n7,hello,u,calm-medium-learning\n,bye,,\n")

    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (first.line, first.callers_id, first.request.user_input) == (2, "7", "hello")
    assert (first.request.resonance_key, first.request.context) == ("calm-medium-learning", Context("u"))
    assert (second.callers_id, second.request.resonance_key, second.request.context) == (None, None, None)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (b"", "has no header line"),
        (b"\n", "has no header line"),
        (b"message,id\n", "no column user_input or text (found: message, id)"),
        (b"text,user_input\n", "names a column twice: user_input and text"),
        (b"text,id,id\n", "names a column twice: id"),
        (b"text,mood,colour\n", "not known: mood, colour"),
        (b"text;id\n", "no column user_input or text"),
        (b"\xff\n", "not UTF-8"),
    ],
)
def test_a_wrong_header_is_an_error_that_names_the_columns(header: bytes, problem: str) -> None:
    with pytest.raises(WrongHeader) as caught:
        items_of(header)
    assert problem in str(caught.value)
    assert caught.value.fix


def test_a_semicolon_header_is_told_to_use_commas() -> None:
    with pytest.raises(WrongHeader, match="by commas"):
        items_of(b"text;id\n")


def test_unknown_columns_can_be_passed_over() -> None:
    (item,) = items_of(b"mood,text\nhappy,hello\n", ignore_columns=True)
    assert texts_of([item]) == ["hello"]


def test_a_quoted_field_may_hold_commas_quotes_and_line_breaks() -> None:
    first, second = items_of(b'text,id\n"a, ""b""\nc",1\nd,2\n')

    assert isinstance(first, Accepted)
    assert (first.line, first.end, first.request.user_input) == (2, 3, 'a, "b"\nc')
    assert isinstance(second, Accepted)
    assert second.line == 4


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b"a,1,2\n", "has 3 columns, the header names 2"),
        (b"a\n", "has 1 column, the header names 2"),
        (b"\xff,1\n", "is not valid UTF-8"),
        (b'"a"b,1\n', "has a quote that is not closed, or text after a closing quote"),
        (b"x" * 200_000 + b",1\n", "is longer than"),
    ],
)
def test_a_wrong_row_is_rejected_and_its_neighbours_are_read(row: bytes, problem: str) -> None:
    lines = lines_of(b"text,id\nbefore,0\n" + row + b"after,9\n")
    bounded: list[Line] = [(number, raw if raw and len(raw) < 100_000 else None) for number, raw in lines]
    reader = iter(bounded)
    items = list(read_csv(reader, read_header("in.csv", reader)))

    assert texts_of(items) == ["before", "after"]
    assert isinstance(items[1], Reject)
    assert items[1].line == 3
    assert items[1].problem.startswith(problem)


def test_a_quote_that_is_never_closed_takes_only_its_own_line() -> None:
    items = items_of(b'text,id\n"open,1\n' + b"fine,2\n" * 50)
    assert len(texts_of(items)) == 50
    assert [item.line for item in items if isinstance(item, Reject)] == [2]


def test_a_row_over_the_limit_of_bytes_takes_only_its_first_line() -> None:
    items = items_of(b'text,id\n"' + b"x\n" * 20 + b'",1\nfine,2\n', limit=30)
    assert texts_of(items) == ["fine"]
    assert isinstance(items[0], Reject)


def test_empty_rows_are_blank() -> None:
    assert items_of(b"text,id\n\n  \n") == [Blank(2), Blank(3)]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), min_size=1)))
def test_what_a_csv_writer_wrote_arrives_verbatim(texts: list[str]) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["text", "id"])
    writer.writerows((text, number) for number, text in enumerate(texts))
    raws = io.BytesIO(file.getvalue().encode()).readlines()
    lines = iter(enumerate(raws, 1))

    items = list(read_csv(lines, read_header("in.csv", lines)))

    assert texts_of(items) == texts


@given(st.lists(st.sampled_from([b'"', b",", b"a", b"\n", b'""', b"\xff"]), max_size=30).map(b"".join))
def test_any_bytes_are_read_to_their_end(data: bytes) -> None:
    """Every line is in exactly one item's span, in order."""
    lines = lines_of(b"text,id\n" + data)
    items = items_of(b"text,id\n" + data)
    covered: list[int] = []
    for item in items:
        end = item.end if isinstance(item, Accepted) else item.line
        covered.extend(range(item.line, end + 1))
    assert covered == sorted(set(covered))
    accepted_or_single = {item.line for item in items}
    assert accepted_or_single <= {number for number, _ in lines}
