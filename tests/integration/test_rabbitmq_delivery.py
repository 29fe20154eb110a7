"""What RabbitMQ promises us, and what becomes of a message that it gives up on."""

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from celery import Celery
from kombu import Connection, Queue

import celeryconfig
from infra.local.commands import WorkerCommand, worker_command
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from producers import PersonaClient, PersonaRequest, Unavailable
from producers.broker import BrokerPublisher
from tests.support.hostile import NOTHING, WORDS, Envelope, envelopes, pack
from tests.support.letters import Letters
from tests.support.rabbit_host import virtual_host
from tests.support.stack import client_settings_for
from tests.support.wait import wait_until
from workers.contract import names
from workers.contract.dead_letters import Reason
from workers.contract.payloads import Batch, Job, Reply, Status
from workers.contract.wire import decompress
from workers.isolation import LOSSES

KEY = "calm-medium-learning"
MARKER = Path("/tmp/ion-test-was-run-from-rabbitmq")  # noqa: S108 - what the bombs touch

SLOW = "tests.support.slow_worker"  # 50 ms for a text without a key

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with virtual_host() as made:
        yield made


def running(module: str) -> WorkerCommand:
    """Return the command of a worker whose app is in *module*."""

    def command(settings: LocalSettings, index: int) -> tuple[str, ...]:
        return tuple(module if word == "workers.entry" else word for word in worker_command(settings, index))

    return command


class Fleet:
    """One worker on RabbitMQ, its dead letters, and what it says."""

    def __init__(self, directory: Path, url: str, reply_url: str, module: str = SLOW) -> None:
        self.lines: list[str] = []
        self.url, self.reply_url = url, reply_url
        settings = LocalSettings.model_validate(
            {
                "state_dir": directory / "ion",
                "broker_url": url,
                "reply_url": reply_url,
                "database_url": f"sqlite:///{directory / 'letters.sqlite'}",
                "cache": False,
                "workers": 1,
                "beat": False,
            }
        )
        self.stack = LocalStack(settings, lambda _, line: self.lines.append(line), running(module))
        self.stack.start()
        self.letters = Letters(self.stack)
        self.client = PersonaClient(client_settings_for(self.stack))
        self.app = Celery("test", set_as_current=False)
        self.app.config_from_object(celeryconfig)
        self.app.conf.update(celeryconfig.broker_settings(url))

    def pid(self) -> int | None:
        (pid,) = (process.pid for process in self.stack.processes())
        return pid

    def works(self) -> None:
        assert WORDS in self.client.process(WORDS, KEY).content

    def publish(self, envelope: Envelope, queue: str) -> None:
        with self.app.connection_for_write() as connection:
            connection.Producer().publish(
                envelope.bytes_of_body(),
                exchange="",
                routing_key=queue,
                headers=envelope.all_headers(),
                content_type=envelope.content_type,
                content_encoding=envelope.encoding,
                delivery_mode="persistent",
                **envelope.properties,
            )

    def close(self) -> None:
        self.client.close()
        self.stack.stop()
        self.app.close()


