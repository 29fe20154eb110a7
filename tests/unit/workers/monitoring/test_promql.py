"""Questions to Prometheus ask what a reader of the history answers."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.tools import needs
from workers.monitoring.export.promql import counted, duration, exposed_name, promql
from workers.monitoring.figures import COLLECTIONS, Collection, Part
from workers.monitoring.metrics import DB_QUERY_TIME, TASKS, Type

ONCE = "max without (instance, pod)"  # several gateways show the same fleet


def test_a_percentile_of_milliseconds_is_asked_of_a_histogram_of_seconds() -> None:
    buckets = f'{ONCE} (rate(ion_response_time_seconds_bucket{{endpoint!="bulk_process"}}[5m]))'

    asked = promql(COLLECTIONS["response_time"], 300, ("region",))
    assert asked == f"1000 * histogram_quantile(0.95, sum by (le, region) ({buckets}))"


def test_a_share_is_a_percentage_of_what_there_was() -> None:
    """Where nothing was asked for there is no share, rather than 0 divided by 0."""
    errors, requests = (f"sum ({ONCE} (rate(ion_{name}_total[5m])))" for name in ("errors", "requests"))

    assert promql(COLLECTIONS["error_rate_global"], 300) == f"100 * ({errors}) / ({requests} > 0)"


def test_what_is_missing_from_a_share_of_several_is_asked_of_all_of_them() -> None:
    asked = promql(COLLECTIONS["availability_global"], 300)

    assert asked.startswith("100 - 100 * (")
    assert asked.count("ion_refused_total") == 2  # among what failed, and among what was asked


def test_a_collection_of_one_region_or_endpoint_asks_for_it() -> None:
    assert '{region="eu"}' in promql(COLLECTIONS["database_lag_eu"], 60)
    assert '{endpoint="recommend"}' in promql(COLLECTIONS["response_time_recommend"], 60)


def test_a_share_of_moments_is_a_percentage() -> None:
    """The region says 1 while it can answer: 1 is 100 %."""
    assert promql(COLLECTIONS["uptime_percentage"], 60).startswith("100 * avg ")


def test_a_window_may_be_left_to_who_asks() -> None:
    asked = promql(COLLECTIONS["throughput_global"], "$__rate_interval")

    assert asked == f"sum ({ONCE} (rate(ion_requests_total[$__rate_interval])))"


def test_another_figure_of_the_same_may_be_asked_for() -> None:
    time = COLLECTIONS["database_query_time"]

    assert "histogram_quantile(0.99," in promql(time, 60, how="p99")
    assert "histogram_quantile(1," in promql(time, 60, how="high")
    assert "_sum[1m]" in promql(time, 60, how="avg")
    assert "increase(ion_database_query_time_seconds_count[1m])" in promql(time, 60, how="sum")


def test_what_became_of_tasks_is_in_the_name() -> None:
    failed = Collection("failed", Type.QUEUE, "tasks", "", "sum", (Part(TASKS, {"state": "failed"}),))

    assert promql(failed, 60) == f"sum ({ONCE} (increase(celery_task_failed_total[1m])))"
    assert exposed_name(DB_QUERY_TIME, {}) == "ion_database_query_time_seconds"


def test_a_figure_can_be_asked_how_much_it_rests_on() -> None:
    assert counted(COLLECTIONS["error_rate_global"], 300, ("region",)) == (
        f"sum by (region) ({ONCE} (increase(ion_requests_total[5m])))"
    )
    waiting = 'increase(ion_response_time_seconds_count{endpoint!="bulk_process"}[5m])'
    assert waiting in counted(COLLECTIONS["response_time"], 300)


@pytest.mark.parametrize(
    ("seconds", "written"), [(300, "5m"), (90, "90s"), (7200, "2h"), (1.5, "1500ms")], ids=str
)
def test_durations_are_written_as_prometheus_reads_them(seconds: float, written: str) -> None:
    assert duration(seconds) == written


def test_prometheus_understands_every_question(tmp_path: Path) -> None:
    asked = [promql(one, 300, by) for one in COLLECTIONS.values() for by in ((), one.by)]
    rules = [{"record": f"ion:{number}", "expr": one} for number, one in enumerate(asked)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}), encoding="utf-8")

    run = subprocess.run(
        [needs("promtool"), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
