"""Figures of the past: what is a gap, what is a share, and that minutes and hours tell the same."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.history import MemoryHistory
from workers.monitoring.figures import COLLECTIONS
from workers.monitoring.history import FINE_S, HOUR_S, Reader
from workers.monitoring.metrics import (
    CACHE_HITS,
    CACHE_MISSES,
    ERRORS,
    PERSONAS,
    QUEUE_AGE,
    REFUSED,
    REQUESTS,
    RESPONSE_TIME,
    UP,
)

NOW_S = 1_800_000_000.0 + 30  # in the midst of the first minute of an hour
PROCESS, RECOMMEND = ("process",), ("recommend",)


@pytest.fixture
def history() -> MemoryHistory:
    return MemoryHistory()


@pytest.fixture
def reader(history: MemoryHistory) -> Reader:
    return Reader(history)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_what_was_not_measured_is_a_gap(reader: Reader, name: str) -> None:
    reading = reader.value(COLLECTIONS[name], NOW_S, 300)
    assert (reading.value, reading.count, reading.age_s) == (None, 0, None)
    assert set(reader.line(COLLECTIONS[name], NOW_S, 300, 60).values) == {None}


def test_a_gap_in_a_line_stays_one(history: MemoryHistory, reader: Reader) -> None:
    for minutes_ago in (4, 3, 0):
        history.add(RESPONSE_TIME, NOW_S - 60 * minutes_ago, 10, labels=PROCESS)
    line = reader.line(COLLECTIONS["response_time"], NOW_S, 300, 60, how="avg")
    assert line.values == (10, 10, None, None, 10)
    assert line.start_s == NOW_S - 30 - 240


def test_a_reading_tells_its_window_its_count_and_its_age(history: MemoryHistory, reader: Reader) -> None:
    history.add(REQUESTS, NOW_S - 90, 30, labels=PROCESS)
    history.add(REQUESTS, NOW_S - 20, 12, labels=RECOMMEND)
    history.add(REQUESTS, NOW_S - 400, 1_000, labels=PROCESS)
    reading = reader.value(COLLECTIONS["requests_total"], NOW_S, 300)
    assert (reading.value, reading.count, reading.window_s) == (42, 42, 300)
    assert reading.age_s == pytest.approx(20)


def test_shares_are_of_sums_and_not_of_shares(history: MemoryHistory, reader: Reader) -> None:
    """1 of 10 failed here, 0 of 990 there: 0.1 %, and not the 5 % that the mean of both would be."""
    for labels, jobs, failed in ((PROCESS, 10, 1), (RECOMMEND, 990, 0)):
        history.add(REQUESTS, NOW_S, jobs, labels=labels)
        history.add(ERRORS, NOW_S, failed, labels=labels)
    assert reader.value(COLLECTIONS["error_rate_global"], NOW_S, 300).value == pytest.approx(0.1)
    by_endpoint = reader.by(COLLECTIONS["error_rate_global"], NOW_S, 300, ("endpoint",))
    assert {labels: reading.value for labels, reading in by_endpoint.items()} == {PROCESS: 10, RECOMMEND: 0}


def test_availability_is_what_is_left_of_errors_and_refusals(history: MemoryHistory, reader: Reader) -> None:
    """90 answered of 97 that ended and 3 that were not taken, 7 of which failed: 90 %."""
    history.add(REQUESTS, NOW_S, 97, labels=PROCESS)
    history.add(ERRORS, NOW_S, 7, labels=PROCESS)
    history.add(REFUSED, NOW_S, 3, labels=("process", "overloaded"))
    assert reader.value(COLLECTIONS["availability_global"], NOW_S, 300).value == pytest.approx(90)


def test_each_tier_has_its_own_share(history: MemoryHistory, reader: Reader) -> None:
    """Of 100 look-ups 50 end in the process and 30 of the others in the store: 80 %, 50 %, 60 %."""
    history.add(CACHE_HITS, NOW_S, 50, labels=("l1", "process"))
    history.add(CACHE_HITS, NOW_S, 30, labels=("l2", "process"))
    history.add(CACHE_MISSES, NOW_S, 20, labels=PROCESS)
    rates = [
        reader.value(COLLECTIONS[f"cache_hit_rate{tier}"], NOW_S, 300).value for tier in ("", "_l1", "_l2")
    ]
    assert rates == [80, 50, 60]


def test_regions_and_labels_are_told_apart_where_they_are_asked_for(
    history: MemoryHistory, reader: Reader
) -> None:
    for region, value in (("eu", 10), ("us", 20), ("us", 40)):
        history.add(RESPONSE_TIME, NOW_S, value, labels=PROCESS, region=region)
    by_region = reader.by(COLLECTIONS["response_time"], NOW_S, 300, ("region",), how="high")
    assert {labels: reading.value for labels, reading in by_region.items()} == {("eu",): 10, ("us",): 40}
    assert reader.value(COLLECTIONS["response_time_eu"], NOW_S, 300, how="high").value == 10
    assert reader.value(COLLECTIONS["response_time_asia"], NOW_S, 300).value is None


def test_who_answered_how_often(history: MemoryHistory, reader: Reader) -> None:
    for persona, answers in (("Lua", 3), ("Elro", 4)):
        history.add(PERSONAS, NOW_S, answers, labels=(persona,))
    assert reader.value(COLLECTIONS["persona_elro_count"], NOW_S, 300).value == 4


def test_uptime_is_the_share_of_looks_at_which_it_was_up(history: MemoryHistory, reader: Reader) -> None:
    history.add(UP, NOW_S, 1, 1, 1, 0)
    assert reader.value(COLLECTIONS["uptime_percentage"], NOW_S, 300).value == 75


def test_the_oldest_of_all_queues_is_the_latency(history: MemoryHistory, reader: Reader) -> None:
    history.add(QUEUE_AGE, NOW_S, 1.5, labels=("interactive",))
    history.add(QUEUE_AGE, NOW_S - 120, 40, labels=("bulk",))
    assert reader.value(COLLECTIONS["queue_latency"], NOW_S, 300).value == 40


times = st.lists(
    st.tuples(st.integers(0, 24 * HOUR_S - 1), st.floats(0.1, 1_000), st.sampled_from([PROCESS, RECOMMEND])),
    min_size=1,
    max_size=40,
)


@given(times)
def test_hours_and_minutes_agree(measured: list[tuple[int, float, tuple[str, ...]]]) -> None:
    """What four windows of six hours hold by the minute, one of a day holds by the hour."""
    history = MemoryHistory()
    end_s = int(NOW_S) // HOUR_S * HOUR_S
    for ago_s, value, labels in measured:
        history.add(RESPONSE_TIME, end_s - 1 - ago_s, value, labels=labels)
    reader, response_time = Reader(history), COLLECTIONS["response_time"]
    day = reader.value(response_time, end_s - 1, 24 * HOUR_S, how="p95")
    parts = [
        reader.value(response_time, end_s - 1 - FINE_S * part, FINE_S, how="sum").value for part in range(4)
    ]
    whole = reader.value(response_time, end_s - 1, 24 * HOUR_S, how="sum").value
    assert whole == pytest.approx(sum(part for part in parts if part is not None))
    values = sorted(value for _, value, _ in measured)
    assert day.count == len(values)
    assert day.value == pytest.approx(values[max(1, math.ceil(0.95 * len(values))) - 1], rel=0.0101)
    by_hour = reader.line(response_time, end_s - 1, 24 * HOUR_S, HOUR_S, how="sum").values
    assert sum(part for part in by_hour if part is not None) == pytest.approx(whole)
