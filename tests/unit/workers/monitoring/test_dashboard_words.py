"""How numbers, ages and windows are written."""

import pytest

from tests.support.boards import alert
from workers.monitoring.dashboards import words
from workers.monitoring.dashboards.model import Limit, Subject
from workers.monitoring.history import Reading

P95 = Subject("response_time", "p95", "ms", "about")


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (None, "ms", "no data"),
        (0.0, "ms", "0 ms"),
        (0.42, "ms", "0.42 ms"),
        (58.64, "ms", "58.6 ms"),
        (392.4, "ms", "392 ms"),
        (1_234.0, "ms", "1.23 s"),
        (0.0735, "s", "73.5 ms"),
        (12.34, "s", "12.3 s"),
        (200.0, "s", "3.33 min"),
        (9_000.0, "s", "2.50 h"),
        (0.0, "%", "0 %"),
        (0.0016, "%", "< 0.01 %"),
        (0.27, "%", "0.27 %"),
        (88.04, "%", "88.0 %"),
        (99.987, "%", "99.98 %"),
        (99.9999, "%", "99.99 %"),
        (100.0, "%", "100 %"),
        (1_346_314.0, "jobs", "1,346,314 jobs"),
        (225_712_345.0, "jobs", "225.7 million jobs"),
        (3.0, "workers", "3 workers"),
        (2.5, "batches", "2.50 batches"),
    ],
    ids=str,
)
def test_numbers(value: float | None, unit: str, said: str) -> None:
    """Some three digits; what is not quite a hundred per cent never becomes it."""
    assert words.spoken(value, unit) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(60, "1 min"), (90, "90 s"), (300, "5 min"), (3_600, "1 h"), (72 * 3_600, "72 h"), (864_000, "10 days")],
    ids=str,
)
def test_spans(seconds: float, said: str) -> None:
    assert words.span(seconds) == said


def test_a_number_says_what_it_rests_on() -> None:
    assert words.basis(P95, Reading(40.0, "ms", 300, 7, 3.2)) == "p95 over 5 min, 3 s old"
    assert words.basis(P95, Reading(None, "ms", 300)) == "p95 over 5 min"
    assert words.limit_words(Limit("critical", "above", 200, "r"), "ms") == "critical above 200 ms"


@pytest.mark.parametrize(
    ("values", "unit", "said"),
    [
        ([0, 125, 250, 375, 500], "ms", ["0 ms", "125 ms", "250 ms", "375 ms", "500 ms"]),
        ([0, 1000, 2000, 3000, 4000], "ms", ["0 s", "1 s", "2 s", "3 s", "4 s"]),
        ([99.96, 99.97, 99.98, 99.99, 100], "%", ["99.96 %", "99.97 %", "99.98 %", "99.99 %", "100 %"]),
        ([0, 2.5, 5, 7.5, 10], "workers", ["0", "2.5", "5", "7.5", "10"]),
        ([0, 1e4, 2e4, 3e4, 4e4], "jobs", ["0 k", "10 k", "20 k", "30 k", "40 k"]),
    ],
    ids=["ms", "s", "near-100", "small", "thousands"],
)
def test_axes_have_as_many_digits_as_they_need(values: list[float], unit: str, said: list[str]) -> None:
    assert words.ticks(values, unit) == said


def test_an_alert_says_where_it_is_and_who_has_it() -> None:
    assert words.alert_state(alert()) == "region eu"
    taken = alert(state="acknowledged", acknowledged_by="mina", silenced_by="s1", labels={})
    assert words.alert_state(taken) == "acknowledged by mina, silenced"


def test_it_is_said_when_nobody_judges() -> None:
    assert words.judged(5.0) == ""
    assert "No rule has been judged yet" in words.judged(None)
    assert "5 min ago" in words.judged(300.0)
