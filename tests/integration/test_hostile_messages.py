"""Messages that no client of ours sends, on the real queue: workers stay, keep them, and quote nothing."""

import json
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
from tests.support.hostile import Envelope, item_of
from tests.support.letters import Letters
from tests.support.stack import client_settings_for, start_stack
from tests.support.wait import wait_until
from workers.contract import names
from workers.contract.dead_letters import Reason
from workers.contract.payloads import Reply, Status
from workers.contract.wire import decompress

KEY = "calm-medium-learning"
WORDS = "my very private words"
QUEUE_KEY = f"{names.BROKER_PREFIX}{names.INTERACTIVE}"
PUSH_ALTHOUGH_FULL = "#!lua flags=allow-oom\nreturn redis.call('LPUSH', KEYS[1], ARGV[1])"
pack = msgspec.msgpack.encode


class Watched:
    """A stack of its own, and every line that its processes log."""

    def __init__(self, directory: Path) -> None:
        self.lines: list[str] = []
        self.stack: LocalStack = start_stack(directory, on_line=lambda _, line: self.lines.append(line))
        self.valkey = redis.Redis.from_url(self.stack.urls.reply_url)
        self.letters = Letters(self.stack)
        self.pids = self.running()

    def said(self, words: str) -> bool:
        return any(words in line for line in self.lines)

    def running(self) -> dict[str, int | None]:
        return {process.name: process.pid for process in self.stack.processes()}

    def app(self) -> Celery:
        app = Celery("test", set_as_current=False)
        app.config_from_object(celeryconfig)
        app.conf.update(celeryconfig.broker_settings(self.stack.urls.broker_url))
        return app

    def send(self, task: str, *arguments: object, queue: str = names.INTERACTIVE) -> None:
        with self.app() as app:
            app.send_task(task, arguments, queue=queue, argsrepr="", kwargsrepr="{}", ignore_result=True)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    made = Watched(tmp_path_factory.mktemp("hostile"))
    yield made
    made.valkey.close()
    made.stack.stop()


@pytest.fixture(autouse=True)
def _fleet_is_well_and_discreet(watched: Watched) -> Iterator[None]:
    """After each test, a valid job is answered by the same processes, and no log line quotes the words."""
    yield
    with PersonaClient(client_settings_for(watched.stack)) as client:
        assert WORDS in client.process(WORDS, KEY).content
    assert watched.running() == watched.pids
    assert not watched.said("private")


def publish(watched: Watched, payload: bytes) -> None:
    publisher = BrokerPublisher(watched.stack.urls.broker_url, 1.0, 1.0)
    publisher.publish(names.PERSONA_PROCESS, names.INTERACTIVE, uuid.uuid4().hex, payload, 1)
    publisher.close()


def test_an_unknown_schema_version_is_kept_unharmed_and_its_producer_told(watched: Watched) -> None:
    me = uuid.uuid4().hex
    payload = pack({"v": 99, "id": "b", "reply_to": me, "jobs": [{"id": "j1", "text": WORDS}]})
    publish(watched, payload)

    wait_until(lambda: watched.valkey.exists(names.reply_key(me)), 60)
    packed = watched.valkey.lpop(names.reply_key(me))
    assert isinstance(packed, bytes)
    (outcome,) = msgspec.msgpack.decode(decompress(packed), type=Reply).outcomes
    assert (outcome.id, outcome.status) == ("j1", Status.DEAD)

    letter = watched.letters.next()
    assert (letter.reason, letter.code) == (Reason.UNKNOWN_VERSION, "UNKNOWN_SCHEMA_VERSION")
    assert watched.letters.payload(letter) == payload
    assert watched.said("UNKNOWN_SCHEMA_VERSION")


def test_what_is_no_batch_is_kept(watched: Watched) -> None:
    payload = f"{uuid.uuid4()} {WORDS}".encode()
    publish(watched, payload)

    letter = watched.letters.next()
    assert (letter.reason, letter.code) == (Reason.MALFORMED, "MALFORMED_BATCH")
    assert watched.letters.payload(letter) == payload


def test_a_batch_for_a_task_that_nobody_knows_is_kept_whole(watched: Watched) -> None:
    """So that it can be sent again once the workers know the task."""
    payload = uuid.uuid4().bytes * 1_000
    watched.send("no.such.task", payload)

    letter = watched.letters.next()
    assert (letter.reason, letter.task, letter.queue) == (
        Reason.UNKNOWN_TASK,
        "no.such.task",
        names.INTERACTIVE,
    )
    assert watched.letters.payload(letter) == payload


