"""What a process measures is added up, bounded, and never an error of whoever measures."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.monitoring.metrics import (
    CPU,
    DISCARDED,
    MOST_SERIES,
    OTHER,
    REFUSED,
    REQUESTS,
    RESPONSE_TIME,
    USERS,
)
from workers.monitoring.recorder import (
    MOST_USERS,
    Cell,
    MemoryRecorder,
    NullRecorder,
    Report,
    digest_of,
)
from workers.monitoring.sketch import Sketch

PLACE = ("process",)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(clock: Clock) -> MemoryRecorder:
    return MemoryRecorder("eu", "a worker", clock)


def cells(report: Report) -> dict[tuple[str, tuple[str, ...]], Cell]:
    return {(cell.metric, cell.labels): cell for cell in report.cells}


def test_counts_add_up_and_values_become_a_sketch(recorder: MemoryRecorder) -> None:
    recorder.count(REQUESTS, 3, PLACE)
    recorder.count(REQUESTS, 4, PLACE)
    recorder.measure(RESPONSE_TIME, 10.0, 9, PLACE)
    recorder.measure_all(RESPONSE_TIME, [30.0], PLACE)
    report = recorder.take()
    found = cells(report)

    assert (report.region, report.source) == ("eu", "a worker")
    requests, times = found["requests", PLACE], found["response_time", PLACE]
    assert (requests.count, requests.total) == (2, 7)
    assert (times.count, times.total, times.low, times.high) == (10, 120, 10, 30)
    assert times.sketch is not None
    assert Sketch.unpack(times.sketch).quantile(0.9) == pytest.approx(10, rel=0.01)


def test_what_was_taken_is_not_reported_again(recorder: MemoryRecorder) -> None:
    recorder.count(REQUESTS, 1, PLACE)
    recorder.take()

    assert recorder.take().cells == []


def test_a_report_stands_in_the_middle_of_its_time(recorder: MemoryRecorder, clock: Clock) -> None:
    clock.now_s += 10

    assert recorder.take().at_ms == 1_005_000


@pytest.mark.parametrize("step_s", [-3_600.0, 86_400.0], ids=["back", "forward"])
def test_a_clock_that_is_set_moves_no_report_into_the_past(
    recorder: MemoryRecorder, clock: Clock, step_s: float
) -> None:
    """The middle between the old time and the new one is no time at all."""
    clock.now_s += step_s

    assert recorder.take().at_ms == int(clock.now_s * 1000)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e300], ids=["nan", "inf", "beyond-reason"])
def test_what_is_no_number_is_left_out_and_counted(recorder: MemoryRecorder, value: float) -> None:
    recorder.measure(RESPONSE_TIME, value, 5, PLACE)
    recorder.measure_all(RESPONSE_TIME, [value, 2.0], PLACE)
    recorder.count(REQUESTS, value, PLACE)
    recorder.measure(CPU, value)
    found = cells(recorder.take())

    assert found["response_time", PLACE].count == 1
    assert ("requests", PLACE) not in found
    assert found[DISCARDED.name, ("number",)].total == 4


def test_labels_without_end_become_other(recorder: MemoryRecorder) -> None:
    for number in range(MOST_SERIES + 50):
        recorder.count(REQUESTS, 1, (f"endpoint {number}",))
    recorder.count(REQUESTS, 1, ("endpoint 0",))
    found = cells(recorder.take())

    assert len([metric for metric, _ in found if metric == "requests"]) == MOST_SERIES + 1
    assert found["requests", (OTHER,)].total == 50
    assert found["requests", ("endpoint 0",)].total == 2
    assert found[DISCARDED.name, ("labels",)].total == 50


def test_the_bound_on_labels_holds_for_the_process_not_for_a_report(recorder: MemoryRecorder) -> None:
    for number in range(2 * MOST_SERIES):
        recorder.count(REQUESTS, 1, (f"endpoint {number}",))
        if number == MOST_SERIES:
            recorder.take()
    names = {cell.labels for cell in recorder.take().cells if cell.metric == "requests"}

    assert names == {(OTHER,)}


@pytest.mark.parametrize(
    "labels", [(), ("a", "b", "c"), ("x" * 101, "full")], ids=["none", "too-many", "too-long"]
)
def test_labels_that_do_not_fit_become_other(recorder: MemoryRecorder, labels: tuple[str, ...]) -> None:
    recorder.count(REFUSED, 1, labels)

    assert cells(recorder.take())["refused", (OTHER, OTHER)].total == 1


def test_people_leave_the_process_as_digests(recorder: MemoryRecorder) -> None:
    recorder.saw("kim")
    recorder.saw("kim")
    recorder.saw("\udce9")  # half a character, as a broken client may send it
    users = recorder.take().users

    assert sorted(users) == sorted([digest_of("kim"), digest_of("\udce9")])
    assert all(len(digest) == 8 for digest in users)
    assert recorder.take().users == []


def test_people_are_bounded(recorder: MemoryRecorder) -> None:
    for number in range(MOST_USERS + 10):
        recorder.saw(str(number))

    assert len(recorder.take().users) == MOST_USERS


@given(
    st.lists(st.tuples(st.floats(), st.integers(1, 1_000), st.text(max_size=300)), max_size=30),
)
def test_nothing_that_is_measured_raises(taken: list[tuple[float, int, str]]) -> None:
    recorder = MemoryRecorder("local", "test", lambda: 0.0)
    for value, times, label in taken:
        recorder.count(REQUESTS, value, (label,))
        recorder.measure(RESPONSE_TIME, value, times, (label,))
        recorder.measure(USERS, value, times)
        recorder.saw(label)
    report = recorder.take()

    assert all(math.isfinite(cell.total) for cell in report.cells)


def test_the_null_takes_everything() -> None:
    null = NullRecorder()
    null.count(REQUESTS, 1, PLACE)
    null.measure(RESPONSE_TIME, math.nan, 1, PLACE)
    null.measure_all(RESPONSE_TIME, [1.0], PLACE)
    null.saw("kim")
