"""What of a report is believed: nothing that would spoil what is kept."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.measured import NOW_S, pack, report_of
from workers.monitoring.collecting.intake import AHEAD_S, BEHIND_S, LONGEST_BYTES, read
from workers.monitoring.metrics import QUEUE_DEPTH, REQUESTS, RESPONSE_TIME
from workers.monitoring.recorder import Cell, Report
from workers.monitoring.samples import Sample, Series
from workers.monitoring.sketch import Sketch

PROCESS = ("process",)
DEPTH = Cell("queue_depth", ("bulk",), 1, 5.0, 5.0, 5.0)


def sketch(*values: float) -> bytes:
    made = Sketch()
    for value in values:
        made.add(value)
    return made.pack()


def told(*cells: Cell, **given: Any) -> bytes:
    fields = {"source": "test", "region": "eu", "at_ms": int(NOW_S * 1000)}
    return pack(Report(cells=list(cells), **{**fields, **given}))


def test_a_report_gives_its_samples() -> None:
    read_back = read(pack(report_of(RESPONSE_TIME, 5, 15, labels=PROCESS, region="eu")), NOW_S)
    ((series, sample),) = read_back.samples
    assert series == Series("eu", "response_time", PROCESS)
    assert (sample.count, sample.total, sample.low, sample.high, sample.at_s) == (2, 20, 5, 15, NOW_S)
    assert sample.sketch == Sketch.unpack(sketch(5, 15))
    assert not read_back.discarded


def test_the_same_bytes_have_the_same_id_and_others_another() -> None:
    one, other = told(DEPTH), told(DEPTH, source="another")
    assert read(one, NOW_S).id == read(one, NOW_S + 60).id != read(other, NOW_S).id


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        pytest.param(b"", "corrupt", id="nothing"),
        pytest.param(b"\xc1", "corrupt", id="no MessagePack"),
        pytest.param(b"\x91" * 100_000, "corrupt", id="too deep"),
        pytest.param(b"\xa3\xff\xff\xff", "corrupt", id="no UTF-8"),
        pytest.param(msgspec.msgpack.encode({"v": 1}), "corrupt", id="half a report"),
        pytest.param(msgspec.msgpack.encode({"v": 2, "all": "new"}), "version", id="of a version to come"),
        pytest.param(told(v=7), "version", id="of a version to come that looks alike"),
        pytest.param(told(region=""), "corrupt", id="of no region"),
        pytest.param(told(region="e\0u"), "corrupt", id="of a region with a NUL"),
        pytest.param(told(at_ms=int((NOW_S + AHEAD_S + 1) * 1000)), "clock", id="from the future"),
        pytest.param(told(at_ms=int((NOW_S - BEHIND_S - 1) * 1000)), "clock", id="from long ago"),
        pytest.param(told(at_ms=-(2**62)), "clock", id="from before time"),
        pytest.param(b"\0" * (LONGEST_BYTES + 1), "corrupt", id="too long"),
    ],
)
def test_what_is_no_report_is_discarded_as_a_whole(packed: bytes, reason: str) -> None:
    found = read(packed, NOW_S)
    assert (found.samples, found.discarded) == ((), Counter({reason: 1}))


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        pytest.param(Cell("levitation", (), 1, 1, 1, 1), "metric", id="unknown metric"),
        pytest.param(Cell("queue_depth", (), 1, 1, 1, 1), "corrupt", id="a label too few"),
        pytest.param(Cell("queue_depth", ("a", "b"), 1, 1, 1, 1), "corrupt", id="a label too many"),
        pytest.param(Cell("queue_depth", ("x" * 201,), 1, 1, 1, 1), "corrupt", id="an endless label"),
        pytest.param(Cell("queue_depth", ("a\0",), 1, 1, 1, 1), "corrupt", id="a label with a NUL"),
        pytest.param(Cell("queue_depth", ("a",), 1, float("nan"), 1, 1), "number", id="a sum that is NaN"),
        pytest.param(Cell("queue_depth", ("a",), 1, 1, float("nan"), 1), "number", id="a low that is NaN"),
        pytest.param(Cell("queue_depth", ("a",), 1, 1, 1, float("inf")), "number", id="infinity"),
        pytest.param(Cell("queue_depth", ("a",), 1, 1e300, 1, 1), "number", id="more than there is"),
        pytest.param(Cell("queue_depth", ("a",), 0, 0, 0, 0), "number", id="no values"),
        pytest.param(Cell("queue_depth", ("a",), 2**62, 1, 1, 1), "number", id="too many values"),
        pytest.param(Cell("queue_depth", ("a",), 1, 1, 2, 1), "number", id="low above high"),
        pytest.param(Cell("requests", PROCESS, 1, -1, -1, -1), "number", id="a count that falls"),
        pytest.param(Cell("response_time", PROCESS, 1, 1, 1, 1), "corrupt", id="no sketch"),
        pytest.param(Cell("response_time", PROCESS, 1, 1, 1, 1, b"\xc1"), "corrupt", id="a broken sketch"),
        pytest.param(Cell("response_time", PROCESS, 3, 1, 1, 1, sketch(1)), "corrupt", id="another's sketch"),
    ],
)
def test_a_series_that_cannot_be_costs_itself_only(cell: Cell, reason: str) -> None:
    found = read(told(cell, DEPTH), NOW_S)
    assert [series.metric for series, _ in found.samples] == ["queue_depth"]
    assert found.samples[0][0].labels == ("bulk",)
    assert found.discarded == Counter({reason: 1})


def test_a_clock_that_is_a_little_ahead_measures_now() -> None:
    """Else the minute that it is now would not show it."""
    ((_, sample),) = read(told(DEPTH, at_ms=int((NOW_S + 90) * 1000)), NOW_S).samples
    assert sample.at_s == NOW_S


def test_a_sketch_of_what_needs_none_is_left_out() -> None:
    cell = Cell("requests", PROCESS, 1, 1, 1, 1, b"whatever")
    ((_, sample),) = read(told(cell), NOW_S).samples
    assert sample == Sample(1, 1, 1, 1, NOW_S)


@given(st.binary(max_size=200))
def test_whatever_the_bytes_nothing_is_raised(packed: bytes) -> None:
    assert read(packed, NOW_S).samples == ()


@given(st.binary(max_size=3), st.integers(0, 200), st.sampled_from([REQUESTS, RESPONSE_TIME, QUEUE_DEPTH]))
def test_nor_by_a_report_with_some_bytes_changed(noise: bytes, place: int, metric: Any) -> None:
    packed = pack(report_of(metric, 1, 2, labels=PROCESS))
    read(packed[:place] + noise + packed[place + len(noise) :], NOW_S)
