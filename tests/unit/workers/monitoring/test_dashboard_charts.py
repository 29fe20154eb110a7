"""Charts hold what they were given and nothing that cannot be drawn."""

import math
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workers.monitoring.dashboards.axes import moments, runs, scale_of
from workers.monitoring.dashboards.bars import bars
from workers.monitoring.dashboards.charts import chart, described
from workers.monitoring.dashboards.model import ChartPanel, Limit, Subject, Trace

UNITS = ("ms", "s", "%", "jobs", "jobs/s", "batches")
VALUES = st.one_of(st.none(), st.floats(0, 1e12), st.floats(99, 100), st.just(0.0))
LIMITS = st.lists(
    st.builds(
        Limit,
        st.sampled_from(["medium", "high", "critical"]),
        st.sampled_from(["above", "below"]),
        st.floats(0.001, 1e6),
        st.just("a_rule"),
    ),
    max_size=3,
).map(tuple)


def panel(
    values: list[list[float | None]], unit: str = "ms", limits: tuple[Limit, ...] = (), label: str = "a line"
) -> ChartPanel:
    subject = Subject("response_time", "p95", unit, "about")
    traces = tuple(Trace(label, subject, tuple(one)) for one in values)
    window_s = 60 * max((len(one) for one in values), default=60)
    return ChartPanel("A chart", unit, 1_795_396_440, 60, window_s, traces, 3.0, limits, wide=False)


@settings(deadline=None)
@given(
    st.integers(1, 80).flatmap(
        lambda count: st.lists(st.lists(VALUES, min_size=count, max_size=count), max_size=7)
    ),
    st.sampled_from(UNITS),
    LIMITS,
)
def test_whatever_is_measured_can_be_drawn(
    values: list[list[float | None]], unit: str, limits: tuple[Limit, ...]
) -> None:
    """Well-formed, without NaN or infinity, and no course leaves the frame."""
    drawn = chart(panel(values, unit, limits), "p1")

    root = ET.fromstring(drawn)  # noqa: S314 - our own
    assert not re.search(
        r"\bnan\b|\binf\b", " ".join(re.findall(r'[dxy\d]+="([^"]*)"', drawn)), re.IGNORECASE
    )
    for path in root.iter("path"):
        if "course" in path.attrib["class"]:
            for _, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path.attrib["d"]):
                assert -0.1 <= float(y) <= 160.1
    stretches = sum(len(list(runs(one))) for one in values)
    assert sum("course" in path.attrib["class"] for path in root.iter("path")) == stretches


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=200), st.integers(1, 60), st.sampled_from(UNITS))
def test_bars_are_as_wide_as_asked_and_blank_at_gaps(
    values: list[float | None], width: int, unit: str
) -> None:
    text = bars(values, width, scale_of([values], (), unit))
    assert len(text) <= width
    if all(value is None for value in values):
        assert text == ""
    if len(values) <= width:
        shown = text.ljust(len(values))
        assert [mark == " " for mark in shown] == [value is None for value in values]


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=50), LIMITS, st.sampled_from(UNITS))
@example([5e-324], (), "ms")
def test_an_axis_holds_all_values_and_its_lines_are_even(
    values: list[float | None], limits: tuple[Limit, ...], unit: str
) -> None:
    scale = scale_of([values], limits, unit)
    assert scale.low < scale.high
    assert all(math.isfinite(tick) for tick in scale.ticks())
    for value in values:
        if value is not None:
            assert scale.low <= value * (1 + 1e-9)
            assert value <= scale.high * (1 + 1e-9)


def test_a_gap_is_not_bridged_and_a_lone_value_is_a_dot() -> None:
    drawn = chart(panel([[1.0, 2.0, None, 3.0, None, 4.0, 5.0]]), "p1")
    courses = re.findall(r'class="course c0" d="([^"]*)"', drawn)
    assert len(courses) == 3
    assert courses[1].endswith(" h0.1")


@pytest.mark.parametrize(("limit", "drawn"), [(200.0, True), (5_000.0, False)], ids=["near", "far"])
def test_a_limit_is_a_line_where_it_does_not_flatten_the_course(limit: float, drawn: bool) -> None:  # noqa: FBT001
    text = chart(panel([[150.0, 180.0]], limits=(Limit("critical", "above", limit, "r"),)), "p1")
    assert ('class="limit critical"' in text) is drawn
    assert "critical above" in text  # in words it is always there


def test_availability_is_told_apart_near_a_hundred() -> None:
    scale = scale_of([[99.99, 99.98]], (Limit("critical", "below", 99.95, "availability"),), "%")
    assert 99.9 <= scale.low <= 99.95
    assert scale.high == 100


def test_what_does_not_begin_at_nothing_has_no_area() -> None:
    assert 'class="area' in chart(panel([[10.0, 20.0]]), "p1")
    assert 'class="area' not in chart(panel([[99.9, 99.8]], "%"), "p1")


def test_a_chart_is_told_in_words() -> None:
    told = described(panel([[18.0, 392.0, None, 107.0], [None] * 4]))
    assert told.startswith("p95 per 1 min, over the last 4 min; a line: from 18 ms to 392 ms, at last 107 ms")
    assert "a line: no data" in told


def test_names_cannot_break_out() -> None:
    drawn = chart(panel([[1.0]], label='<script>alert("x")</script>'), "p1")
    assert "<script" not in drawn
    ET.fromstring(drawn)  # noqa: S314 - our own


def test_moments_are_round_and_few() -> None:
    hour = list(moments(1_795_396_440, 1_795_396_440 + 3600))
    assert all(at_s % 600 == 0 for at_s in hour)
    assert 5 <= len(hour) <= 7
    days = list(moments(1_795_396_440, 1_795_396_440 + 72 * 3600))
    assert all(at_s % (12 * 3600) == 0 for at_s in days)
