"""Steps 1 and 2 as one: Parquet rows as items, and inputs without what is done already."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from persona_system.models import Context
from producers.bulk.coverage import NOTHING, Coverage
from producers.bulk.errors import BrokenInput, MissingExtra, UnusableInput, WrongHeader
from producers.bulk.files import Files, targets
from producers.bulk.inputs import open_input
from producers.bulk.records import Accepted, Item, Reject


def rows(path: Path, done: Coverage = NOTHING, *, ignore_columns: bool = False) -> list[Item]:
    with open_input(str(path), "parquet", done, ignore_columns=ignore_columns) as source:
        items = list(source.items)
        assert source.position() == source.total
    return items


def written(path: Path, columns: dict[str, Any], row_group: int = 1_000) -> Path:
    parquet.write_table(pa.table(columns), path, row_group_size=row_group)
    return path


def test_a_row_is_a_record_and_a_null_is_not_given(tmp_path: Path) -> None:
    table = {
        "text": ["하나", "two", None],
        "id": pa.array([7, None, 9], pa.int32()),
        "resonance_key": pa.array(["calm-medium-learning", None, None]).dictionary_encode(),
        "user_id": ["u", None, None],
    }
    first, second, third = rows(written(tmp_path / "in.parquet", table))

    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (first.line, first.callers_id, first.request.user_input) == (1, 7, "하나")
    assert (first.request.resonance_key, first.request.context) == ("calm-medium-learning", Context("u"))
    assert (second.callers_id, second.request.resonance_key, second.request.context) == (None, None, None)
    assert isinstance(third, Reject)
    assert (third.line, third.field) == (3, "user_input")


def test_a_text_that_is_not_utf8_is_rejected_alone(tmp_path: Path) -> None:
    texts = pa.array([b"good", b"\xff\xfe", b"fine"], pa.binary()).view(pa.string())
    first, second, third = rows(written(tmp_path / "in.parquet", {"text": texts}))

    assert isinstance(second, Reject)
    assert "UTF-8" in second.problem
    assert isinstance(first, Accepted)
    assert isinstance(third, Accepted)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"message": ["a"]}, "no column user_input"),
        ({"text": ["a"], "user_input": ["b"]}, "twice"),
        ({"text": ["a"], "mood": ["b"]}, "not known: mood"),
        ({"text": [1.5]}, "a column text of type double"),
        ({"text": ["a"], "id": [1.5]}, "a column id of type double"),
        ({"text": ["a"], "user_id": [1]}, "a column user_id of type int64"),
    ],
)
def test_a_schema_that_does_not_fit_is_refused(tmp_path: Path, columns: dict[str, Any], problem: str) -> None:
    with pytest.raises(WrongHeader, match=problem):
        rows(written(tmp_path / "in.parquet", columns))


def test_unknown_columns_may_be_passed_over(tmp_path: Path) -> None:
    file = written(tmp_path / "in.parquet", {"text": ["a"], "mood": [1.5]})
    assert len(rows(file, ignore_columns=True)) == 1


@pytest.mark.parametrize("content", [b"", b"no parquet at all", b"PAR1 something PAR1"])
def test_a_file_that_is_no_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.parquet").write_bytes(content)
    with pytest.raises(BrokenInput, match=r"in\.parquet cannot be read"):
        rows(tmp_path / "in.parquet")


def test_a_damaged_page_ends_the_input(tmp_path: Path) -> None:
    file = written(tmp_path / "in.parquet", {"text": [f"{number} {'x' * 50}" for number in range(20_000)]})
    data = bytearray(file.read_bytes())
    data[1_000:60_000] = b"\xff" * 59_000
    file.write_bytes(data)
    with pytest.raises(BrokenInput, match="damaged Parquet"):
        rows(file)


def test_without_pyarrow_the_way_to_get_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "in.parquet", {"text": ["a"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'ion-mentoring\[parquet\]'"):
        rows(file)
    with pytest.raises(MissingExtra):
        Files(targets("in.jsonl", str(tmp_path / "out.parquet"), None))


def test_parquet_cannot_come_from_a_pipe() -> None:
    with pytest.raises(UnusableInput, match="cannot be Parquet"), open_input("-", "parquet"):
        pass


def test_a_file_that_crashes_its_reader_takes_nothing_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "in.parquet", {"text": ["a"]})
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr("producers.bulk.parquet._PROGRAM", (sys.executable, "-S", "-c", crash))
    with pytest.raises(BrokenInput, match="crashes its reader"):
        rows(file)


SPANS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 6)), max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(SPANS, st.sampled_from(["jsonl", "csv", "parquet"]), st.integers(1, 9))
def test_what_is_done_is_passed_over_whatever_the_format(
    tmp_path: Path, spans: Sequence[tuple[int, int]], kind: Any, row_group: int
) -> None:
    done = NOTHING
    for first, length in spans:
        done = done.add(first, first + length)
    first_line = 2 if kind == "csv" else 1
    numbers = range(first_line, 41)
    if kind == "parquet":
        file = written(tmp_path / "in.parquet", {"text": [f"t{number}" for number in numbers]}, row_group)
    else:
        lines = [f'{{"text": "t{n}"}}' if kind == "jsonl" else f"t{n}" for n in numbers]
        file = tmp_path / f"in.{kind}"
        file.write_text("\n".join([*(["text"] if kind == "csv" else []), *lines]) + "\n")

    with open_input(str(file), kind, done) as source:
        items = list(source.items)

    assert [item.line for item in items] == [number for number in numbers if not done.covers(number)]
    assert all(isinstance(item, Accepted) and item.request.user_input == f"t{item.line}" for item in items)


def test_the_identity_of_an_input_is_its_size_time_and_first_bytes(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"

    def identity(content: bytes, changed_ns: int) -> str:
        file.write_bytes(content)
        os.utime(file, ns=(changed_ns, changed_ns))
        with open_input(str(file), "jsonl") as source:
            return source.identity

    known = identity(b'{"text": "a"}\n', 5)
    assert identity(b'{"text": "a"}\n', 5) == known
    assert identity(b'{"text": "b"}\n', 5) != known
    assert identity(b'{"text": "a"}\n', 6) != known
    assert identity(b'{"text": "a"}\n\n', 5) != known
