"""What the panels of a dashboard hold, from a history small enough to check by hand."""

from collections.abc import Collection, Iterator
from typing import TypeVar

import pytest

from tests.support.boards import LIMITS, NOW_S, TheseAlerts, alert, board
from tests.support.history import MemoryHistory
from tests.support.seeded import SeededHistory
from workers.monitoring import metrics as m
from workers.monitoring.dashboards.ahead import WINDOWS_S, grid_of, step_of
from workers.monitoring.dashboards.definitions import DASHBOARDS
from workers.monitoring.dashboards.model import (
    AlertsPanel,
    ChartPanel,
    Dashboard,
    SharesPanel,
    StatPanel,
    TablePanel,
)
from workers.monitoring.dashboards.parts import Chart, Figure, Shares, Table
from workers.monitoring.figures import COLLECTIONS
from workers.monitoring.history import HOUR_S, MINUTE_S, Reader, Row

PanelT = TypeVar("PanelT", StatPanel, ChartPanel, SharesPanel, TablePanel, AlertsPanel)


def panel(made: Dashboard, kind: type[PanelT], title: str) -> PanelT:
    found = [one for one in made.panels if isinstance(one, kind) and one.title == title]
    assert len(found) == 1
    return found[0]


def reported(history: MemoryHistory, minutes: int = 60) -> MemoryHistory:
    """Let a process report in each of the last *minutes*, whatever it measured."""
    for minute in range(minutes):
        history.add(m.REPORTS, NOW_S - 4 - minute * MINUTE_S, 1)
    return history


def test_every_collection_is_on_some_dashboard() -> None:
    """Those of one region are told apart on a chart by region."""
    shown = {figure.collection for one in DASHBOARDS.values() for figure in one.figures()}
    missing = {
        name
        for name, one in COLLECTIONS.items()
        if name not in shown and (one.region is None or name.removesuffix(f"_{one.region}") not in shown)
    }
    assert missing <= {"monitoring_reports"}  # it is what the ages of counts are from


@pytest.mark.parametrize("name", DASHBOARDS)
def test_what_is_told_apart_can_be(name: str) -> None:
    for part in DASHBOARDS[name].parts:
        if isinstance(part, Chart | Shares | Table) and part.by is not None:
            for figure in part.figures:
                assert part.by in figure.source.by, (part.title, figure.collection)


def test_a_figure_that_cannot_be_told_apart_so_is_refused() -> None:
    with pytest.raises(ValueError, match="users_active cannot be told apart by region"):
        Figure("users_active", over=("region",))


@pytest.mark.parametrize("window", WINDOWS_S)
@pytest.mark.parametrize("name", DASHBOARDS)
def test_without_a_history_nothing_is_known_and_nothing_is_zero(name: str, window: str) -> None:
    made = board(MemoryHistory(), name, WINDOWS_S[window])
    assert made.age_s is None
    for one in made.panels:
        if isinstance(one, StatPanel):
            assert one.reading.value is None
            assert one.tone == "unknown"
            assert set(one.line.values) == {None}
        if isinstance(one, ChartPanel):
            assert one.traces == ()
        if isinstance(one, TablePanel):
            assert one.rows == ()


def test_a_number_has_its_window_and_its_age() -> None:
    history = MemoryHistory()
    history.add(m.RESPONSE_TIME, NOW_S - 3, 40.0, 60.0, labels=("process",), region="eu")

    reading = panel(board(history), StatPanel, "Response time").reading

    assert reading.value == pytest.approx(60, rel=0.01)
    assert (reading.window_s, reading.unit, reading.count) == (300, "ms", 2)
    assert reading.age_s == pytest.approx(3)


@pytest.mark.parametrize(
    ("slow_ms", "tone"), [(60.0, "plain"), (150.0, "high"), (400.0, "critical")], ids=["60", "150", "400"]
)
def test_a_figure_is_as_bad_as_the_strictest_rule_that_it_breaks(slow_ms: float, tone: str) -> None:
    """Above 100 ms is high, above 200 ms critical."""
    history = MemoryHistory()
    history.add(m.RESPONSE_TIME, NOW_S - 3, *[slow_ms] * 20, labels=("process",))
    assert panel(board(history), StatPanel, "Response time").tone == tone


def test_limits_hold_for_the_parts_of_a_collection_that_callers_see() -> None:
    assert [one.value for one in LIMITS.of(Figure("response_time_eu"))] == [200, 100]
    assert [one.value for one in LIMITS.of(Figure("response_time_recommend"))] == [200, 100]
    assert LIMITS.of(Figure("response_time_bulk_process")) == ()  # nobody waits for it
    assert [one.value for one in LIMITS.of(Figure("database_lag_eu"))] == [500]
    assert LIMITS.of(Figure("cache_hit_rate_l1")) == ()  # 70 % is asked of both tiers together
    assert LIMITS.of(Figure("response_time", how="p50")) == ()  # the rules judge the p95
    assert LIMITS.of(Figure("queue_latency")) == ()  # only one queue's is judged
    assert LIMITS.of(Figure("dead_letters")) == ()  # a sum grows with its window


@pytest.mark.parametrize(
    ("hits", "misses", "tone"),
    [(0, 0, "unknown"), (20, 30, "plain"), (40, 60, "medium"), (70, 30, "plain")],
    ids=["none", "too-few", "low", "at-the-limit"],
)
def test_what_rests_on_too_little_is_not_judged(hits: int, misses: int, tone: str) -> None:
    """The rule on the hit rate, 70 %, asks for a hundred look-ups."""
    history = MemoryHistory()
    if hits or misses:
        history.add(m.CACHE_HITS, NOW_S - 3, hits, labels=("l1", "process"))
        history.add(m.CACHE_MISSES, NOW_S - 3, misses, labels=("process",))
    assert panel(board(history), StatPanel, "Cache hit rate").tone == tone


