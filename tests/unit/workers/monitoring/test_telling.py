"""Events become measurements in one place, wait to go out, and reach whoever listens."""

import pytest

from tests.support.measuring import ListRecorder
from workers.monitoring.events import (
    APIRequestEvent,
    CachePerformanceEvent,
    Event,
    PersonaProcessEvent,
    RoutingDecisionEvent,
)
from workers.monitoring.telling import EventBuffer, Tellers, endpoint_of, record

WHERE = {"at_ms": 1, "region": "eu"}


def cache_event(**changes: object) -> CachePerformanceEvent:
    return CachePerformanceEvent(**{**WHERE, "endpoint": "process", **changes})  # type: ignore[arg-type]


PROCESSED = PersonaProcessEvent(
    at_ms=1,
    region="eu",
    task="persona.process",
    queue="interactive",
    endpoint="process",
    batch_id="b",
    jobs=5,
    ended={"ok": 4, "failed": 1},
    personas={"Lua": 3, "Elro": 1},
    again=2,
    queued_ms=500.0,
    worked_ms=20.0,
)


def test_a_batch_tells_its_wait_its_work_its_retries_and_its_mentors() -> None:
    recorder = ListRecorder()
    record(PROCESSED, recorder)

    assert recorder.taken == [
        ("queue_wait", ("persona.process", "interactive"), 0.5),
        ("work_time", ("persona.process",), 0.02),
        ("retries", ("persona.process",), 2),
        ("persona_answers", ("Lua",), 3),
        ("persona_answers", ("Elro",), 1),
    ]


def test_a_queue_that_is_none_of_ours_is_other() -> None:
    recorder = ListRecorder()
    event = PersonaProcessEvent(
        at_ms=1, region="eu", task="t", queue="hers", endpoint="process", batch_id="b", jobs=0, ended={}
    )
    record(event, recorder)

    assert recorder.taken[0][:2] == ("queue_wait", ("t", "other"))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (cache_event(local=2, shared=3, missed=1), {"l1": 2, "l2": 3, "missed": 1}),
        (cache_event(look="first", local=2, missed=8), {"l1": 2}),
        (cache_event(look="again", local=1, missed=7), {"l1": 1, "missed": 7}),
        (cache_event(bypassed=9), {}),
    ],
    ids=["only-look", "producer", "worker-after-it", "not-asked"],
)
def test_each_look_up_is_counted_once(event: CachePerformanceEvent, expected: dict[str, int]) -> None:
    """What a producer misses goes on to a worker, whose misses are final: 2 + (1 + 7) of 10 jobs."""
    recorder = ListRecorder()
    record(event, recorder)
    found = {labels[0] if name == "cache_hits" else "missed": value for name, labels, value in recorder.taken}

    assert found == expected


@pytest.mark.parametrize(("look", "rate"), [("first", 0.5), ("only", 0.5), ("again", None)])
def test_a_second_look_has_no_hit_rate(look: str, rate: float | None) -> None:
    """A worker is asked for what a producer did not find: it finds next to nothing, and all is well."""
    assert cache_event(look=look, local=1, missed=1).hit_rate == rate


def test_requests_are_counted_by_route_and_status() -> None:
    recorder = ListRecorder()
    record(
        APIRequestEvent(
            at_ms=1,
            region="eu",
            route="/api/v2/process",
            method="POST",
            status=200,
            requests=7,
            total_ms=9.0,
            slowest_ms=5.0,
        ),
        recorder,
    )

    assert recorder.taken == [("http_requests", ("/api/v2/process", "200"), 7)]


def test_bulk_has_its_own_name_among_endpoints() -> None:
    assert [endpoint_of(name) for name in ("process", "recommend", "bulk")] == [
        "process",
        "recommend",
        "bulk_process",
    ]


def test_a_buffer_is_bounded_and_counts_what_it_drops() -> None:
    buffer = EventBuffer(most=2)
    for _ in range(5):
        buffer.tell(PROCESSED)

    assert buffer.take() == ([PROCESSED, PROCESSED], 3)
    assert buffer.take() == ([], 0)


def test_a_listener_that_fails_is_in_nobody_s_way(caplog: pytest.LogCaptureFixture) -> None:
    recorder, heard = ListRecorder(), list[Event]()

    def fail(_: Event) -> None:
        raise RuntimeError("with words of a person")

    tellers = Tellers((fail, heard.append), recorder)
    routing = RoutingDecisionEvent(
        at_ms=1,
        region="eu",
        batch_id="b",
        jobs=1,
        analysed=0,
        personas={},
        mean_confidence=1,
        lowest_confidence=1,
    )
    tellers(routing)
    tellers(routing)

    assert heard == [routing, routing]
    assert recorder.taken == [("monitoring_discarded", ("listener",), 1)] * 2
    assert [record.getMessage() for record in caplog.records] == ["a listener of events fails: RuntimeError"]
