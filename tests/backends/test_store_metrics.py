"""What was measured, in every kind of database there is."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.databases import postgresql_database
from tests.support.measured import NOW_S, measured
from workers.monitoring.collecting.intake import read
from workers.monitoring.figures import COLLECTIONS
from workers.monitoring.history import HOUR_S, MINUTE_S, Reader
from workers.monitoring.metrics import OTHER, QUEUE_DEPTH, REQUESTS, RESPONSE_TIME, UP
from workers.monitoring.samples import Sample, Series
from workers.store import metric_sums
from workers.store.engine import Store, open_store
from workers.store.errors import StoreUnavailable
from workers.store.metric_history import SqlHistory, open_history
from workers.store.metric_store import MetricStore
from workers.store.metric_tables import REPORTS, SAMPLES, SERIES

DAY_S = 24 * HOUR_S
PROCESS = ("process",)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ion.db'}"
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as made:
        with made.writing() as connection:
            for table in (REPORTS, SERIES):
                connection.execute(sa.delete(table))
        yield made


@pytest.fixture
def metrics(store: Store) -> MetricStore:
    return MetricStore(store)


@pytest.fixture
def history(store: Store) -> SqlHistory:
    return SqlHistory(store)


def found(history: SqlHistory, metric: str, width_s: int = MINUTE_S) -> dict[tuple[Series, int], Sample]:
    """Return all that is kept of *metric*."""
    rows = history.rows({metric}, 0, int(NOW_S) + 1_000 * DAY_S, width_s)
    return {(row.series, row.start_s): row.sample for row in rows}


def test_reports_of_many_processes_become_one_minute(metrics: MetricStore, history: SqlHistory) -> None:
    """3 jobs and 4 more, told at two times: 7, the latest of them 31 s into the minute."""
    metrics.add([measured(REQUESTS, 3, labels=PROCESS)], NOW_S)
    metrics.add([measured(REQUESTS, 4, labels=PROCESS, at_s=NOW_S + 31)], NOW_S + 31)
    series = Series("local", "requests", PROCESS)
    assert found(history, "requests") == {(series, int(NOW_S)): Sample(2, 7, 3, 4, NOW_S + 31)}


def test_regions_labels_and_minutes_are_kept_apart(metrics: MetricStore, history: SqlHistory) -> None:
    for region, label, at_s in (("eu", "process", 0), ("us", "process", 0), ("us", "recommend", 60)):
        metrics.add([measured(REQUESTS, 1, labels=(label,), region=region, at_s=NOW_S + at_s)], NOW_S + at_s)
    assert {
        (series.region, *series.labels, start_s - NOW_S) for series, start_s in found(history, "requests")
    } == {
        ("eu", "process", 0),
        ("us", "process", 0),
        ("us", "recommend", 60),
    }


def test_percentiles_come_out_as_they_went_in(metrics: MetricStore, history: SqlHistory) -> None:
    """1 ms to 1,000 ms in ten reports of as many processes: the 95th percentile is 950 ms, within 1 %."""
    reports = [measured(RESPONSE_TIME, *range(n, 1_001, 10), labels=PROCESS) for n in range(1, 11)]
    metrics.add(reports, NOW_S)
    reading = Reader(history).value(COLLECTIONS["response_time"], NOW_S + 30, 300)
    assert reading.count == 1_000
    assert reading.value == pytest.approx(950, rel=0.01)


def test_the_same_report_counts_once(metrics: MetricStore, history: SqlHistory) -> None:
    one, other = measured(REQUESTS, 1, labels=PROCESS), measured(REQUESTS, 1, labels=PROCESS)
    assert metrics.add([one, one], NOW_S).reports == (one,)
    assert metrics.add([other, one], NOW_S + 5).reports == (other,)
    assert metrics.add([one, other], NOW_S + 10).reports == ()
    (sample,) = found(history, "requests").values()
    assert sample.total == 2


def test_a_report_of_which_nothing_can_be_used_is_known_all_the_same(
    metrics: MetricStore, history: SqlHistory
) -> None:
    rubbish = read(b"no report", NOW_S)
    assert metrics.add([rubbish], NOW_S).reports == (rubbish,)
    assert metrics.add([rubbish], NOW_S).reports == ()
    assert list(history.totals()) == []


def test_a_report_that_cannot_be_added_leaves_nothing_behind(
    metrics: MetricStore, history: SqlHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its id, too, is forgotten: it can be added later."""
    report = measured(REQUESTS, 1, labels=PROCESS)
    with monkeypatch.context() as patch:
        patch.setattr("workers.store.metric_store.add_to_spans", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            metrics.add([report], NOW_S)
    assert metrics.add([report], NOW_S).reports == (report,)
    assert [total.sample.total for total in history.totals()] == [1]


def test_hours_hold_what_their_minutes_hold_however_late_it_came(
    metrics: MetricStore, history: SqlHistory
) -> None:
    for late_s in (0, 60, 3_540, 3_600, 70 * HOUR_S, 60):
        metrics.add([measured(RESPONSE_TIME, 10, 20 + late_s, labels=PROCESS, at_s=NOW_S - late_s)], NOW_S)
    hours: dict[tuple[Series, int], Sample] = {}
    for (series, start_s), sample in found(history, "response_time").items():
        hours.setdefault((series, start_s // HOUR_S * HOUR_S), Sample()).merge(sample)
    assert found(history, "response_time", HOUR_S) == hours
    assert len(hours) == 3


def test_many_at_once_add_up_as_one_after_the_other_would(metrics: MetricStore, history: SqlHistory) -> None:
    """Six threads are given the same reports, each in an order of its own, of series that are all new."""
    reports = [measured(QUEUE_DEPTH, n, labels=(f"queue {n % 7}",)) for n in range(60)]

    def add_all(thread: int) -> None:
        shuffled = random.Random(thread).sample(reports, len(reports))
        for begin in range(0, len(shuffled), 10):
            metrics.add(shuffled[begin : begin + 10], NOW_S)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(add_all, range(6)))
    for kept in (found(history, "queue_depth").values(), [total.sample for total in history.totals()]):
        assert sum(sample.total for sample in kept) == sum(range(60))


def test_totals_are_of_all_time(metrics: MetricStore, history: SqlHistory) -> None:
    for day in range(3):
        report = measured(RESPONSE_TIME, 10, labels=PROCESS, at_s=NOW_S + day * DAY_S)
        metrics.add([report], NOW_S + day * DAY_S)
    (total,) = history.totals()
    assert total.series == Series("local", "response_time", PROCESS)
    assert (total.sample.count, total.sample.total, total.sample.at_s) == (3, 30, NOW_S + 2 * DAY_S)
    assert total.sample.sketch is not None
    assert total.sample.sketch.count == 3


def test_too_many_series_of_a_metric_become_one(
    metrics: MetricStore, history: SqlHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metric_sums, "MOST_SERIES", 2)
    names = [measured(QUEUE_DEPTH, 1, labels=(f"queue {n}",)) for n in range(4)]
    assert metrics.add(names[:1], NOW_S).crowded == 0
    assert metrics.add(names[1:], NOW_S).crowded == 2
    labels = sorted(series.labels[0] for series, _ in found(history, "queue_depth"))
    assert labels == [OTHER, "queue 0", "queue 1"]


# -- forgetting -------------------------------------------------------------------------------------


def running(metrics: MetricStore, now_s: float) -> None:
    """Measure something in each of the last ten minutes."""
    metrics.add([measured(UP, 1, at_s=now_s - minute * 60) for minute in range(10)], now_s)


def test_minutes_go_after_three_days_and_hours_after_ninety(
    metrics: MetricStore, history: SqlHistory
) -> None:
    for days in (91, 89, 4, 2, 0):
        at_s = NOW_S - days * DAY_S
        metrics.add([measured(QUEUE_DEPTH, days, labels=("bulk",), at_s=at_s)], at_s)
    running(metrics, NOW_S)
    metrics.tidy(NOW_S)
    minutes, hours = (found(history, "queue_depth", width_s).values() for width_s in (MINUTE_S, HOUR_S))
    assert sorted(sample.total for sample in minutes) == [0, 2]
    assert sorted(sample.total for sample in hours) == [0, 2, 4, 89]


def test_what_nobody_measures_any_more_is_forgotten_with_its_last_hour(
    metrics: MetricStore, history: SqlHistory
) -> None:
    metrics.add([measured(QUEUE_DEPTH, 1, labels=("old",), at_s=NOW_S - 91 * DAY_S)], NOW_S - 91 * DAY_S)
    running(metrics, NOW_S)
    metrics.tidy(NOW_S)
    assert {total.series.metric for total in history.totals()} == {"up"}


def test_a_clock_that_is_wrong_for_some_minutes_has_nothing_deleted(
    metrics: MetricStore, history: SqlHistory
) -> None:
    """A year ahead: what is measured there goes when the clock is right again; what was before it stays."""
    running(metrics, NOW_S)
    wrong_s = NOW_S + 365 * DAY_S
    metrics.add([measured(UP, 0, at_s=wrong_s)], wrong_s)
    assert metrics.tidy(wrong_s) == 0
    running(metrics, NOW_S + 600)
    metrics.tidy(NOW_S + 600)
    assert len(found(history, "up")) == 20
    (total,) = history.totals()
    assert total.sample.at_s == NOW_S + 600


def test_ids_of_reports_are_kept_for_a_day(metrics: MetricStore, store: Store) -> None:
    for hours in (30, 20):
        metrics.add([measured(REQUESTS, 1, labels=PROCESS)], NOW_S - hours * HOUR_S)
    running(metrics, NOW_S)
    metrics.tidy(NOW_S)
    with store.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(REPORTS)) == 1 + 10


# -- reading ----------------------------------------------------------------------------------------


def test_another_process_sees_what_was_added_at_once(url: str, metrics: MetricStore) -> None:
    with open_history(url) as history:
        for n in (1, 2, 3):
            metrics.add([measured(REQUESTS, 1, labels=PROCESS)], NOW_S)
            assert sum(sample.total for sample in found(history, "requests").values()) == n


def test_what_another_version_measures_is_left_alone(
    metrics: MetricStore, history: SqlHistory, store: Store
) -> None:
    metrics.add([measured(REQUESTS, 1, labels=PROCESS)], NOW_S)
    for change in ({"metric": "levitation"}, {"metric": "requests", "labels": '["a", "b"]'}):
        with store.writing() as connection:
            connection.execute(sa.update(SERIES).values(change))
        assert found(history, "requests") == {}
        assert list(history.totals()) == []
        running(metrics, NOW_S)
        metrics.tidy(NOW_S)
        with store.writing() as connection:
            connection.execute(sa.delete(SERIES).where(SERIES.c.metric == "up"))


def test_a_damaged_sketch_costs_percentiles_and_nothing_else(
    metrics: MetricStore, history: SqlHistory, store: Store
) -> None:
    metrics.add([measured(RESPONSE_TIME, 5, 15, labels=PROCESS)], NOW_S)
    with store.writing() as connection:
        for table in (SERIES, SAMPLES):
            connection.execute(sa.update(table).values(sketch=b"\xc1 no sketch"))
    response_time = COLLECTIONS["response_time"]
    reader = Reader(history)
    assert reader.value(response_time, NOW_S, 300).value is None
    assert reader.value(response_time, NOW_S, 300, how="avg").value == 10
    metrics.add([measured(RESPONSE_TIME, 40, labels=PROCESS)], NOW_S)
    assert reader.value(response_time, NOW_S, 300).value == pytest.approx(40, rel=0.01)


def test_a_history_makes_no_database(tmp_path: Path) -> None:
    with open_history(f"sqlite:///{tmp_path / 'ion.db'}") as history, pytest.raises(StoreUnavailable):
        history.totals()
    assert not (tmp_path / "ion.db").exists()
