"""One reply and one effect, however often a message is delivered: real workers, real servers."""

import time
import uuid
from pathlib import Path

import msgspec
import pytest
import redis

from infra.local.commands import worker_command
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from producers import PersonaClient, PersonaRequest
from producers.broker import BrokerPublisher
from tests.support.stack import client_settings_for
from tests.support.wait import wait_until
from workers.contract import names
from workers.contract.payloads import Batch, Job, Reply
from workers.contract.wire import decompress
from workers.transport.servers import open_redis

KEY = "calm-medium-learning"


def packed_batch(me: str, batch_id: str, *jobs: Job) -> bytes:
    packed = [msgspec.Raw(msgspec.msgpack.encode(job)) for job in jobs]
    batch = Batch(id=batch_id, reply_to=me, sent_ms=int(time.time() * 1000), jobs=packed)
    return msgspec.msgpack.encode(batch)


def duplicates(server: "redis.Redis") -> int:
    return int(server.get(names.DUPLICATES_KEY) or 0)


def test_a_message_that_comes_fifty_times_has_one_reply_and_the_others_are_counted(stack: LocalStack) -> None:
    me, batch_id = uuid.uuid4().hex, uuid.uuid4().hex
    payload = packed_batch(me, batch_id, Job(id="1", text="hi", key=KEY), Job(id="2", text="ho", key=KEY))
    with open_redis(stack.urls.reply_url) as server:
        before = duplicates(server)
        publisher = BrokerPublisher(stack.urls.broker_url, 5.0, 5.0)
        for _ in range(50):
            publisher.publish(names.PERSONA_PROCESS, names.INTERACTIVE, batch_id, payload, 2)
        publisher.close()
        wait_until(lambda: duplicates(server) - before == 49, 60)

        (reply,) = server.lrange(names.reply_key(me), 0, -1)
        server.delete(names.reply_key(me))
    outcomes = msgspec.msgpack.decode(decompress(reply), type=Reply).outcomes
    assert [outcome.id for outcome in outcomes] == ["1", "2"]


def test_a_durable_job_in_several_batches_has_one_outcome(stack: LocalStack) -> None:
    me, job = uuid.uuid4().hex, Job(id=uuid.uuid4().hex, text="hi", key=KEY, durable=True)
    publisher = BrokerPublisher(stack.urls.broker_url, 5.0, 5.0)
    for _ in range(20):
        batch_id = uuid.uuid4().hex
        payload = packed_batch(me, batch_id, job)
        publisher.publish(names.PERSONA_PROCESS, names.INTERACTIVE, batch_id, payload, 1)
    publisher.close()
    with open_redis(stack.urls.reply_url) as server:
        wait_until(lambda: server.llen(names.reply_key(me)) == 20, 60)
        replies = server.lrange(names.reply_key(me), 0, -1)
        kept = server.hget(names.outcome_key(job.id), "o")
        server.delete(names.reply_key(me), names.outcome_key(job.id))

    ends = {
        msgspec.msgpack.encode(msgspec.msgpack.decode(decompress(reply), type=Reply).outcomes[0])
        for reply in replies
    }
    assert ends == {kept}


def test_a_worker_killed_between_its_reply_and_its_acknowledgement_answers_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker gives the batch to another worker, which finds it settled, and only acknowledges it."""
    killed = tmp_path / "killed"
    monkeypatch.setenv("ION_TEST_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("ION_TEST_DIES_ONCE", str(killed))
    settings = LocalSettings.model_validate(
        {"state_dir": tmp_path / "ion", "broker_url": None, "reply_url": None, "beat": False, "workers": 2}
    )

    def command(settings: LocalSettings, index: int) -> tuple[str, ...]:
        return tuple(
            "tests.support.poisonous_worker" if word == "workers.entry" else word
            for word in worker_command(settings, index)
        )

    me, batch_id = uuid.uuid4().hex, uuid.uuid4().hex
    lines: list[str] = []
    with LocalStack(settings, lambda name, line: lines.append(f"{name}: {line}"), command) as stack:
        with open_redis(stack.urls.reply_url) as server:
            publisher = BrokerPublisher(stack.urls.broker_url, 5.0, 5.0)
            payload = packed_batch(me, batch_id, Job(id="1", text="hi", key=KEY))
            publisher.publish(names.PERSONA_PROCESS, names.INTERACTIVE, batch_id, payload, 1)
            wait_until(killed.exists, 30)
            channel = publisher._connected(names.INTERACTIVE).channel

            def is_done_with() -> bool:
                waiting = channel.queue_state(names.INTERACTIVE)[0]
                return not waiting and not any(channel.in_flight().values())

            wait_until(lambda: is_done_with() and is_done_with(), 60, "the batch is acknowledged")
            publisher.close()

            assert server.llen(names.reply_key(me)) == 1
            assert duplicates(server) == 0
        with PersonaClient(client_settings_for(stack)) as client:
            assert client.process_many([PersonaRequest("still here?", KEY)])[0].status == "ok"
    assert any("signal 9" in line for line in lines)