def test_of_the_present_minute_there_is_a_rate_but_no_sum() -> None:
    """NOW_S is forty seconds into a minute, of which 36 s are reported: 72 jobs are 2 a second."""
    history = reported(MemoryHistory())
    history.add(m.REQUESTS, NOW_S - 10, 72, labels=("process",))

    made = board(history, "performance")

    assert panel(made, StatPanel, "Throughput").line.values[-1] == pytest.approx(2)
    assert panel(made, StatPanel, "Jobs").line.values[-1] is None
    assert panel(made, StatPanel, "Jobs").reading.value == 72


def test_what_nobody_counted_is_zero_only_where_processes_reported() -> None:
    """Ten minutes ago a letter died; for the half hour before that nobody reported."""
    history = reported(MemoryHistory(), minutes=15)
    history.add(m.DEAD_LETTERS, NOW_S - 600, 1, labels=("poison",))

    stat = panel(board(history, "reliability"), StatPanel, "Dead letters")

    assert stat.reading.value == 1
    assert stat.reading.age_s == pytest.approx(4)  # the latest report says that there are no more
    assert stat.line.values[-11] == 1
    assert stat.line.values[-5] == 0
    assert stat.line.values[-1] is None  # a minute that has just begun would look like a fall
    assert set(stat.line.values[:-15]) == {None}


def test_a_mean_is_never_made_up() -> None:
    stat = panel(board(reported(MemoryHistory()), "infrastructure"), StatPanel, "Processors")
    assert stat.reading.value is None


def test_workers_of_regions_are_added_up_and_queues_too() -> None:
    """3 and 2 workers are 5; 4 and 6 batches on two queues of one region are 10."""
    history = MemoryHistory()
    history.add(m.INSTANCES, NOW_S - 5, 3.0, 3.0, region="us")
    history.add(m.INSTANCES, NOW_S - 5, 2.0, region="eu")
    history.add(m.QUEUE_DEPTH, NOW_S - 5, 4.0, labels=("interactive",), region="us")
    history.add(m.QUEUE_DEPTH, NOW_S - 5, 6.0, labels=("bulk",), region="us")

    made = board(history)

    assert panel(made, StatPanel, "Workers").reading.value == 5
    assert panel(made, StatPanel, "Waiting batches").reading.value == 10
    regions = panel(made, TablePanel, "Regions")
    rows = {row.label: [reading.value for reading, _ in row.cells] for row in regions.rows}
    assert [column.label for column in regions.columns][-2:] == ["workers", "waiting"]
    assert rows["us"][-2:] == [3, 10]
    assert rows["eu"][-2:] == [2, None]


def test_shares_add_up_to_the_whole() -> None:
    history = MemoryHistory()
    for name, answers in {"Lua": 60, "Nana": 30, "Riri": 10}.items():
        history.add(m.PERSONAS, NOW_S - 5, answers, labels=(name,))

    shares = {
        one.label: one.percent for one in panel(board(history), SharesPanel, "Answers by mentor").shares
    }

    assert shares == {"Lua": 60, "Elro": None, "Riri": 10, "Nana": 30}


def test_a_gap_stays_a_gap() -> None:
    history = MemoryHistory()
    for minutes_ago in (30, 29, 5, 4):
        history.add(m.RESPONSE_TIME, NOW_S - minutes_ago * MINUTE_S, 20.0, labels=("process",))

    chart = panel(board(history), ChartPanel, "Response time")

    known = [place for place, value in enumerate(chart.traces[0].values) if value is not None]
    assert known == [29, 30, 54, 55]  # of sixty, the last of which is the present minute


def test_the_worst_alert_comes_first() -> None:
    alerts = [alert(id="b", level="medium"), alert(id="a", level="critical"), alert(id="c", level="high")]
    found = panel(board(MemoryHistory(), alerts=TheseAlerts(alerts)), AlertsPanel, "Open alerts")
    assert [one.id for one in found.alerts] == ["a", "c", "b"]
    assert found.age_s == pytest.approx(2)


@pytest.mark.parametrize("window_s", WINDOWS_S.values())
def test_what_is_read_ahead_says_the_same_as_the_history_itself(window_s: int) -> None:
    """Every line and the share over the window, asked of the history directly."""
    history = SeededHistory(NOW_S)
    reader, step_s = Reader(history), step_of(window_s)
    made = board(history, "performance", window_s)

    chart = panel(made, ChartPanel, "Response time")
    for trace in chart.traces:
        line = reader.line(COLLECTIONS["response_time"], NOW_S, window_s, step_s, how=trace.subject.how)
        assert (line.start_s, len(line.values)) == grid_of(NOW_S, window_s)
        assert trace.values == pytest.approx(line.values)
    stat = panel(made, StatPanel, "Response time").reading
    assert stat.value == reader.value(COLLECTIONS["response_time"], NOW_S, 300).value


def test_three_days_take_few_questions() -> None:
    class Counting(SeededHistory):
        asked = 0

        def rows(self, metrics: Collection[str], start_s: int, end_s: int, width_s: int) -> Iterator[Row]:
            self.asked += 1
            return super().rows(metrics, start_s, end_s, width_s)

    history = Counting(NOW_S)
    board(history, "overview", 72 * HOUR_S)
    assert history.asked == 2
