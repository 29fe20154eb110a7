"""Messages that no client of ours sends, on the real queue: workers stay, say so, and quote nothing."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from celery import Celery

import celeryconfig
from infra.local.stack import LocalStack
from producers import PersonaClient
from producers.broker import BrokerPublisher
from tests.support.stack import client_settings_for, start_stack
from tests.support.wait import wait_until
from workers.contract import names
from workers.contract.payloads import Reply, Status
from workers.contract.wire import decompress

KEY = "calm-medium-learning"
WORDS = "my very private words"
pack = msgspec.msgpack.encode


class Watched:
    """A stack of its own, and every line that its processes log."""

    def __init__(self, directory: Path) -> None:
        self.lines: list[str] = []
        self.stack: LocalStack = start_stack(directory, on_line=lambda _, line: self.lines.append(line))
        self.valkey = redis.Redis.from_url(self.stack.urls.reply_url)

    def said(self, words: str) -> bool:
        return any(words in line for line in self.lines)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    made = Watched(tmp_path_factory.mktemp("hostile"))
    yield made
    made.valkey.close()
    made.stack.stop()


@pytest.fixture(autouse=True)
def _fleet_is_well_and_discreet(watched: Watched) -> Iterator[None]:
    """After each test, a valid job is answered, and no log line quotes the words."""
    yield
    with PersonaClient(client_settings_for(watched.stack)) as client:
        assert WORDS in client.process(WORDS, KEY).content
    assert not watched.said("private")


def publish(watched: Watched, payload: bytes) -> None:
    publisher = BrokerPublisher(watched.stack.urls.broker_url, 1.0, 1.0)
    publisher.publish(names.PERSONA_PROCESS, names.INTERACTIVE, uuid.uuid4().hex, payload, 1)
    publisher.close()


def take_dead_letters(watched: Watched) -> list[Any]:
    with Celery("test", set_as_current=False) as app:
        app.config_from_object(celeryconfig)
        app.conf.update(celeryconfig.broker_settings(watched.stack.urls.broker_url))
        with app.connection_for_read() as connection:
            queue = app.amqp.queues[names.DEAD](connection.default_channel)
            return list(iter(lambda: queue.get(no_ack=True), None))


def test_an_unknown_schema_version_is_kept_unharmed_and_its_producer_told(watched: Watched) -> None:
    me = uuid.uuid4().hex
    payload = pack({"v": 99, "id": "b", "reply_to": me, "jobs": [{"id": "j1", "text": WORDS}]})
    publish(watched, payload)

    wait_until(lambda: watched.valkey.exists(names.reply_key(me)))
    packed = watched.valkey.lpop(names.reply_key(me))
    assert isinstance(packed, bytes)
    (outcome,) = msgspec.msgpack.decode(decompress(packed), type=Reply).outcomes
    assert (outcome.id, outcome.status) == ("j1", Status.DEAD)

    kept = {bytes(message.body): message.headers["code"] for message in take_dead_letters(watched)}
    assert kept[payload] == "UNKNOWN_SCHEMA_VERSION"
    assert watched.said("UNKNOWN_SCHEMA_VERSION")


def test_what_is_no_batch_is_kept(watched: Watched) -> None:
    before = watched.valkey.llen("ion:dead")
    publish(watched, WORDS.encode())

    wait_until(lambda: watched.valkey.llen("ion:dead") == before + 1)


def test_a_task_that_nobody_knows_is_refused(watched: Watched) -> None:
    with Celery("test", set_as_current=False) as app:
        app.config_from_object(celeryconfig)
        app.conf.update(celeryconfig.broker_settings(watched.stack.urls.broker_url))
        app.send_task("no.such.task", (WORDS,), queue=names.INTERACTIVE, argsrepr="", kwargsrepr="{}")

    wait_until(lambda: watched.said("message refused: Received unregistered task of type"))


def test_a_task_with_wrong_arguments_is_refused(watched: Watched) -> None:
    with Celery("test", set_as_current=False) as app:
        app.config_from_object(celeryconfig)
        app.conf.update(celeryconfig.broker_settings(watched.stack.urls.broker_url))
        app.send_task(names.PERSONA_PROCESS, (WORDS, 2, 3), queue=names.BULK, argsrepr="", kwargsrepr="{}")

    wait_until(lambda: watched.said("did not succeed: TypeError"))
