"""What is counted of a request, and how the counts of several processes become one."""

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from producers.gateway.call import Call
from producers.gateway.monitoring.meter import Counts, RequestMeter, SharedCounts, sharing, unpacked
from producers.gateway.monitoring.metrics import BUCKETS_S
from tests.support.wait import wait_until

PROCESS = "/api/v2/process"


def call(route: str | None = PROCESS, method: str = "POST", took_s: float = 0.004, **noted: object) -> Call:
    """A call that began *took_s* ago; *route* None: its address is nobody's."""
    scope = {"headers": [], "method": method}
    made = Call.of(scope if route is None else {**scope, "route": SimpleNamespace(path=route)})
    made.started -= took_s
    for name, value in noted.items():
        setattr(made, name, value)
    return made


def meter_of(*ended: tuple[Call, int]) -> RequestMeter:
    meter = RequestMeter()
    for one, status in ended:
        meter.began()
        meter.answered(one, status)
    return meter


def counted(*ended: tuple[Call, int]) -> Counts:
    return unpacked(meter_of(*ended).packed())


def test_requests_are_counted_by_route_method_and_class_of_the_status() -> None:
    counts = counted((call(), 200), (call(), 202), (call(), 503), (call("/livez", "GET"), 200))

    assert counts.requests == {
        (PROCESS, "POST", "2xx"): 2,
        (PROCESS, "POST", "5xx"): 1,
        ("/livez", "GET", "2xx"): 1,
    }


@pytest.mark.parametrize(
    ("one", "status", "labels"),
    [
        (call(None, "GET"), 404, ("none", "GET", "4xx")),
        (call(PROCESS, "BREW"), 405, (PROCESS, "other", "4xx")),
        (call(), 0, (PROCESS, "POST", "none")),
    ],
    ids=["no-route", "odd-method", "caller-gone"],
)
def test_nothing_that_callers_make_up_becomes_a_label(
    one: Call, status: int, labels: tuple[str, str, str]
) -> None:
    assert counted((one, status)).requests == {labels: 1}


@pytest.mark.parametrize(
    ("took_s", "bucket"), [(0.0004, 0), (0.004, 2), (40.0, len(BUCKETS_S) - 1), (3_600.0, len(BUCKETS_S))]
)
def test_a_duration_falls_into_the_first_bucket_that_holds_it(took_s: float, bucket: int) -> None:
    durations = counted((call(took_s=took_s), 200)).durations[PROCESS]

    assert [place for place, count in enumerate(durations.buckets) if count] == [bucket]
    assert durations.total_s == pytest.approx(took_s, abs=0.3)


def test_jobs_answers_and_refusals_are_counted_from_what_the_call_notes() -> None:
    counts = counted(
        (call(jobs=5, cache_hits=3, cache_misses=1), 200),
        (call(jobs=1), 202),
        (call(code="OVERLOADED"), 503),
    )

    assert (counts.jobs, counts.cache_hits, counts.cache_misses) == (6, 3, 1)
    assert counts.refusals == {"OVERLOADED": 1}


def test_what_has_not_ended_is_in_flight() -> None:
    meter = RequestMeter()
    meter.began()
    meter.began()
    meter.answered(call(), 200)

    assert unpacked(meter.packed()).in_flight == 1


def test_counts_of_two_processes_add_up() -> None:
    ours = counted((call(jobs=1), 200), (call("/livez", "GET"), 200))
    ours.add(counted((call(jobs=2, code="X"), 200), (call(code="X"), 500)))

    assert ours.requests == {
        (PROCESS, "POST", "2xx"): 2,
        ("/livez", "GET", "2xx"): 1,
        (PROCESS, "POST", "5xx"): 1,
    }
    assert [sum(durations.buckets) for durations in ours.durations.values()] == [3, 1]
    assert (ours.jobs, ours.refusals, ours.processes) == (3, {"X": 2}, 2)


def test_processes_find_each_others_counts_and_not_their_own(tmp_path: Path) -> None:
    first, second = SharedCounts(tmp_path), SharedCounts(tmp_path)
    first.leave(meter_of((call(), 200)).packed())
    first.leave(meter_of((call(), 200), (call(), 200)).packed())
    assert first.of_others() == []

    (found,) = second.of_others()
    assert (found.requests, found.processes) == ({(PROCESS, "POST", "2xx"): 2}, 1)


def test_what_an_ended_process_has_counted_stays_but_what_it_was_doing_does_not(tmp_path: Path) -> None:
    """A counter never falls; a request in flight ended with its process."""
    script = (
        "import sys; from pathlib import Path\n"
        "from producers.gateway.monitoring.meter import RequestMeter, SharedCounts\n"
        "meter = RequestMeter(); meter.began(); meter._counts.jobs = 7\n"
        "SharedCounts(Path(sys.argv[1])).leave(meter.packed())\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)

    (found,) = SharedCounts(tmp_path).of_others()
    assert (found.jobs, found.in_flight, found.processes) == (7, 0, 0)


def test_a_copy_is_left_again_and_again_and_at_the_end(tmp_path: Path) -> None:
    shared, other = SharedCounts(tmp_path), SharedCounts(tmp_path)
    meter = RequestMeter()

    def jobs_are(expected: int) -> bool:
        return sum(counts.jobs for counts in other.of_others()) == expected

    async def story() -> None:
        async with sharing(meter, shared, every_s=0.001):
            for jobs in (1, 2):
                meter.began()
                meter.answered(call(jobs=1), 200)
                await asyncio.to_thread(wait_until, partial(jobs_are, jobs))
            meter.began()
            meter.answered(call(jobs=1), 200)

    asyncio.run(story())
    assert jobs_are(3)


def test_copies_that_are_left_at_once_do_not_lose_each_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At its end a process leaves its last copy, while an earlier one may be under way in a thread."""
    shared = SharedCounts(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(shared.leave, [RequestMeter().packed()] * 400))

    assert caplog.records == []


def test_a_directory_that_is_gone_costs_counts_and_no_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = SharedCounts(tmp_path / "gone")
    shared.leave(b"")
    shared.leave(b"")

    assert [record.getMessage() for record in caplog.records] == [
        "metrics lack what this process counts: No such file or directory"
    ]
