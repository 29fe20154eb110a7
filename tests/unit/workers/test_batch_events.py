"""A batch tells how it ended, what the router decided and what the cache had: once, and without words."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from persona_system.errors import Unavailable
from persona_system.models import Context
from persona_system.pipeline import load_pipeline
from tests.support.loopback import KeptDeadLetters
from tests.support.settling import MemoryQueues, MemorySettlements
from tests.support.valkey import server
from tests.support.worker import InProcessWorker
from workers.contract.payloads import Batch, Job
from workers.delivery import Delivery
from workers.monitoring.events import (
    CachePerformanceEvent,
    Event,
    PersonaProcessEvent,
    RoutingDecisionEvent,
)
from workers.runtime import Runtime
from workers.tasks import persona

pack = msgspec.msgpack.encode
PIPELINE = load_pipeline()
KEY = "calm-medium-learning"
WORDS = "nobody is to read this"
NOW_MS = 1_000_000.0
DELIVERY = Delivery("persona.process", "interactive", "worker1")


class Fleet:
    """A runtime in memory, and what it tells."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.settlements, self.queues = MemorySettlements(), MemoryQueues()
        self.runtime = Runtime(
            PIPELINE,
            self.settlements,
            KeptDeadLetters(),
            lambda: NOW_MS,
            queues=self.queues,
            region="eu",
            tell=self.told.append,
        )

    def process(self, *jobs: Any, **changes: Any) -> None:
        persona.process(batch(*jobs, **changes), self.runtime, DELIVERY)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def batch(*jobs: Any, **changes: Any) -> bytes:
    fields = {"id": "b1", "reply_to": "me", "sent_ms": 999_990, "jobs": [msgspec.Raw(pack(j)) for j in jobs]}
    return pack(Batch(**{**fields, **changes}))


def test_a_batch_tells_how_its_jobs_ended(fleet: Fleet) -> None:
    fleet.process(
        Job(id="1", text=WORDS, key=KEY, context=Context(user_id=WORDS)),
        Job(id="2", text=WORDS),
        Job(id="3", text=WORDS, key="smug-medium-learning"),
        Job(id="4", text=WORDS, key=KEY, deadline_ms=5),
        {"id": "5"},
    )
    (ended,) = fleet.of(PersonaProcessEvent)

    assert (ended.task, ended.queue, ended.endpoint) == ("persona.process", "interactive", "process")
    assert (ended.batch_id, ended.region, ended.at_ms) == ("b1", "eu", NOW_MS)
    assert (ended.jobs, ended.ended) == (5, {"ok": 2, "rejected": 2, "expired": 1})
    assert ended.errors == {"INVALID_INPUT": 2}
    assert sum(ended.personas.values()) == 2
    assert (ended.queued_ms, ended.worked_ms, ended.cached, ended.again) == (10, 0, 0, 0)
    assert WORDS not in str(fleet.told)


def test_the_router_tells_how_sure_it_was(fleet: Fleet) -> None:
    fleet.process(Job(id="1", text=WORDS, key=KEY), Job(id="2", text=WORDS))
    (routed,) = fleet.of(RoutingDecisionEvent)
    sure = [PIPELINE.process(WORDS, KEY).confidence, PIPELINE.process(WORDS).confidence]

    assert (routed.jobs, routed.analysed) == (2, 1)
    assert routed.mean_confidence == pytest.approx(sum(sure) / 2, abs=1e-4)
    assert routed.lowest_confidence == pytest.approx(min(sure), abs=1e-4)
    assert routed.personas == fleet.of(PersonaProcessEvent)[0].personas


def test_bulk_and_recommendations_have_their_own_endpoint(fleet: Fleet) -> None:
    fleet.process(Job(id="1", text=WORDS, key=KEY), bulk=True)
    persona.recommend(batch(Job(id="1", text=WORDS, key=KEY), id="b2"), fleet.runtime, DELIVERY)
    endpoints = [event.endpoint for event in fleet.of(PersonaProcessEvent)]

    assert endpoints == ["bulk_process", "recommend"]
    assert fleet.of(PersonaProcessEvent)[1].personas == {
        PIPELINE.recommend(WORDS, KEY).recommended_persona: 1
    }
    assert len(fleet.of(RoutingDecisionEvent)) == 1


def test_a_second_delivery_tells_nothing(fleet: Fleet) -> None:
    for _ in range(2):
        fleet.process(Job(id="1", text=WORDS, key=KEY))

    assert len(fleet.of(PersonaProcessEvent)) == 1


def test_jobs_that_are_tried_again_are_told_as_such(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise Unavailable("the analyser", "is away")

    monkeypatch.setattr(type(PIPELINE), "process", away)
    fleet.process(Job(id="1", text=WORDS, key=KEY))
    (ended,) = fleet.of(PersonaProcessEvent)

    assert (ended.jobs, ended.ended, ended.again) == (1, {}, 1)
    assert len(fleet.queues.put_there) == 1


def test_nobody_who_listens_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(_: object) -> None:
        raise AssertionError("a result was looked into")

    monkeypatch.setattr("workers.tasks.telling.decisions_in", look)
    settlements = MemorySettlements()
    runtime = Runtime(PIPELINE, settlements, KeptDeadLetters(), lambda: NOW_MS)
    persona.process(batch(Job(id="1", text=WORDS, key=KEY)), runtime, DELIVERY)

    assert len(settlements.replies) == 1


# -- with a cache -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cached() -> Iterator[InProcessWorker]:
    with server() as store, InProcessWorker(store.url) as worker:
        yield worker


def process(worker: InProcessWorker, number: int, *texts: str, **changes: Any) -> list[Event]:
    """Let *worker* process *texts*; return what it told."""
    told: list[Event] = []
    runtime = Runtime(
        worker.pipeline,
        MemorySettlements(),
        KeptDeadLetters(),
        lambda: NOW_MS,
        answers=worker.answers,
        tell=told.append,
    )
    jobs = [Job(id=str(n), text=text, key=KEY, **changes) for n, text in enumerate(texts)]
    given = {"looked_up": True} if number < 0 else {}
    persona.process(batch(*jobs, id=f"c{number}", **given), runtime, DELIVERY)
    return told


def test_the_cache_tells_what_it_had(cached: InProcessWorker) -> None:
    """The first time two of three are computed; the second time all three are found."""
    first = process(cached, 1, "a1", "a2", "a1")
    second = process(cached, 2, "a1", "a2", "a1")
    events = [event for event in (*first, *second) if isinstance(event, CachePerformanceEvent)]
    ends = [event for event in (*first, *second) if isinstance(event, PersonaProcessEvent)]

    assert [(event.look, event.local, event.shared, event.missed) for event in events] == [
        ("only", 1, 0, 2),
        ("only", 3, 0, 0),
    ]
    assert [event.cached for event in ends] == [1, 3]
    assert [sum(event.personas.values()) for event in ends] == [3, 3]


def test_after_its_producer_a_worker_looks_again(cached: InProcessWorker) -> None:
    (event,) = [e for e in process(cached, -3, "b1") if isinstance(e, CachePerformanceEvent)]

    assert (event.look, event.missed, event.hit_rate) == ("again", 1, None)


def test_jobs_that_want_no_cache_are_told_as_bypassed(cached: InProcessWorker) -> None:
    (event,) = [e for e in process(cached, 4, "c1", use_cache=False) if isinstance(e, CachePerformanceEvent)]

    assert (event.bypassed, event.missed) == (1, 0)
