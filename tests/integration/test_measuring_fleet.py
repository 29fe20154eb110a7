"""A real fleet measures what it does: every job once, by whoever knows, and reports it."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from kombu import Connection, Exchange, Queue

import celeryconfig
from infra.local.stack import LocalStack
from persona_system.errors import InvalidInput
from persona_system.models import Context
from producers import PersonaClient, PersonaRequest
from tests.support.gateway_app import APP, gateway_for, served
from tests.support.stack import client_settings_for, start_stack
from tests.support.wait import wait_until
from workers.contract.names import REPORTS_KEY
from workers.monitoring.events import (
    EXCHANGE,
    CachePerformanceEvent,
    Event,
    Events,
    PersonaProcessEvent,
    RoutingDecisionEvent,
)
from workers.monitoring.recorder import Report
from workers.transport.servers import open_redis

KEY = "calm-medium-learning"
WORDS = "words that nobody may find"

decode = msgspec.msgpack.Decoder(Report).decode
decode_events = msgspec.json.Decoder(Events).decode


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack without beat: nobody collects the reports, so they stay where they can be read."""
    stack = start_stack(tmp_path_factory.mktemp("measured"), beat=False)
    yield stack
    stack.stop()


class Inbox:
    """Reports, as their senders left them."""

    def __init__(self, packed: list[bytes]) -> None:
        self.packed, self.reports = packed, [decode(one) for one in packed]

    @classmethod
    def at(cls, stack: LocalStack) -> "Inbox":
        """Return those that wait at *stack*."""
        with open_redis(stack.urls.reply_url) as client:
            return cls(client.lrange(REPORTS_KEY, 0, -1))

    def of(self, kind: str) -> "Inbox":
        """Return those of processes of one *kind*."""
        return Inbox([one for one in self.packed if decode(one).source.startswith(f"{kind}@")])

    def total(self, metric: str, *labels: str) -> float:
        """Return the sum of *metric*, of those series that have all of *labels*."""
        return sum(
            cell.total
            for report in self.reports
            for cell in report.cells
            if cell.metric == metric and set(labels) <= set(cell.labels)
        )

    def count(self, metric: str) -> int:
        """Return how many values of *metric* there are."""
        return sum(cell.count for report in self.reports for cell in report.cells if cell.metric == metric)


class Heard:
    """What a subscriber to everything has heard."""

    def __init__(self, stack: LocalStack) -> None:
        self._settings: dict[str, Any] = celeryconfig.broker_settings(stack.urls.broker_url)
        self._queue = Queue("heard", Exchange(EXCHANGE, type="topic"), "#")
        self.events: list[Event] = []
        self.bodies: list[bytes] = []

    def _connected(self) -> Connection:
        options = self._settings["broker_transport_options"]
        return Connection(self._settings["broker_url"], transport_options=options)

    def subscribe(self) -> None:
        """Begin; what comes waits."""
        with self._connected() as connection:
            self._queue(connection.channel()).declare()

    def jobs(self) -> int:
        """Take what waits; return how many jobs workers have answered, by what was heard so far."""
        with self._connected() as connection:
            queue = self._queue(connection.channel())
            while (message := queue.get(no_ack=True)) is not None:
                body = message.body
                self.bodies.append(body if isinstance(body, bytes) else body.encode())
                self.events += decode_events(self.bodies[-1]).events
        return sum(event.jobs for event in self.events if isinstance(event, PersonaProcessEvent))


@pytest.fixture(scope="module")
def inbox(fleet: LocalStack) -> Inbox:
    """What the fleet reports of 1,000 jobs of a batch, asked twice, two lone ones and one that is refused."""
    Heard(fleet).subscribe()
    with PersonaClient(client_settings_for(fleet)) as client:
        requests = [
            PersonaRequest(f"{WORDS} {n}", KEY, Context(user_id=f"{WORDS} {n % 7}")) for n in range(1_000)
        ]
        for _ in range(2):
            assert all(outcome.status == "ok" for outcome in client.submit_batch(requests).result(30))
        client.process(WORDS)
        client.recommend(WORDS)
        with pytest.raises(InvalidInput):
            client.process("")
    wait_until(lambda: Inbox.at(fleet).total("persona_answers") >= 2_002, 15, "the workers report")
    return Inbox.at(fleet)


