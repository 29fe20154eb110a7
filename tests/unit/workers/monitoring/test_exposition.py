"""What Prometheus gets to read of the fleet, read back with its own parser and checked by its own tool."""

import subprocess
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.registry import Collector

from tests.support.history import MemoryHistory
from tests.support.tools import needs
from workers.monitoring import metrics
from workers.monitoring.export.exposition import BUCKETS_S, FRESH_S, Fleet, families, read_fleet
from workers.monitoring.export.promql import exposed_name
from workers.monitoring.export.totals import Total
from workers.monitoring.metrics import METRICS, Kind
from workers.monitoring.samples import Sample, Series
from workers.monitoring.sketch import Sketch

NOW_S = 1_790_000_030.0


class MemoryTotals:
    """What was taken, added up for good."""

    def __init__(self) -> None:
        self._samples: dict[Series, Sample] = {}

    def add(
        self, metric: metrics.Metric, *values: float, labels: tuple[str, ...] = (), region: str = "eu"
    ) -> None:
        """Take *values* of *metric*; of a count, each is a rise."""
        sample = self._samples.setdefault(Series(region, metric.name, labels), Sample())
        for value in values:
            one = Sample(1, value, value, value, NOW_S)
            if metric.kind is Kind.DISTRIBUTION:
                one.sketch = Sketch()
                one.sketch.add(value)
            sample.merge(one)

    def totals(self) -> Iterator[Total]:
        """Yield all."""
        for series, sample in self._samples.items():
            yield Total(series, sample)


class Shown(Collector):
    """The fleet's metrics, for prometheus_client's encoders."""

    def __init__(self, history: MemoryHistory, totals: MemoryTotals, now_s: float = NOW_S) -> None:
        self._fleet = read_fleet(history, totals, now_s)

    def collect(self) -> Iterator[Family]:
        """Yield them."""
        yield from families(self._fleet, "local")

    def value(self, name: str, /, **labels: str) -> float | None:
        """Return the sample of that name and these labels, if there is one."""
        for family in read_text(generate_latest(self).decode()):
            for sample in family.samples:
                if (sample.name, sample.labels) == (name, labels):
                    return sample.value
        return None


@pytest.fixture
def totals() -> MemoryTotals:
    return MemoryTotals()


@pytest.fixture
def history() -> MemoryHistory:
    return MemoryHistory()


@pytest.fixture
def everything() -> Shown:
    """Something of every metric, of two regions."""
    totals, history = MemoryTotals(), MemoryHistory()
    for metric, region in product(METRICS.values(), ("eu", "us")):
        labels = tuple("failed" if label == "state" else f'a "{label}"\n' for label in metric.labels)
        if metric.kind is Kind.GAUGE:
            history.add(metric, NOW_S, 0.5, labels=labels, region=region)
        else:
            totals.add(metric, 1, 2, labels=labels, region=region)
    return Shown(history, totals)


def test_every_metric_is_shown_under_its_name_with_its_help(everything: Shown) -> None:
    shown = {family.name: family for family in read_text(generate_latest(everything).decode())}

    for metric in METRICS.values():
        family = shown[exposed_name(metric, {"state": "failed"}).removesuffix("_total")]
        assert family.samples
        if metric is not metrics.TASKS:
            assert family.documentation == metric.about


def test_prometheus_finds_nothing_to_complain_of(everything: Shown) -> None:
    run = subprocess.run(
        [needs("promtool"), "check", "metrics"],
        input=generate_latest(everything),
        capture_output=True,
        check=False,
    )

    assert (run.returncode, run.stderr) == (0, b"")


def test_openmetrics_is_valid_too(everything: Shown) -> None:
    text = generate_openmetrics(everything).decode()  # type: ignore[no-untyped-call] # it has no annotations

    names = {family.name for family in read_openmetrics(text)}  # type: ignore[no-untyped-call] # likewise
    assert {"ion_requests", "celery_task_failed", "ion_response_time_seconds"} <= names


def test_a_count_is_its_total_and_begins_with_nothing(history: MemoryHistory, totals: MemoryTotals) -> None:
    """Prometheus sees how much a series rose, but not what it began with: so it begins with 0."""
    totals.add(metrics.REQUESTS, 3, 4, labels=("process",))
    value = Shown(history, totals).value

    assert value("ion_requests_total", region="eu", endpoint="process") == 7
    assert value("ion_requests_total", region="eu", endpoint="recommend") == 0
    assert value("ion_errors_total", region="eu", endpoint="process") == 0
    assert value("ion_errors_total", region="local", endpoint="process") == 0
    assert value("ion_dead_letters_total", region="eu", reason="crashed") == 0


