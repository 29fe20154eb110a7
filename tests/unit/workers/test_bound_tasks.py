"""What Celery gets to see of a task: an end, a message put back, and never an error of ours."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from celery import Celery
from celery.exceptions import Reject
from celery.utils.saferepr import saferepr

from persona_system.pipeline import load_pipeline
from tests.support.loopback import KeptDeadLetters
from tests.support.settling import MemoryQueues, MemorySettlements
from workers import base
from workers.base import TaskOptions, bind
from workers.contract.dead_letters import DeadLetter, Reason, Sighting
from workers.contract.payloads import Batch, Job, Reply, Status
from workers.delivery import Delivery
from workers.errors import Unavailable
from workers.retry import Backoff
from workers.runtime import Runtime, RuntimeSlot

pack = msgspec.msgpack.encode
PIPELINE = load_pipeline()
WORDS = "my very private words"
JOBS = [msgspec.Raw(pack(Job(id=n, text=WORDS, durable=n == "2"))) for n in "12"]
PAYLOAD = pack(Batch(id="b", reply_to="me", sent_ms=0, jobs=JOBS))
STORY = [[7, "lost with its worker", "w1"]]


class Letters(KeptDeadLetters):
    """Keeps dead letters unless it is *broken*."""

    broken = False

    def keep(self, letter: DeadLetter) -> None:
        if self.broken:
            raise Unavailable("the broker", "told to be away")
        super().keep(letter)


class Bound:
    """A task whose body does what the test says."""

    def __init__(self) -> None:
        self.queues, self.letters, self.settlements = MemoryQueues(), Letters(), MemorySettlements()
        self.bugs: list[str] = []
        self.seen: list[Delivery] = []
        self.do: Callable[[], object] = str
        runtime = Runtime(
            PIPELINE,
            self.settlements,
            self.letters,
            lambda: 1_000.0,
            lambda doing, error: self.bugs.append(f"{doing}: {type(error).__name__}"),
            queues=self.queues,
            chance=lambda: 0.5,
        )
        app = Celery("test", set_as_current=False)
        bind(app, RuntimeSlot(lambda: runtime), TaskOptions("t", Backoff(tries=3)), self.body)
        self.task = app.tasks["t"]

    def body(self, payload: bytes, runtime: Runtime, delivery: Delivery) -> str:
        _ = payload, runtime
        self.seen.append(delivery)
        self.do()
        return "2 ok"

    def run(self, payload: bytes = PAYLOAD, retries: int = 0, headers: dict[str, Any] | None = None) -> str:
        """Deliver a message; return what operators see of how it went."""
        with self._request(retries, headers):
            return str(saferepr(self.task.run(payload)))

    @contextmanager
    def _request(self, retries: int, headers: dict[str, Any] | None) -> Iterator[None]:
        self.task.push_request(
            id="b",
            retries=retries,
            hostname="w2",
            argsrepr="2 jobs, bulk",
            delivery_info={"routing_key": "bulk"},
            **(headers or {}),  # as Celery does with a message's
        )
        try:
            yield
        finally:
            self.task.pop_request()


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> Bound:
    monkeypatch.setattr(base, "_PAUSE_S", 0.0)
    return Bound()


def be_away() -> None:
    raise Unavailable("the reply store", "TimeoutError")


def fail() -> None:
    raise KeyError(WORDS)


def test_the_body_learns_how_the_message_came(bound: Bound) -> None:
    bound.run(headers={"ion-lost": 1, "ion-story": STORY})
    assert bound.seen == [Delivery("t", "bulk", "w2", 1, (Sighting(7, "lost with its worker", "w1"),))]


def test_a_header_called_headers_hides_no_losses(bound: Bound) -> None:
    """Celery takes it for all headers; tracing tools send it, and so may whoever wants to look harmless."""
    bound.run(headers={"ion-lost": 2, "headers": {"sentry-trace": "x"}})

    assert bound.seen[0].lost == 2


@pytest.mark.parametrize(
    ("do", "retries", "told"),
    [
        (str, 0, "2 ok"),
        (be_away, 1, "again in 0.5 s: the reply store is not available"),
        (be_away, 2, "dead letter: its answer found no taker"),
        (fail, 1, "dead letter: an internal error (KeyError)"),
    ],
    ids=["answered", "tried again", "given up", "failed"],
)
def test_operators_read_how_it_went_in_plain_words(
    bound: Bound, do: Callable[[], object], retries: int, told: str
) -> None:
    """As Celery's event shows it: without the quotes of a string's repr."""
    bound.do = do
    assert bound.run(retries=retries) == told


def test_an_answer_that_finds_no_store_goes_back_with_its_history_and_a_pause(bound: Bound) -> None:
    bound.do = be_away
    bound.run(headers={"ion-lost": 1, "ion-story": STORY}, retries=1)

    (put,) = bound.queues.put_there
    assert (put.batch_id, put.payload, put.shown, put.retries) == ("b", PAYLOAD, "2 jobs, bulk", 2)
    assert put.wait_s == 0.5  # half of the second second
    assert put.delivery == bound.seen[0]
    assert not bound.bugs


def test_an_answer_that_finds_no_store_for_too_long_is_a_dead_letter(bound: Bound) -> None:
    bound.do = be_away
    bound.run(retries=2)

    (letter,) = bound.letters.kept
    assert (letter.reason, letter.payload, letter.job_ids) == (Reason.UNDELIVERABLE, PAYLOAD, ["1", "2"])
    assert "tried 3 times" in letter.problem
    assert not bound.queues.put_there


def test_an_unexpected_failure_is_tried_once_more(bound: Bound) -> None:
    bound.do = fail
    bound.run()

    assert [put.retries for put in bound.queues.put_there] == [1]
    assert bound.bugs == ["t: KeyError"]
    assert not bound.letters.kept


def test_an_unexpected_failure_that_comes_again_ends_all_its_jobs_as_dead(bound: Bound) -> None:
    bound.do = fail
    bound.run(retries=1)

    (letter,) = bound.letters.kept
    assert (letter.reason, letter.code, letter.payload) == (Reason.INTERNAL, "INTERNAL", PAYLOAD)
    assert WORDS not in letter.problem
    ((_, packed),) = bound.settlements.replies
    outcomes = msgspec.msgpack.decode(packed, type=Reply).outcomes
    assert [(o.id, o.status) for o in outcomes] == [("1", Status.DEAD), ("2", Status.DEAD)]
    assert list(bound.settlements.outcomes) == ["2"]  # the durable one


@pytest.mark.parametrize(("do", "retries"), [(be_away, 0), (fail, 0)])
def test_a_broker_that_takes_nothing_gets_its_message_back(
    bound: Bound, do: Callable[[], object], retries: int
) -> None:
    bound.do, bound.queues.broken = do, True
    with pytest.raises(Reject) as caught:
        bound.run(retries=retries)
    assert caught.value.requeue


def test_dead_letters_that_find_no_broker_leave_the_message_where_it_is(bound: Bound) -> None:
    bound.do, bound.letters.broken = be_away, True
    with pytest.raises(Reject):
        bound.run(retries=9)