@pytest.fixture(scope="module")
def heard(fleet: LocalStack, inbox: Inbox) -> Heard:
    """What a subscriber has heard of those jobs: as many as workers have answered."""
    heard, answered = Heard(fleet), inbox.of("worker").total("persona_answers")
    wait_until(lambda: heard.jobs() >= answered, 10, "the events come")
    return heard


def test_each_job_is_counted_once(inbox: Inbox) -> None:
    assert inbox.total("requests", "bulk_process") == 2_000
    assert inbox.total("requests", "process") == 2
    assert inbox.total("requests", "recommend") == 1
    assert inbox.total("rejected") == 1
    assert inbox.total("errors") == inbox.total("refused") == 0
    assert inbox.count("response_time") == 2_002


def test_each_answer_has_one_mentor_and_each_look_up_one_end(inbox: Inbox) -> None:
    assert inbox.total("persona_answers") == 2_002
    assert inbox.total("cache_misses") + inbox.total("cache_hits") == 2_002
    assert (
        inbox.total("cache_misses") >= 1_000
    )  # the first batch; it may still be stored when the second comes


def test_batches_are_measured_where_they_are_answered(inbox: Inbox) -> None:
    batches = inbox.count("queue_wait")

    assert 3 <= batches <= 8
    assert inbox.count("work_time") == batches
    assert inbox.total("tasks", "sent") == batches
    assert inbox.total("tasks", "received") == inbox.total("tasks", "succeeded") == batches


def test_workers_tell_of_their_machine(inbox: Inbox) -> None:
    assert inbox.count("cpu_utilization") >= 1
    assert inbox.total("memory_utilization") > 0


def test_what_people_write_and_who_they_are_is_in_no_report(inbox: Inbox) -> None:
    assert inbox.packed
    assert all(WORDS.encode() not in packed for packed in inbox.packed)


def test_who_subscribes_hears_of_each_job_that_a_worker_answers(inbox: Inbox, heard: Heard) -> None:
    """In the event of its batch, and in no other.  A producer that lives for a moment tells nothing."""
    ends = [event for event in heard.events if isinstance(event, PersonaProcessEvent)]

    assert sum(event.jobs for event in ends) == inbox.of("worker").total("persona_answers")
    assert {type(event) for event in heard.events} == {
        PersonaProcessEvent,
        RoutingDecisionEvent,
        CachePerformanceEvent,
    }
    assert all(WORDS.encode() not in body for body in heard.bodies)


@pytest.mark.usefixtures("heard")  # what they count comes first
def test_the_gateway_reports_like_any_other_process(fleet: LocalStack) -> None:
    """From its own region, and in time: it hands on the rest when it stops."""
    with served(gateway_for(APP, client_settings_for(fleet, region="asia"))) as http:
        for _ in range(3):
            assert http.post("/api/v2/recommend", json={"scenario": WORDS}).status_code == 200
        assert http.post("/api/v2/recommend", json={}).status_code == 422
        assert http.get("/nowhere").status_code == 404
    reports = [report for report in Inbox.at(fleet).reports if report.region == "asia"]
    cells = {(cell.metric, cell.labels): cell for report in reports for cell in report.cells}

    assert cells["http_requests", ("/api/v2/recommend", "200")].total == 3
    assert cells["http_requests", ("/api/v2/recommend", "422")].total == 1
    assert cells["http_requests", ("none", "404")].total == 1
    assert cells["http_time", ("/api/v2/recommend",)].count == 4
    assert cells["requests", ("recommend",)].total == 3
