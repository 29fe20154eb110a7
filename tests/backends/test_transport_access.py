"""The users with few rights that docs/brokers.md proposes: enough for the product, and nothing beyond."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError

from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from producers import PersonaClient, PersonaRequest
from tests.support.brokers import PREFIX, Broker
from tests.support.stack import client_settings_for
from tests.support.valkey import Server, server
from tests.support.wait import wait_until
from workers.contract import names
from workers.transport.servers import open_redis

SECRET = "hush-hush"  # noqa: S105 - of a server that lives for one test
KEY = "calm-medium-learning"
DOCS = Path(__file__).parents[2] / "docs" / "brokers.md"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server with the documented users."""
    rules = re.findall(r"^ACL SETUSER (ion-\w+) (.+)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert [user for user, _ in rules] == ["ion-producer", "ion-worker"]
    with server() as made:
        for user, words in rules:
            made.client.execute_command("ACL", "SETUSER", user, *words.replace("PASSWORD", SECRET).split())
        yield made


def address(guarded: Server, user: str) -> str:
    return f"redis+socket://{user}:{SECRET}@{guarded.url.removeprefix('unix://')}?virtual_host=0"


def test_with_these_rights_everything_works(guarded: Server, tmp_path: Path) -> None:
    """Jobs, bulk, durable jobs, periodic work, remote control; nobody is refused anything."""
    url = address(guarded, "ion-worker")
    given = {"state_dir": tmp_path / "ion", "broker_url": url, "workers": 1, "beat": True, "cache": False}
    producer = address(guarded, "ion-producer")
    with LocalStack(LocalSettings.model_validate(given)) as stack:
        settings = client_settings_for(stack, broker_url=producer, reply_url=producer)
        with PersonaClient(settings) as client:
            assert client.process("hello", KEY).content
            many = client.process_many([PersonaRequest(f"m{n}", KEY) for n in range(300)])
            named = [PersonaRequest(f"n{n}", KEY, job_id=f"job-{n}") for n in range(20)]
            bulk = client.submit_batch(named).result(60)
            assert {outcome.status for outcome in (*many, *bulk)} == {"ok"}
        wait_until(lambda: guarded.client.exists(f"{PREFIX}{names.MAINTENANCE}") == 0, 30)
        with Broker("ours", url).app() as app:
            stats = app.control.inspect(timeout=5, limit=1).stats()
            assert stats["worker1@ion"]["broker"]["transport"] == "redis"
            assert SECRET not in repr(stats)
            assert SECRET not in repr(app.control.inspect(timeout=5, limit=1).conf())
    refusals = guarded.client.execute_command("ACL", "LOG")
    assert [{str(k): v for k, v in dict(entry).items() if "age" not in str(k)} for entry in refusals] == []


@pytest.mark.parametrize("user", ["ion-producer", "ion-worker"])
@pytest.mark.parametrize(
    "command",
    [
        "CONFIG GET maxmemory",
        "KEYS *",
        "SCAN 0",
        "FLUSHALL",
        "FLUSHDB",
        "ACL LIST",
        "MONITOR",
        "SHUTDOWN",
        "SCRIPT FLUSH",
        "GET somebody-elses",
        "SET somebody-elses 1",
        "LPUSH other:{broker}:bulk 1",
        "PUBLISH other:channel 1",
        "EVAL return(redis.call('GET','somebody-elses')) 0",
    ],
)
def test_what_is_not_theirs_is_refused(guarded: Server, user: str, command: str) -> None:
    with open_redis(address(guarded, user)) as client, pytest.raises(redis.ResponseError, match=r"(?i)perm"):
        client.execute_command(*command.split())
    guarded.client.execute_command("ACL", "LOG", "RESET")


@pytest.mark.parametrize("command", ["RPOP", "BRPOP", "LRANGE"])
def test_a_producer_cannot_take_or_read_what_waits(guarded: Server, command: str) -> None:
    key = f"{PREFIX}{names.INTERACTIVE}"
    more = {"RPOP": [], "BRPOP": [1], "LRANGE": [0, -1]}[command]
    with open_redis(address(guarded, "ion-producer")) as client, pytest.raises(NoPermissionError):
        client.execute_command(command, key, *more)
    guarded.client.execute_command("ACL", "LOG", "RESET")
