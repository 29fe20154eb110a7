"""A real fleet measures what it does: every job once, by whoever knows, and reports it."""

from collections.abc import Iterator

import msgspec
import pytest

from infra.local.stack import LocalStack
from persona_system.errors import InvalidInput
from persona_system.models import Context
from producers import PersonaClient, PersonaRequest
from tests.support.stack import client_settings_for, start_stack
from tests.support.wait import wait_until
from workers.contract.names import BROKER_PREFIX, REPORTS_KEY
from workers.monitoring.recorder import Report
from workers.transport.servers import open_redis

KEY = "calm-medium-learning"
WORDS = "words that nobody may find"

decode = msgspec.msgpack.Decoder(Report).decode


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack without beat: nobody collects the reports, so they stay where they can be read."""
    stack = start_stack(tmp_path_factory.mktemp("measured"), beat=False)
    yield stack
    stack.stop()


class Inbox:
    """The reports of *stack*, as their senders left them."""

    def __init__(self, stack: LocalStack) -> None:
        with open_redis(stack.urls.reply_url) as client:
            self.packed: list[bytes] = client.lrange(REPORTS_KEY, 0, -1)
        self.reports = [decode(packed) for packed in self.packed]

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


@pytest.fixture(scope="module")
def inbox(fleet: LocalStack) -> Inbox:
    """What the fleet reports of 1,000 jobs of a batch, asked twice, two lone ones and one that is refused."""
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
    wait_until(lambda: Inbox(fleet).total("persona_answers") >= 2_002, 15, "the workers report")
    return Inbox(fleet)


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
    assert inbox.total("cache_hits") >= 900  # of the second batch; the first is stored meanwhile


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


def test_nothing_was_sent_to_an_exchange_that_nobody_listens_to(fleet: LocalStack) -> None:
    with open_redis(fleet.urls.reply_url) as client:
        keys = {key.decode() for key in client.keys(f"{BROKER_PREFIX}*")}

    assert not [key for key in keys if "ion.events" in key]