@pytest.fixture(scope="module")
def fleet(url: str, stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(tmp_path_factory.mktemp("rabbit"), url, stack.urls.reply_url)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _letters_of_other_tests_are_known(fleet: Fleet) -> None:
    fleet.letters.new()


@pytest.mark.parametrize("envelope", envelopes(MARKER), ids=lambda envelope: envelope.name)
def test_a_hostile_message_is_kept_and_harms_nobody(fleet: Fleet, envelope: Envelope) -> None:
    before = fleet.pid()
    fleet.publish(envelope, names.INTERACTIVE)
    letter = fleet.letters.next()
    fleet.works()

    assert fleet.pid() == before
    assert letter.code in envelope.codes.split()
    assert letter.queue == names.INTERACTIVE
    assert not MARKER.exists()
    assert not any("private" in line for line in fleet.lines)


def test_a_batch_in_hand_of_a_killed_worker_is_answered_once_by_the_next(fleet: Fleet) -> None:
    """60 texts take the slow worker 3 s; it is killed when RabbitMQ has handed them to it."""
    me, replies = uuid.uuid4().hex, redis.Redis.from_url(fleet.reply_url)
    jobs = [msgspec.Raw(pack(Job(id=f"j{n}", text=f"Why does build {n} fail?"))) for n in range(60)]
    batch = Batch(id=uuid.uuid4().hex, reply_to=me, sent_ms=int(time.time() * 1000), jobs=jobs)
    with contextlib.closing(BrokerPublisher(fleet.url, 3.0, 5.0)) as publisher, contextlib.closing(replies):
        publisher.publish(names.PERSONA_PROCESS, names.BULK, batch.id, pack(batch), len(jobs))
        wait_until(lambda: publisher.queue_length(names.BULK) == 0, 60, "the worker has the batch")
        killed = fleet.pid()
        assert killed is not None
        os.kill(killed, signal.SIGKILL)

        wait_until(lambda: replies.exists(names.reply_key(me)), 120, "the next one answers")
        fleet.works()
        (packed,) = replies.lrange(names.reply_key(me), 0, -1)
        assert isinstance(packed, bytes)
    reply = msgspec.msgpack.decode(decompress(packed), type=Reply)
    assert [outcome.status for outcome in reply.outcomes] == [Status.OK] * len(jobs)
    assert fleet.pid() != killed


def test_workers_that_a_job_costs_are_counted(
    stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ says how often it delivered a batch, so a job that ends its workers is found and buried."""
    monkeypatch.setenv("ION_TEST_RUNS", str(tmp_path / "runs"))
    texts = [*(f"Why does build {n} fail?" for n in range(10)), "poison kill"]
    with virtual_host() as own:
        fleet = Fleet(tmp_path, own, stack.urls.reply_url, "tests.support.poisonous_worker")
        with contextlib.closing(fleet):
            requests = [PersonaRequest(text, deadline=timedelta(seconds=280)) for text in texts]
            outcomes = fleet.client.submit_batch(requests).result(280)
            letter = fleet.letters.next()

    assert [outcome.status for outcome in outcomes] == ["ok"] * 10 + ["dead"]
    assert letter.reason == Reason.CRASHED
    assert (tmp_path / "runs").read_text().splitlines() == ["poison kill"] * LOSSES


def taken_and_given_back(queue: Any) -> bool:
    message = queue.get()
    if message is not None:
        message.requeue()
    return message is not None


def test_what_rabbitmq_gives_up_on_is_kept_with_its_reason(fleet: Fleet) -> None:
    """The queue's limit is DELIVERY_LIMIT; whoever takes the message so often and goes, loses it to us."""
    payload = os.urandom(2_000)
    envelope = Envelope("lost", "", body=pack([[payload], {}, NOTHING]))
    queue, control = fleet.app.amqp.queues[names.EVENTS], fleet.app.control
    wait_until(lambda: control.cancel_consumer(names.EVENTS, reply=True), 60, "the worker leaves the queue")
    try:
        fleet.publish(envelope, names.EVENTS)
        with fleet.app.connection_for_write() as connection:
            channel = connection.default_channel
            for _ in range(celeryconfig.DELIVERY_LIMIT + 1):
                wait_until(lambda: taken_and_given_back(queue(channel)), 60)
    finally:
        wait_until(lambda: control.add_consumer(names.EVENTS, reply=True), 60, "the worker is back")

    letter = fleet.letters.next()
    assert (letter.reason, letter.code, letter.queue) == (
        Reason.DELIVERY_LIMIT,
        "DELIVERY_LIMIT",
        names.EVENTS,
    )
    assert letter.task == names.PERSONA_PROCESS
    assert fleet.letters.payload(letter) == payload


def test_a_message_without_a_queue_is_an_error() -> None:
    """Without publisher confirms and ``mandatory``, RabbitMQ would drop it and say nothing."""
    with virtual_host() as url, contextlib.closing(BrokerPublisher(url, 3.0, 5.0)) as publisher:
        publisher.publish(names.PERSONA_PROCESS, names.EVENTS, "b1", b"", 1)
        with Connection(url) as connection:
            Queue(names.EVENTS)(connection.default_channel).delete()
        with pytest.raises(Unavailable, match="NO_ROUTE"):
            publisher.publish(names.PERSONA_PROCESS, names.EVENTS, "b2", b"", 1)

        publisher.publish(names.PERSONA_PROCESS, names.EVENTS, "b3", b"", 1)  # it is declared anew
        assert publisher.queue_length(names.EVENTS) == 1


def test_a_queue_of_another_kind_stops_the_worker_with_a_reason(stack: LocalStack, tmp_path: Path) -> None:
    with virtual_host() as url:
        with Connection(url) as connection:
            Queue(names.BULK, durable=True)(connection.default_channel).declare()
        with pytest.raises(Exception, match="worker1") as failed:
            Fleet(tmp_path, url, stack.urls.reply_url)
    assert "docs/rabbitmq.md" in str(failed.value)
