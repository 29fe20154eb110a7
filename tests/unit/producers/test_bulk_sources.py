"""Step 1: lines with bounded memory, whatever the file holds."""

import gzip
import io
import random
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pytest

from producers.bulk.errors import BrokenInput, UnusableInput
from producers.bulk.sources import format_of, open_source, starting_at


def test_lines_are_numbered_from_one_and_a_missing_last_newline_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(b"a\n\nb")

    with open_source(str(file)) as source:
        assert list(source.lines) == [(1, b"a\n"), (2, b"\n"), (3, b"b")]
        assert (source.position(), source.total) == (4, 4)


def test_a_long_line_is_skipped_without_being_held_and_its_neighbours_are_read(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    with file.open("wb") as out:
        out.write(b"before\n")
        for _ in range(100):
            out.write(b"x" * 1_000_000)
        out.write(b"\nafter\n")

    tracemalloc.start()
    with open_source(str(file)) as source:
        lines = list(source.lines)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert lines == [(1, b"before\n"), (2, None), (3, b"after\n")]
    assert peak_bytes < 5_000_000


@pytest.mark.parametrize(("length", "kept"), [(9, True), (10, True), (11, False)])
def test_the_limit_counts_the_bytes_before_the_newline(tmp_path: Path, length: int, *, kept: bool) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(b"x" * length + b"\nnext")

    with open_source(str(file), max_line_bytes=10) as source:
        assert list(source.lines) == [(1, b"x" * length + b"\n" if kept else None), (2, b"next")]


def test_a_gzip_file_is_unpacked_and_its_position_is_that_of_the_packed_bytes(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl.gz"
    file.write_bytes(gzip.compress(b"a\nb\n" * 1000))

    with open_source(str(file)) as source:
        assert len(list(source.lines)) == 2000
        assert source.position() == source.total == file.stat().st_size


def test_standard_input_is_read_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"a\nb\n")))

    with open_source("-") as source:
        assert list(source.lines) == [(1, b"a\n"), (2, b"b\n")]
        assert source.total is None


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(b"\xef\xbb\xbf{}\n")

    with open_source(str(file)) as source:
        assert list(source.lines) == [(1, b"{}\n")]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("in.jsonl", "text\n".encode("utf-16"), "UTF-16"),
        ("in.jsonl.gz", b"no gzip at all", "cannot be read"),
        ("in.jsonl.gz", gzip.compress(b"a\n", mtime=0)[:8], "damaged"),
    ],
)
def test_a_file_of_the_wrong_kind_fails_before_any_work(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)

    with pytest.raises(UnusableInput, match=problem), open_source(str(file)):
        pass


def test_a_gzip_file_that_ends_too_early_gives_what_it_has_then_says_so(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl.gz"
    packed = gzip.compress(b"".join(b"%r\n" % random.Random(n).random() for n in range(100_000)))
    file.write_bytes(packed[: len(packed) // 2])

    read = 0
    with pytest.raises(BrokenInput, match="damaged"), open_source(str(file)) as source:  # noqa: PT012
        for _ in source.lines:
            read += 1
    assert read > 1000


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(UnusableInput, match=r"absent\.jsonl cannot be read"),
        open_source(str(tmp_path / "absent.jsonl")),
    ):
        pass


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.jsonl", "jsonl"), ("a.NDJSON", "jsonl"), ("a.csv", "csv"), ("a.csv.gz", "csv"), ("-", "jsonl")],
)
def test_the_name_tells_the_format(path: str, expected: str) -> None:
    assert format_of(path) == expected


@pytest.mark.parametrize("path", ["a.txt", "a", "a.gz", "a.tsv"])
def test_a_name_that_tells_no_format_asks_for_one(path: str) -> None:
    with pytest.raises(UnusableInput, match="--format"):
        format_of(path)


def test_skipped_lines_keep_the_numbers_of_the_others() -> None:
    lines = [(1, b"a"), (2, b"b"), (3, b"c")]
    assert list(starting_at(iter(lines), 2)) == lines[1:]