def test_of_anything_else_for_a_task_that_nobody_knows_the_beginning_is_kept(watched: Watched) -> None:
    watched.send("no.such.task", WORDS * 1_000)

    letter = watched.letters.next()
    assert letter.reason == Reason.UNKNOWN_TASK
    kept = watched.letters.payload(letter)
    assert WORDS.encode() in kept
    assert len(kept) == 4_096 < letter.size_bytes


def test_a_task_with_wrong_arguments_is_refused(watched: Watched) -> None:
    watched.send(names.PERSONA_PROCESS, WORDS, 2, 3, queue=names.BULK)

    letter = watched.letters.next()
    assert (letter.code, letter.field, letter.queue) == ("BAD_ARGUMENTS", "args", names.BULK)


def test_what_is_wrong_on_the_dead_queue_makes_one_letter_and_no_more(watched: Watched) -> None:
    watched.send(names.DEAD_KEEP, WORDS, queue=names.DEAD)
    assert (watched.letters.next().code, watched.letters.new()) == ("BAD_ARGUMENTS", [])

    watched.send(names.DEAD_KEEP, WORDS.encode(), queue=names.DEAD)
    letter = watched.letters.next()
    assert (letter.code, letter.queue) == ("UNREADABLE_LETTER", names.DEAD)
    assert watched.letters.payload(letter) == WORDS.encode()

    watched.send("no.such.task", f"other {WORDS}".encode(), queue=names.DEAD)
    assert watched.letters.next().queue == names.DEAD
    assert watched.letters.new() == []


def test_a_message_stays_until_its_letter_is_taken(watched: Watched) -> None:
    """A server that is full takes no letters; the message is not acknowledged until it does."""
    raw = item_of(Envelope("no batch", "", {"task": WORDS}), names.INTERACTIVE)
    watched.valkey.config_set("maxmemory", "1")
    try:
        watched.valkey.eval(PUSH_ALTHOUGH_FULL, 1, QUEUE_KEY, raw)
        wait_until(lambda: watched.said("a dead letter (UNKNOWN_TASK) waits"), 60)
        assert watched.letters.new() == []
    finally:
        watched.valkey.config_set("maxmemory", "0")

    assert watched.letters.next().code == "UNKNOWN_TASK"


HOSTILE_CONTROL: list[Any] = [
    7,
    [],
    {"method": 7},
    {"method": {"a": 1}},
    {"method": WORDS, "arguments": {}},
    {"method": "rate_limit", "arguments": {"task_name": WORDS, "rate_limit": [WORDS]}},
    {"method": "ping", "arguments": [WORDS]},
    {"method": "ping", "arguments": {WORDS: WORDS}},
    {"method": "ping", "destination": 7},
    {"pattern": WORDS, "matcher": WORDS, "method": "ping"},
    {"method": "ping", "reply_to": WORDS},
]


@pytest.mark.parametrize("kind", ["application/json", "application/x-python-serialize"])
@pytest.mark.parametrize("body", HOSTILE_CONTROL, ids=str)
def test_remote_control_cannot_be_used_to_end_a_worker(watched: Watched, body: object, kind: str) -> None:
    control(watched, json.dumps(body), content_type=kind, content_encoding="utf-8")


def test_nor_can_what_remote_control_cannot_open(watched: Watched) -> None:
    control(watched, {"method": "ping", "arguments": WORDS}, compression="zlib", serializer="json")
    control(watched, {"method": "ping"}, headers={"clock": WORDS}, serializer="json")
    assert watched.said("remote control: a message was refused (COMPRESSED)")


def control(watched: Watched, body: Any, **options: Any) -> None:
    """Send *body* to the channel of remote control; return when the workers answer a command after it."""
    with watched.app() as app:
        with app.connection_for_write() as connection:
            exchange = app.control.mailbox.exchange
            connection.Producer(exchange=exchange).publish(body, declare=[exchange], **options)
        answered = lambda: len(app.control.broadcast("ping", reply=True, timeout=1.0, limit=2)) == 2  # noqa: E731
        wait_until(answered, 60, "both workers answer a ping")