def test_a_distribution_of_milliseconds_is_a_histogram_of_seconds(
    history: MemoryHistory, totals: MemoryTotals
) -> None:
    """4, 80 and 190 ms: one up to 5 ms, two up to 0.1 s, all up to 0.2 s; 274 ms together."""
    totals.add(metrics.RESPONSE_TIME, 4, 80, 190, labels=("process",))
    value = Shown(history, totals).value

    def of(suffix: str, **labels: str) -> float | None:
        return value(f"ion_response_time_seconds_{suffix}", region="eu", endpoint="process", **labels)

    bounds = ("0.001", "0.005", "0.075", "0.1", "0.2", "1800.0", "+Inf")
    assert [of("bucket", le=bound) for bound in bounds] == [0, 1, 1, 2, 3, 3, 3]
    assert of("count") == 3
    assert of("sum") == pytest.approx(0.274)


@given(
    st.lists(st.floats(0, 1e7), min_size=1, max_size=50),
    st.lists(st.floats(1e-3, 1e7), min_size=1, unique=True),
)
def test_adding_up_buckets_is_counting_up_to_each_bound(values: list[float], bounds: list[float]) -> None:
    sketch = Sketch()
    for value in values:
        sketch.add(value)

    bounds.sort()
    assert sketch.cumulated(bounds) == [*map(sketch.at_most, bounds), len(values)]


def test_a_gauge_is_what_the_latest_minute_says(history: MemoryHistory, totals: MemoryTotals) -> None:
    """Processors are a mean; a queue's oldest batch is the oldest; a worker that was away is not up."""
    for at_s, values in ((NOW_S - 60, (90.0,)), (NOW_S, (20.0, 40.0))):
        history.add(metrics.CPU, at_s, *values, region="eu")
        history.add(metrics.QUEUE_AGE, at_s, *values, labels=("interactive",), region="eu")
    history.add(metrics.WORKER_UP, NOW_S, 1, 0, labels=("w1",), region="eu")
    value = Shown(history, totals).value

    assert value("ion_cpu_utilization_ratio", region="eu") == pytest.approx(0.3)
    assert value("ion_queue_oldest_age_seconds", region="eu", queue_name="interactive") == 40
    assert value("celery_worker_up", region="eu", hostname="w1") == 0


@pytest.mark.parametrize(
    ("age_s", "there"), [(FRESH_S - 5, True), (FRESH_S + 5, False)], ids=["fresh", "stale"]
)
def test_a_gauge_that_nobody_measures_any_more_is_gone(
    history: MemoryHistory, totals: MemoryTotals, age_s: float, *, there: bool
) -> None:
    history.add(metrics.QUEUE_DEPTH, NOW_S - age_s, 7, labels=("bulk",), region="eu")
    value = Shown(history, totals).value

    assert (value("celery_queue_length", region="eu", queue_name="bulk") is not None) is there


def test_tasks_are_named_as_the_common_exporter_does(history: MemoryHistory, totals: MemoryTotals) -> None:
    totals.add(metrics.TASKS, 5, labels=("persona.process", "succeeded"))
    totals.add(metrics.WORK_TIME, 0.004, labels=("persona.process",))
    totals.add(metrics.QUEUE_WAIT, 0.06, labels=("persona.process", "interactive"))
    shown = Shown(history, totals)

    def value(metric: str, **labels: str) -> float | None:
        return shown.value(f"celery_task_{metric}", region="eu", name="persona.process", **labels)

    assert (value("succeeded_total"), value("failed_total")) == (5, 0)
    assert value("runtime_bucket", le="0.005") == 1
    assert value("queue_wait_time_count", queue_name="interactive") == 1


def test_what_another_version_wrote_in_its_own_way_is_left_out() -> None:
    sample = Sample(1, 1, 1, 1, NOW_S)
    unknown = Total(Series("eu", "of_the_future"), sample)
    relabelled = Total(Series("eu", "requests", ("process", "and more")), sample)
    fleet = Fleet((unknown, relabelled), (), NOW_S)

    assert all(sample.value == 0 for family in families(fleet, "local") for sample in family.samples)


def test_the_age_of_a_fleet_is_that_of_its_latest_measurement(totals: MemoryTotals) -> None:
    assert read_fleet(MemoryHistory(), totals, NOW_S).age_s is None

    totals.add(metrics.REPORTS, 1)
    assert read_fleet(MemoryHistory(), totals, NOW_S + 7).age_s == 7


def test_buckets_hold_the_limits_of_the_alert_rules() -> None:
    """A percentile is found between two bounds; at a bound it is exact."""
    assert {0.1, 0.2} <= set(BUCKETS_S)
