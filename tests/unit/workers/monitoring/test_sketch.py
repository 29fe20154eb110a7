"""Sketches: within one percent, however they are merged, and sound when they come back."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.monitoring.samples import Sample
from workers.monitoring.sketch import ACCURACY, CorruptSketch, Sketch

SHARES = (0.0, 0.01, 0.5, 0.95, 0.99, 1.0)
values = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=60)
some = st.lists(st.floats(-10, 1e10, allow_nan=False), max_size=30)


def sketch_of(given: list[float]) -> Sketch:
    sketch = Sketch()
    for value in given:
        sketch.add(value)
    return sketch


def merged(*sketches: Sketch) -> Sketch:
    result = Sketch()
    for sketch in sketches:
        result.merge(sketch)
    return result


def nearest_rank(given: list[float], share: float) -> float:
    return sorted(given)[max(1, math.ceil(share * len(given))) - 1]


@given(values)
def test_a_quantile_is_within_one_percent_of_the_value_at_its_rank(given: list[float]) -> None:
    for share in SHARES:
        found = sketch_of(given).quantile(share)
        assert found == pytest.approx(nearest_rank(given, share), rel=ACCURACY * 1.000_001)


@given(st.lists(values, min_size=1, max_size=6))
def test_and_stays_so_however_many_are_merged(parts: list[list[float]]) -> None:
    whole = merged(*map(sketch_of, parts))
    given = [value for part in parts for value in part]
    assert whole == sketch_of(given)
    assert whole.count == len(given)
    assert whole.quantile(0.95) == pytest.approx(nearest_rank(given, 0.95), rel=ACCURACY * 1.000_001)


@given(some, some, some)
def test_order_and_grouping_do_not_matter(one: list[float], two: list[float], three: list[float]) -> None:
    a, b, c = map(sketch_of, (one, two, three))
    assert merged(a, b) == merged(b, a)
    assert merged(merged(a, b), c) == merged(a, merged(b, c))
    assert merged(a, Sketch()) == a


@given(some)
def test_it_comes_back_as_it_was_packed(given: list[float]) -> None:
    sketch = sketch_of(given)
    back = Sketch.unpack(sketch.pack())
    assert (back, back.count) == (sketch, len(given))


@given(values, st.integers(1, 1_000))
def test_many_of_one_value_are_as_many_times_one(given: list[float], times: int) -> None:
    at_once = Sketch()
    for value in given:
        at_once.add(value, times)
    assert at_once == merged(*[sketch_of(given)] * times)


@given(st.binary(max_size=60))
def test_other_bytes_are_a_sketch_or_corrupt(packed: bytes) -> None:
    try:
        sketch = Sketch.unpack(packed)
    except CorruptSketch:
        return
    assert Sketch.unpack(sketch.pack()) == sketch
    assert sketch.count == sum(sketch.bins.values())


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x91\x05", id="a bin without a count"),
        pytest.param(b"\x92\x05\x00", id="a bin with nothing in it"),
        pytest.param(b"\x92\x05\xff", id="less than nothing"),
        pytest.param(b"\x94\x05\x01\x00\x01", id="a bin twice"),
        pytest.param(b"\x92\xcd\xff\xff\x01", id="a bin out of range"),
        pytest.param(b"\x92\x05\xcf" + b"\xff" * 8, id="more than can be counted"),
        pytest.param(b"\x92\x05\xa1x", id="a text"),
    ],
)
def test_what_cannot_be_is_refused(packed: bytes) -> None:
    with pytest.raises(CorruptSketch):
        Sketch.unpack(packed)


def test_zero_and_less_count_as_zero_and_the_edges_hold_what_is_beyond() -> None:
    sketch = sketch_of([-5.0, 0.0, 1e-9, 1e12])
    assert [sketch.quantile(share) for share in (0.25, 0.5)] == [0, 0]
    assert sketch.quantile(0.75) == pytest.approx(1e-6, rel=0.02)
    assert sketch.quantile(1.0) == pytest.approx(1e9, rel=0.02)


def test_nan_has_no_place_and_an_empty_sketch_no_quantile() -> None:
    with pytest.raises(ValueError, match="NaN"):
        Sketch().add(math.nan)
    assert Sketch().quantile(0.5) is None


@given(values, values)
def test_samples_add_up_in_any_order(one: list[float], two: list[float]) -> None:
    def sample_of(given: list[float]) -> Sample:
        return Sample(len(given), math.fsum(given), min(given), max(given), len(given), sketch_of(given))

    both, other = sample_of(one), sample_of(two)
    both.merge(sample_of(two))
    other.merge(sample_of(one))
    assert both == other
    assert (both.count, both.low, both.high) == (len(one + two), min(one + two), max(one + two))
