"""The rule for how the service is, on findings made up for each case."""

import math

import pytest

from producers.admission import QueueState
from producers.gateway.monitoring.condition import HEARD_S, STALE_S, Finding, Seen, ServiceState
from producers.gateway.service_schemas import Condition

NOW = 1_000.0
NAMES = ("broker", "replies", "workers", "cache", "database")


def seen(condition: Condition = "operational", age_s: float = 0.5, good_s: float | None = None) -> Seen:
    """A finding of *age_s* ago; *good_s*: since when it is not good any more."""
    good_at = NOW - age_s if condition != "down" else -math.inf if good_s is None else NOW - good_s
    return Seen(Finding(condition), NOW - age_s, 1.5, good_at)


def state(**changes: Seen | None) -> ServiceState:
    """All is well, but for *changes*."""
    return ServiceState({**{name: seen() for name in NAMES}, **changes}, NOW)


def test_with_everything_there_it_is_operational_and_nothing_is_missing() -> None:
    assert (state().condition, state().missing()) == ("operational", [])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("condition", ["degraded", "down"])
def test_only_what_a_new_message_needs_takes_the_service_down(name: str, condition: Condition) -> None:
    """Without broker, reply store or worker nothing new is answered; cache and keys can be away."""
    vital = name in {"broker", "replies", "workers"}
    expected = "down" if vital and condition == "down" else "degraded"

    assert state(**{name: seen(condition)}).condition == expected


@pytest.mark.parametrize("name", ["broker", "replies", "workers"])
def test_before_the_first_look_it_is_down_and_not_ready(name: str) -> None:
    unseen = state(**{name: None})

    assert (unseen.condition, unseen.missing()) == ("down", [name])
    assert unseen.dependencies()[name] == {
        "status": "down",
        "latency_ms": None,
        "detail": "nobody has looked yet",
    }


@pytest.mark.parametrize(("age_s", "condition"), [(STALE_S, "operational"), (STALE_S + 0.1, "degraded")])
def test_what_is_stale_is_not_relied_on(age_s: float, condition: Condition) -> None:
    stale = state(broker=seen(age_s=age_s))

    assert (stale.condition, stale.missing()) == (condition, [])
    assert (stale.dependencies()["broker"]["detail"] is None) == (condition == "operational")


def test_what_was_down_stays_down_when_it_is_stale() -> None:
    assert state(replies=seen("down", age_s=STALE_S + 1)).condition == "down"


@pytest.mark.parametrize(("heard_s", "missing"), [(HEARD_S, []), (HEARD_S + 0.1, ["workers"])])
def test_a_worker_that_restarts_leaves_the_process_ready(heard_s: float, missing: list[str]) -> None:
    """One was heard of 10 s ago at most: health says at once that there is none, readiness waits."""
    restarting = state(workers=seen("down", good_s=heard_s))

    assert (restarting.condition, restarting.missing()) == ("down", missing)


@pytest.mark.parametrize("name", ["broker", "replies"])
def test_a_server_that_is_away_is_missing_at_once(name: str) -> None:
    assert state(**{name: seen("down", good_s=1.0)}).missing() == [name]


def test_a_look_that_hangs_ends_readiness_too() -> None:
    """Nobody has said that the broker is away, but nobody has heard of it either."""
    assert state(broker=seen(age_s=HEARD_S + 0.1)).missing() == ["broker"]


def test_queues_and_workers_are_those_of_the_last_look() -> None:
    queues = (("interactive", QueueState(3, 0.5)),)
    found = state(broker=Seen(Finding(queues=queues), NOW), workers=Seen(Finding(workers=2), NOW))

    assert (found.queues(), found.workers()) == (queues, 2)
    assert (state(broker=None).queues(), state(workers=None).workers()) == ((), None)
