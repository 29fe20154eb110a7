"""The four rules on events, and that a burst is one finding."""

import pytest

from workers.monitoring.alerts.event_rules import EVENT_RULES, Sieve, event_rules
from workers.monitoring.events import (
    APIRequestEvent,
    CachePerformanceEvent,
    Event,
    PersonaProcessEvent,
    RoutingDecisionEvent,
)


def requests(status: int = 200, slowest_ms: float = 3.0, number: int = 1) -> APIRequestEvent:
    return APIRequestEvent(
        at_ms=1,
        region="eu",
        route="/v2/process",
        method="POST",
        status=status,
        requests=number,
        total_ms=slowest_ms,
        slowest_ms=slowest_ms,
    )


def batch(
    endpoint: str = "process", waited_ms: float = 1.0, errors: dict[str, int] | None = None
) -> PersonaProcessEvent:
    return PersonaProcessEvent(
        at_ms=1,
        region="eu",
        task="persona.process",
        queue="interactive",
        endpoint=endpoint,
        batch_id="b",
        jobs=3,
        ended={"ok": 3},
        errors=errors or {},
        queued_ms=waited_ms,
        worked_ms=1.0,
    )


def lookups(found: int, missed: int) -> CachePerformanceEvent:
    return CachePerformanceEvent(at_ms=1, region="eu", endpoint="process", local=found, missed=missed)


def routing() -> RoutingDecisionEvent:
    return RoutingDecisionEvent(
        at_ms=1,
        region="eu",
        batch_id="b",
        jobs=1,
        analysed=1,
        personas={"Lua": 1},
        mean_confidence=0.5,
        lowest_confidence=0.1,
    )


CASES: dict[str, tuple[Event, list[str]]] = {
    "good-answer": (requests(), []),
    "refused-input": (requests(status=422), []),
    "server-error": (requests(status=503), ["High Error Rate"]),
    "slow-answer": (requests(slowest_ms=2_001), ["Slow Response"]),
    "just-in-time": (requests(slowest_ms=2_000), []),
    "slow-and-wrong": (requests(status=500, slowest_ms=9_000), ["High Error Rate", "Slow Response"]),
    "good-batch": (batch(), []),
    "slow-batch": (batch(waited_ms=2_500), ["Slow Response"]),
    "nobody-waits-for-bulk": (batch("bulk_process", waited_ms=60_000), []),
    "failed-jobs": (
        batch(errors={"KeyError": 2, "ValueError": 1}),
        ["Persona Processing Error", "Persona Processing Error"],
    ),
    "warm-cache": (lookups(5, 5), []),
    "cold-cache": (lookups(4, 6), ["Low Cache Hit Rate"]),
    "one-new-job": (lookups(0, 9), []),
    "not-asked": (lookups(0, 0), []),
    "a-decision": (routing(), []),
}


@pytest.mark.parametrize(("event", "names"), CASES.values(), ids=CASES)
def test_what_the_rules_find(event: Event, names: list[str]) -> None:
    assert [finding.rule.name for finding in event_rules(event)] == names


def test_there_are_four_and_each_finding_says_where() -> None:
    assert [rule.name for rule in EVENT_RULES] == [
        "High Error Rate",
        "Slow Response",
        "Low Cache Hit Rate",
        "Persona Processing Error",
    ]
    (finding,) = event_rules(requests(status=502, number=7))
    assert finding.message == "POST /v2/process answered 502"
    assert finding.times == 7
    assert finding.fingerprint == (
        "High Error Rate",
        "method=POST",
        "region=eu",
        "route=/v2/process",
        "status=502",
    )


def test_a_burst_is_one_finding_and_the_next_one_counts_it() -> None:
    """1 passes; 9 are held; after a minute the next one says that there were 10 since."""
    now = [0.0]
    sieve = Sieve(lambda: now[0])
    passed = [sieve.passes(event_rules(requests(status=500))[0]) for _ in range(10)]
    assert [finding is not None for finding in passed] == [True] + [False] * 9
    other = sieve.passes(event_rules(requests(status=503))[0])
    assert other is not None
    now[0] = 60.0
    later = sieve.passes(event_rules(requests(status=500))[0])
    assert later is not None
    assert later.times == 10


def test_a_sieve_forgets_rather_than_grows() -> None:
    sieve = Sieve(lambda: 0.0)
    for number in range(2_000):
        assert sieve.passes(event_rules(requests(status=500 + number))[0]) is not None
    assert len(sieve._kinds) <= 500
