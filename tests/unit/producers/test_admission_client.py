"""What the client does with what it knows of queues and limits: refuse early, and end what it accepted."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from persona_system.errors import InvalidInput
from persona_system.pipeline import load_pipeline
from producers import Overloaded, PersonaClient, PersonaRequest
from producers.admission import QueueState
from producers.ports import Grant, NoLimit
from tests.support.loopback import Loopback
from tests.support.loopback_client import loopback_client
from tests.support.wait import wait_until

ASK = PersonaRequest("Why does it fail?", "calm-medium-learning")
MakeClient = Callable[..., PersonaClient]


class Rationed(NoLimit):
    """Lets *left* jobs through, and says that the next may go in *wait_s*."""

    def __init__(self, left: int, wait_s: float = 20.0, burst: int = 10) -> None:
        self.left, self.wait_s, self.burst = left, wait_s, burst
        self.asked = 0

    def take_some(self, key: str, jobs: int, *, whole: bool = False) -> Grant:
        _ = key
        self.asked += 1
        granted = min(jobs, self.left) if not whole or jobs <= self.left else 0
        self.left -= granted
        return Grant(granted) if granted == jobs else Grant(granted, self.wait_s, 0.0 if whole else 0.5)

    def check(self, jobs: int) -> None:
        if jobs > self.burst:
            raise InvalidInput("requests", f"are {jobs} together", "send fewer at once")


@pytest.fixture
def loopback() -> Loopback:
    return Loopback(load_pipeline(), lambda: time.time() * 1000)


@pytest.fixture
def make(loopback: Loopback) -> Iterator[MakeClient]:
    with ExitStack() as closing:
        yield lambda *args, **settings: closing.enter_context(loopback_client(loopback, *args, **settings))


def refusal(client: PersonaClient) -> Overloaded | None:
    """Return why the client takes no job now, be it at once or a moment later."""
    try:
        client.submit(ASK).result(5)
    except Overloaded as error:
        return error
    return None


def test_the_broker_is_asked_before_the_first_batch_and_twice_a_second_at_most(
    make: MakeClient, loopback: Loopback
) -> None:
    client = make()
    began = time.monotonic()
    for _ in range(200):
        client.submit(ASK).result(5)

    assert 1 <= loopback.looks <= 1 + 2 * (time.monotonic() - began) + 1


def test_an_idle_client_does_not_ask(make: MakeClient, loopback: Loopback) -> None:
    client = make()
    assert not client._core._here()._under_way
    client.outcome("nobody's")

    assert loopback.looks == 0


def test_a_broker_short_of_memory_refuses_bulk_before_people(make: MakeClient, loopback: Loopback) -> None:
    loopback.state = QueueState(10, oldest_age_s=4.0, memory_used_ratio=0.8)
    client = make()

    (bulk,) = client.submit_batch([ASK]).result(5)
    assert isinstance(bulk.error, Overloaded)
    assert "80% full" in bulk.error.why
    assert bulk.error.retry_after_s == pytest.approx(0.5)  # an eighth is too much, of what waits 4 s
    assert client.submit(ASK).result(5).content
    assert [queue for _, queue, _ in loopback.published] == ["interactive"]


def test_a_queue_that_was_full_is_tried_with_a_look_and_not_with_work(
    make: MakeClient, loopback: Loopback
) -> None:
    """However often the client is asked to: nothing is published until the broker says that there is room."""
    loopback.state = QueueState(5_000)
    client = make(max_queue_batches=100)
    until = loopback.looks + 3

    def looked_thrice() -> bool:
        assert refusal(client) is not None
        return loopback.looks >= until

    wait_until(looked_thrice)
    assert loopback.published == []
    loopback.state = QueueState(50)
    wait_until(lambda: refusal(client) is None)


def test_a_full_broker_is_overload_and_service_resumes_by_itself(
    make: MakeClient, loopback: Loopback
) -> None:
    client = make()
    loopback.full = True
    first = refusal(client)
    assert first is not None
    assert first.why == "the memory of the broker is full"

    def refused_without_a_try() -> bool:
        error = refusal(client)
        return error is not None and "100% full" in error.why

    wait_until(refused_without_a_try)
    loopback.full = False
    wait_until(lambda: refusal(client) is None)


def test_overload_of_one_queue_does_not_end_what_waits_for_another(
    make: MakeClient, loopback: Loopback
) -> None:
    """Unavailable ends all that is gathered; this does not."""
    client = make(linger_ms=300, max_bulk_batches=10)
    loopback.holding = True
    under_way = client.submit(ASK)
    wait_until(lambda: loopback.published)
    gathered = client.submit(ASK)  # for the linger, since the queue is busy
    loopback.state = QueueState(50)
    (bulk,) = client.submit_batch([ASK]).result(5)
    assert isinstance(bulk.error, Overloaded)

    wait_until(lambda: len(loopback.published) == 2)
    loopback.release()
    assert under_way.result(5).content == gathered.result(5).content


def test_operators_see_the_note_of_a_batch(make: MakeClient, loopback: Loopback) -> None:
    make().submit_batch([ASK], note="run k3f9").result(5)

    assert loopback.notes == ["run k3f9"]


# -- rate limit ------------------------------------------------------------------------------------------


def test_what_is_over_the_rate_is_told_each_its_own_turn(make: MakeClient, loopback: Loopback) -> None:
    client = make(Rationed(3))
    outcomes = client.process_many([ASK] * 5)

    assert [outcome.status for outcome in outcomes] == ["ok", "ok", "ok", "unsent", "unsent"]
    hints = [outcome.error.retry_after_s for outcome in outcomes if isinstance(outcome.error, Overloaded)]
    assert hints == [20.0, 20.5]
    assert [jobs for _, _, jobs in loopback.published] == [3]


def test_until_the_next_may_go_the_client_refuses_without_asking(make: MakeClient) -> None:
    rations = Rationed(1)
    client = make(rations)
    assert refusal(client) is None
    assert refusal(client) is not None
    assert rations.asked == 2

    with pytest.raises(Overloaded, match="the rate limit is reached") as caught:
        client.submit(ASK)
    assert 0 < caught.value.retry_after_s <= 20
    assert rations.asked == 2


def test_a_pipelines_batch_goes_whole_or_not_at_all(make: MakeClient, loopback: Loopback) -> None:
    client = make(Rationed(3))
    outcomes = client.submit_batch([ASK] * 5).result(5)

    assert {outcome.status for outcome in outcomes} == {"unsent"}
    assert loopback.published == []


def test_a_pipelines_wait_for_the_rate_is_not_a_persons(make: MakeClient) -> None:
    """Five at once have to wait; one may go."""
    client = make(Rationed(3))
    assert {outcome.status for outcome in client.submit_batch([ASK] * 5).result(5)} == {"unsent"}

    with pytest.raises(Overloaded):
        client.submit_batch([ASK])
    assert refusal(client) is None


def test_a_pipelines_batch_over_the_burst_is_refused_since_it_could_never_go(make: MakeClient) -> None:
    with pytest.raises(InvalidInput, match="11 together"):
        make(Rationed(100, burst=10)).submit_batch([ASK] * 11)


def test_what_has_ended_under_its_id_is_not_counted(make: MakeClient) -> None:
    rations = Rationed(1)
    client = make(rations)
    mine = PersonaRequest("Why does it fail?", job_id="mine")
    first = client.submit(mine).outcome(5)

    assert client.submit(mine).outcome(5) == first
    assert rations.asked == 1
