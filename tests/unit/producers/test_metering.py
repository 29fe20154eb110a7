"""Each job of a client is counted once, in the way in which it ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from persona_system.errors import InvalidInput
from persona_system.models import Context
from persona_system.pipeline import load_pipeline
from producers import PersonaClient, PersonaRequest
from producers.admission import QueueState
from producers.errors import ClientClosed, Overloaded, Rationed, Unavailable
from producers.metering import JobMeter, Taken
from producers.ports import Grant
from producers.requests import Settled
from producers.settings import ClientSettings
from tests.support.loopback import Loopback
from tests.support.measuring import ListRecorder
from tests.support.wait import wait_until
from workers.contract.payloads import Outcome, Status
from workers.contract.refs import PROCESS, RECOMMEND
from workers.operations.measuring import Measuring

KEY = "calm-medium-learning"
PIPELINE = load_pipeline()
JOBS = ("requests", "errors", "rejected", "refused")


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Client:
    """A client on a loopback that measures into a list."""

    def __init__(self, **settings: Any) -> None:
        self.loopback = Loopback(PIPELINE, lambda: 0.0)
        self.recorder = ListRecorder()
        given = {"broker_url": "memory://", "cache_url": "", **settings}
        measuring = Measuring(recorder=self.recorder)
        self.client = PersonaClient(ClientSettings.model_validate(given))
        self.client._core._given_measuring = lambda: measuring
        self.client._core._connect = lambda _: self.loopback.fleet()  # type: ignore[assignment]

    def counted(self, endpoint: str = "process") -> dict[str, float]:
        """Return what was counted of jobs, without zeros, once the client has nothing more to count."""
        self.client.close(timedelta(seconds=5))
        found = dict.fromkeys(JOBS, 0.0)
        for metric, labels, value in self.recorder.taken:
            if metric in found and labels[0] == endpoint:
                found[metric] += value
        return {name: value for name, value in found.items() if value}

    def times(self) -> int:
        return len(self.recorder.values("response_time"))


@contextmanager
def client_of(**settings: Any) -> Iterator[Client]:
    made = Client(**settings)
    try:
        yield made
    finally:
        made.client.close(timedelta(seconds=0.2))


def test_an_answer_is_a_request_with_a_time() -> None:
    with client_of() as one:
        one.client.process("Why does it fail?", KEY)

        assert one.counted() == {"requests": 1}
        assert one.times() == 1
        assert one.recorder.total("tasks", "persona.process", "sent") == 1


def test_endpoints_are_told_apart() -> None:
    with client_of() as one:
        one.client.recommend("a scenario", KEY)
        one.client.submit_batch([PersonaRequest("m", KEY)] * 3).result(10)

        assert one.counted("recommend") == {"requests": 1}
        assert one.counted("bulk_process") == {"requests": 3}


def test_bad_input_is_a_request_whoever_finds_it() -> None:
    """The client finds the empty text, without a time; the worker finds the key that it cannot route."""
    with client_of() as one:
        with pytest.raises(InvalidInput):
            one.client.process("", KEY)
        outcomes = one.client.process_many([PersonaRequest(""), PersonaRequest("fine", KEY)])

        assert [outcome.status for outcome in outcomes] == ["rejected", "ok"]
        assert one.counted() == {"requests": 3, "rejected": 2}
        assert one.times() == 1


def test_a_job_nobody_answers_is_an_error() -> None:
    with client_of() as one:
        one.loopback.holding = True
        handle = one.client.submit(PersonaRequest("m", KEY, deadline=timedelta(seconds=0.01)))

        assert handle.outcome(10).status == "expired"
        assert one.counted() == {"requests": 1, "errors": 1}


def test_a_broker_that_is_away_is_an_error_of_ours() -> None:
    with client_of() as one:
        one.loopback.broken = True
        with pytest.raises(Unavailable):
            one.client.process("m", KEY)

        assert one.counted() == {"requests": 1, "errors": 1}


def test_a_full_fleet_refuses_wherever_that_shows() -> None:
    """The first is refused by the sender, the second at the door: it is the same refusal."""
    with client_of() as one:
        one.loopback.state = QueueState(1_000_000)
        for _ in range(2):
            with pytest.raises(Overloaded):
                one.client.process("m", KEY)
        with pytest.raises(Overloaded):
            one.client._core.submit_batch(PROCESS, "interactive", [PersonaRequest("m", KEY)] * 3)

        assert one.counted() == {"refused": 5}
        assert one.recorder.total("refused", "process", "overloaded") == 5


def test_who_asks_is_noted() -> None:
    with client_of() as one:
        one.client.process("m", KEY, context=Context(user_id="kim"))
        one.client.process("m", KEY)

        assert one.recorder.users == ["kim"]


def test_one_job_that_two_wait_for_is_one() -> None:
    with client_of() as one:
        one.loopback.holding = True
        request = PersonaRequest("m", KEY, job_id="mine")
        handles = [one.client.submit(request) for _ in range(2)]
        wait_until(lambda: one.loopback.published)
        one.loopback.release()
        for handle in handles:
            handle.result(10)

        assert one.counted() == {"requests": 1}


def test_an_id_that_was_used_is_the_caller_s_fault() -> None:
    with client_of() as one:
        one.loopback.holding = True
        one.client.submit(PersonaRequest("m", KEY, job_id="mine"))
        with pytest.raises(InvalidInput):
            one.client.submit(PersonaRequest("other", KEY, job_id="mine"))
        batch = one.client.submit_batch([PersonaRequest("other", KEY, job_id="mine")], queue="interactive")
        assert batch.result(10)[0].status == "rejected"
        wait_until(lambda: one.loopback.published)
        one.loopback.release()

        assert one.counted() == {"requests": 3, "rejected": 2}


def test_what_is_switched_off_measures_nothing() -> None:
    with client_of(monitoring=False) as one:
        one.client._core._given_measuring = None
        one.client.process("m", KEY)

        assert one.counted() == {}


# -- the meter by itself ----------------------------------------------------------------------------

OK = Outcome("1", Status.OK)


def metered(*jobs: tuple[Taken | None, Settled], took_s: float = 0.5) -> ListRecorder:
    """Return what a meter makes of *jobs* that end *took_s* after they were taken."""
    recorder, clock = ListRecorder(), Clock()
    clock.now_s += took_s
    JobMeter(recorder, clock).ended(jobs)
    return recorder


def test_times_run_from_the_call_to_the_end_in_ms() -> None:
    batch, single = Taken("bulk_process", 100.0), Taken("process", 100.25)
    recorder = metered((batch, OK), (batch, OK), (single, OK), (batch, OK))

    assert sorted(recorder.values("response_time")) == [250, 500, 500, 500]
    assert recorder.total("requests", "bulk_process") == 3
    assert recorder.total("requests", "process") == 1


@pytest.mark.parametrize(
    ("settled", "expected"),
    [
        (OK, {"requests": 1}),
        (Outcome("1", Status.REJECTED), {"requests": 1, "rejected": 1}),
        (Outcome("1", Status.FAILED), {"requests": 1, "errors": 1}),
        (Outcome("1", Status.EXPIRED), {"requests": 1, "errors": 1}),
        (Outcome("1", Status.DEAD), {"requests": 1, "errors": 1}),
        (InvalidInput("job_id", "was used", "use another"), {"requests": 1, "rejected": 1}),
        (Unavailable("the broker", "gone"), {"requests": 1, "errors": 1}),
        (Overloaded("full", 1.0), {"refused": 1}),
        (Rationed("the rate limit is reached", 1.0), {}),
        (ClientClosed("closed"), {}),
    ],
    ids=lambda value: type(value).__name__ + str(getattr(value, "status", "")),
)
def test_every_end_has_its_counts(settled: Settled, expected: dict[str, float]) -> None:
    recorder = metered((Taken("process", 100.0), settled))

    assert {name: recorder.total(name) for name in JOBS if recorder.total(name)} == expected


def test_a_job_of_nobody_is_not_counted() -> None:
    assert metered((None, OK)).taken == []


def test_answers_from_memory_are_measured_later_and_all() -> None:
    """300 are noted; the 256th measures what there is."""
    recorder, clock = ListRecorder(), Clock()
    meter = JobMeter(recorder, clock)
    taken = meter.taken((RECOMMEND, "interactive"))
    clock.now_s += 0.001
    for _ in range(300):
        meter.here(taken)
    meter.here(taken, 20)
    noted = recorder.total("requests", "recommend")
    meter.measure()

    assert noted == 256
    assert recorder.total("requests", "recommend") == 320
    assert recorder.values("response_time") == pytest.approx([1.0] * 320)


def test_what_a_rate_limit_holds_back_is_nobody_s_fault() -> None:
    class Half:
        def take_some(self, key: str, jobs: int, *, whole: bool = False) -> Grant:
            _ = key, jobs, whole
            return Grant(1, 5.0)

        def check(self, jobs: int) -> None:
            """Any number."""

        def close(self) -> None:
            """Nothing to close."""

    with client_of() as one:
        one.client._core._connect = lambda _: one.loopback.fleet(Half())  # type: ignore[assignment]
        batch = one.client.submit_batch([PersonaRequest("m", KEY)] * 3, queue="interactive")

        assert [outcome.status for outcome in batch.result(10)] == ["ok", "unsent", "unsent"]
        assert one.counted() == {"requests": 1}
