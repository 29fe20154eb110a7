"""What the counts of the cache say, by arithmetic that can be done by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.cache.counts import RATES, WAYS, added, report_of
from producers.cli.cache_names import short_time
from producers.cli.cache_stats import bar_cells

COUNTS = {
    "process": {
        "producer_local": 50,
        "producer_shared": 20,
        "worker_local": 6,
        "worker_shared": 4,
        "computed": 10,
        "bypassed": 10,
        "refreshed": 5,
    },
    "store": {"void": 3},
}
some_ways = st.fixed_dictionaries({way: st.integers(0, 10**9) for way in WAYS})


def test_every_rate_states_what_it_is_a_share_of() -> None:
    """100 jobs: 90 looked up, 20 not answered by producers, 34 in no own tier; 75 answered for nothing."""
    usage = report_of(COUNTS).endpoints[0]
    rates = {name: (rate.hits, rate.of) for name, rate in usage.rates().items()}

    assert usage.asked == 100
    assert rates == {"producers": (50, 90), "workers": (6, 20), "store": (24, 34), "combined": (75, 100)}
    assert usage.rates()["combined"].share == pytest.approx(0.75)


def test_what_was_never_asked_has_no_rate() -> None:
    usage = report_of({}).total
    assert [rate.share for rate in usage.rates().values()] == [None] * len(RATES)


def test_what_is_not_known_is_told_under_its_own_name() -> None:
    report = report_of({"process": {"guessed": 2}, "store": {"melted": 1}, "warm": {"loaded": 7}})

    assert report.as_json()["endpoints"]["process"]["guessed"] == 2
    assert report.store["melted"] == 1
    assert report.store["corrupt"] == 0
    assert report.others == {"warm": {"loaded": 7}}


@given(st.lists(some_ways, min_size=1, max_size=3), st.integers(0, 10**9))
def test_rates_are_shares_whatever_was_counted(jobs: list[dict[str, int]], refreshed: int) -> None:
    names = ("process", "bulk", "recommend")
    report = report_of(
        {name: {**ways, "refreshed": refreshed} for name, ways in zip(names, jobs, strict=False)}
    )

    for usage in (*report.endpoints, report.total):
        for rate in usage.rates().values():
            assert 0 <= rate.hits <= rate.of
    assert report.total.asked == sum(sum(ways.values()) for ways in jobs)
    assert added("all", report.endpoints) == report.total


@given(some_ways, st.integers(1, 200))
def test_a_bar_is_as_long_as_it_should_be(ways: dict[str, int], length: int) -> None:
    """Each way's part differs from its share by less than a cell."""
    cells = bar_cells(ways, length)
    total = sum(ways.values())

    assert sum(cells.values()) == (length if total else 0)
    for way, count in ways.items():
        assert not total or abs(cells[way] - count * length / total) < 1


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.6, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (5400, "1 h 30 min"), (-1, "0 s")],
)
def test_times_are_told_in_two_units(seconds: float, said: str) -> None:
    assert short_time(seconds) == said
