"""Whether a rule is broken, each kind of detection by a table."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.monitoring.alerts.detection import Evidence, absent, along, judge
from workers.monitoring.alerts.rule import Anomaly, Correlation, Rule, Trend
from workers.monitoring.alerts.rules import load_rules
from workers.monitoring.alerts.statistics import Values, correlation, robust_score, slope
from workers.monitoring.history import Reading

RULES = load_rules()


def rule(**given: Any) -> Rule:
    fields = {
        "name": "slow",
        "level": "high",
        "collection": "response_time",
        "comparison": "above",
        "threshold": 100.0,
    }
    return Rule(**{**fields, **given})


def reading(value: float | None, count: float = 1_000, age_s: float = 3.0) -> Reading:
    return Reading(value, "ms", 300, count, age_s)


THRESHOLDS = {
    "slow": ("response_time_critical", 201, 1_000, "broken"),
    "at-the-limit": ("response_time_critical", 200, 1_000, "fine"),
    "quick": ("response_time_critical", 12, 1_000, "fine"),
    "slow-but-few": ("response_time_critical", 900, 19, "unknown"),
    "nothing": ("response_time_critical", None, 0, "unknown"),
    "3-errors-of-100": ("error_rate_critical", 3, 100, "broken"),
    "2-errors-of-100": ("error_rate_critical", 2, 100, "unknown"),
    "no-errors": ("error_rate_critical", 0, 100, "fine"),
    "all-of-10-failed": ("error_rate_critical", 100, 10, "broken"),
    "all-of-9-failed": ("error_rate_critical", 100, 9, "unknown"),
    "3-of-5000-unanswered": ("availability", 99.94, 5_000, "broken"),
    "1-of-1000-unanswered": ("availability", 99.9, 1_000, "unknown"),
    "all-answered": ("availability", 100, 1_000, "fine"),
    "cold-cache": ("cache_hit_rate", 40, 500, "broken"),
    "cold-cache-hardly-used": ("cache_hit_rate", 0, 99, "unknown"),
    "warm-cache": ("cache_hit_rate", 70, 500, "fine"),
    "busy": ("cpu_utilization", 80.1, 5, "broken"),
    "idle": ("cpu_utilization", 3, 5, "fine"),
    "a-worker-gone": ("workers_missing", 50, 12, "broken"),
    "all-workers": ("workers_missing", 100, 12, "fine"),
}


@pytest.mark.parametrize(("name", "value", "count", "finding"), THRESHOLDS.values(), ids=THRESHOLDS)
def test_thresholds(name: str, value: float | None, count: float, finding: str) -> None:
    verdict = judge(RULES[name], reading(value, count))
    assert (verdict.finding, verdict.value) == (finding, value)
    assert verdict.said


def test_a_verdict_is_a_sentence_with_its_units() -> None:
    assert judge(rule(), reading(231.4)).said == "p95 of response_time over 5 min is 231.4 ms, above 100 ms"
    errors = judge(RULES["error_rate_critical"], reading(3.0, 100)).said
    assert errors == "share of error_rate_global over 5 min is 3 % of 100, above 1 %"
    assert judge(rule(), reading(31.4)).said == "p95 of response_time over 5 min is 31.4 ms, not above 100 ms"


FLAT: Values = [10.0, 11.0, 9.0, 10.0, 12.0, 10.0, 9.0, 11.0, 10.0, 10.0]
NOISY: Values = [10.0, 300.0, 50.0, 200.0, 90.0, 10.0, 280.0, 120.0, 30.0, 170.0]
ANOMALIES = {
    "unlike-before": (FLAT, 150.0, "broken"),
    "like-before": (NOISY, 150.0, "fine"),
    "within-the-threshold": (FLAT, 90.0, "fine"),
    "nothing-known-of-before": ([None] * 60, 150.0, "unknown"),
    "gaps-are-left-out": ([*FLAT, *[None] * 50], 150.0, "broken"),
}


@pytest.mark.parametrize(("before", "value", "finding"), ANOMALIES.values(), ids=ANOMALIES)
def test_anomalies(before: Values, value: float, finding: str) -> None:
    """10 +- 1 makes 150 some 94 deviations; 105 +- 125 makes it less than one."""
    verdict = judge(rule(detection=Anomaly()), reading(value), Evidence(before=before))
    assert verdict.finding == finding


def test_what_falls_is_unusual_for_a_rule_on_too_little_only() -> None:
    low = rule(detection=Anomaly(), comparison="below", threshold=5.0)
    assert judge(low, reading(1.0), Evidence(before=FLAT)).finding == "broken"
    assert judge(rule(detection=Anomaly(), threshold=0.5), reading(1.0), Evidence(before=FLAT)).value == 1.0
    assert not judge(rule(detection=Anomaly(), threshold=0.5), reading(1.0), Evidence(before=FLAT)).broken


TRENDS = {
    "rising": ([100.0, 120.0, 140.0, 160.0, 180.0], "broken"),
    "rising-slowly": ([170.0, 172.0, 175.0, 178.0, 180.0], "fine"),
    "falling": ([500.0, 400.0, 300.0, 200.0, 180.0], "fine"),
    "one-outlier": ([180.0, 181.0, 9_000.0, 180.0, 182.0], "fine"),
    "gaps": ([100.0, None, None, 160.0, 180.0], "unknown"),
}


@pytest.mark.parametrize(("recent", "finding"), TRENDS.values(), ids=TRENDS)
def test_trends(recent: Values, finding: str) -> None:
    """20 a minute is the limit: 100 to 180 in four minutes is just that."""
    growing = rule(detection=Trend(per_minute=20.0))
    assert judge(growing, reading(180.0), Evidence(recent=recent)).finding == finding


CORRELATIONS = {
    "in-step": ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], "broken"),
    "against": ([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], "broken"),
    "unrelated": ([1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0], "fine"),
    "standing-still": ([3.0] * 8, "unknown"),
    "too-short": ([1.0, 2.0], "unknown"),
}


@pytest.mark.parametrize(("other", "finding"), CORRELATIONS.values(), ids=CORRELATIONS)
def test_correlations(other: Values, finding: str) -> None:
    detection = Correlation(other="cpu_utilization")
    recent: Values = [100.0, 110.0, 120.0, 130.0, 140.0, 150.0, 160.0, 170.0]
    verdict = judge(rule(detection=detection), reading(170.0), Evidence(recent=recent, other=other))
    assert verdict.finding == finding


def test_absence_is_an_alert_only_of_what_was_there() -> None:
    missed = rule(absent_s=300)
    assert absent(missed, reading(1.0, age_s=299)).finding == "fine"
    assert absent(missed, reading(1.0, age_s=301)).finding == "broken"
    assert absent(missed, Reading(None, "ms", 300)).finding == "unknown"


def test_what_moved_along_is_told_with_what_it_was() -> None:
    """The queue rose with the response time; the processors did not, and people just came and went."""
    target: Values = [*([50.0] * 25), *([400.0] * 5)]
    others: dict[str, tuple[str, Values]] = {
        "queue_latency": ("s", [*([0.1] * 25), *([3.2] * 5)]),
        "cpu_utilization": ("%", [30.0, 31.0] * 15),
        "throughput_global": ("jobs/s", [None] * 30),
        "cache_miss_count": ("jobs", [*([5.0, 90.0, 40.0, 10.0, 70.0] * 5), *([60.0] * 5)]),
    }
    assert [str(moved) for moved in along(target, others)] == ["queue_latency 3.2 s (was 0.1 s)"]
    assert along([], others) == []


numbers = st.lists(st.floats(-1e9, 1e9) | st.none(), max_size=40)


@given(numbers, numbers)
def test_statistics_are_defined_for_whatever_is_measured(ones: Values, others: Values) -> None:
    close = correlation(ones, others)
    assert close is None or -1 <= close <= 1
    score = robust_score(5.0, ones)
    assert score is None or math.isfinite(score)
    rise = slope(ones)
    assert rise is None or abs(rise) <= 2e9
