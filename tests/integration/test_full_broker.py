"""A broker that is full, read-only, forbidden or frozen: told at once, with what to do, and over with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from producers import AccessDenied, NotWritable, Overloaded, PersonaClient, PersonaRequest, Unavailable
from producers.broker import BrokerPublisher
from producers.settings import ClientSettings
from tests.support.stack import client_settings_for, start_stack
from tests.support.valkey import Server, server
from tests.support.wait import wait_until
from workers.contract import names

ASK = PersonaRequest("Why does it fail?", "calm-medium-learning", use_cache=False)
PATIENCE_S = 30.0  # for what takes two seconds where nothing else runs


@pytest.fixture
def valkey() -> Iterator[Server]:
    """A broker of one's own, without workers."""
    with server(maxmemory="64mb", enable_protected_configs="yes") as made:
        yield made


@pytest.fixture
def publisher(valkey: Server) -> Iterator[BrokerPublisher]:
    made = BrokerPublisher(url_of(valkey), 0.8, 1.2)
    yield made
    made.close()


@pytest.fixture
def client(valkey: Server) -> Iterator[PersonaClient]:
    settings = {"broker_url": url_of(valkey), "cache_url": "", "deadline_s": 60}
    with PersonaClient(ClientSettings.model_validate(settings)) as made:
        yield made


def url_of(valkey: Server) -> str:
    return f"redis+socket://{valkey.url.removeprefix('unix://')}?virtual_host=0"


def put(publisher: BrokerPublisher) -> None:
    """Publish a batch that nobody will read."""
    publisher.publish(names.PERSONA_PROCESS, names.BULK, "b", b"payload", 1)


def fill(valkey: Server, megabytes: int) -> None:
    """Take up room, a little at a time: a command needs room for itself, too."""
    for number in range(megabytes):
        valkey.client.set(f"ballast {number}", bytes(1_000_000))


def refused(client: PersonaClient) -> Exception:
    """Return what a job ends in that cannot be sent."""
    try:
        error = client.submit(ASK).outcome(PATIENCE_S).error
    except (Overloaded, Unavailable) as raised:
        error = raised
    assert error is not None
    return error


def works_again(publisher: BrokerPublisher) -> bool:
    try:
        put(publisher)
    except Unavailable:
        return False
    return True


def test_the_queue_tells_its_length_its_age_and_the_memory(
    publisher: BrokerPublisher, valkey: Server
) -> None:
    state = publisher.queue_state(names.BULK)
    assert (state.length, state.oldest_age_s) == (0, None)
    assert state.memory_used_ratio is not None
    assert 0 < state.memory_used_ratio < 0.5

    for _ in range(3):
        put(publisher)
    fill(valkey, 40)
    later = publisher.queue_state(names.BULK)
    assert later.length == 3
    assert later.oldest_age_s is not None
    assert later.oldest_age_s >= 0
    assert later.memory_used_ratio is not None
    assert later.memory_used_ratio > 0.6


def test_a_full_broker_is_overload_loses_nothing_and_takes_more_when_there_is_room(
    publisher: BrokerPublisher, valkey: Server
) -> None:
    put(publisher)
    valkey.client.config_set("maxmemory", "1mb")
    with pytest.raises(Overloaded, match="the memory of the broker is full") as caught:
        put(publisher)
    assert caught.value.retry_after_s > 0
    assert publisher.queue_state(names.BULK).length == 1  # what was accepted is there

    valkey.client.config_set("maxmemory", "64mb")
    put(publisher)
    assert publisher.queue_state(names.BULK).length == 2


def test_a_client_of_a_full_broker_is_told_before_it_sends(client: PersonaClient, valkey: Server) -> None:
    """Interactive work is refused from 85 % on: here, 57 of 64 MB and more."""
    fill(valkey, 57)
    error = refused(client)

    assert isinstance(error, Overloaded)
    assert "the queue interactive may use 85%" in error.why


def test_a_read_only_replica_is_told_and_what_to_do(publisher: BrokerPublisher, valkey: Server) -> None:
    put(publisher)
    valkey.client.replicaof("127.0.0.1", "1")
    with pytest.raises(NotWritable, match="a read-only replica; address the primary"):
        put(publisher)

    valkey.client.replicaof("NO", "ONE")
    wait_until(lambda: works_again(publisher), PATIENCE_S)


def test_a_server_that_cannot_save_is_told_and_what_to_do(
    publisher: BrokerPublisher, valkey: Server, tmp_path: Path
) -> None:
    """Its directory is gone, so its snapshot fails, and it stops taking writes (MISCONF)."""
    directory = tmp_path / "gone"
    directory.mkdir()
    valkey.client.config_set("dir", str(directory))
    directory.rmdir()
    valkey.client.config_set("save", "3600 1000000")
    valkey.client.bgsave()
    wait_until(lambda: valkey.client.info("persistence")["rdb_last_bgsave_status"] == "err")
    with pytest.raises(NotWritable, match="cannot write to its disk"):
        put(publisher)

    valkey.client.config_set("save", "")
    wait_until(lambda: works_again(publisher), PATIENCE_S)


def test_a_user_without_the_right_is_told_and_what_to_do(publisher: BrokerPublisher, valkey: Server) -> None:
    valkey.client.execute_command("ACL", "SETUSER", "default", "-lpush", "-eval", "-evalsha")
    with pytest.raises(AccessDenied, match=r"docs/brokers\.md"):
        put(publisher)

    valkey.client.execute_command("ACL", "SETUSER", "default", "+@all")
    wait_until(lambda: works_again(publisher), PATIENCE_S)


def test_a_frozen_server_is_given_up_and_found_again(publisher: BrokerPublisher, valkey: Server) -> None:
    put(publisher)
    valkey.freeze()
    with pytest.raises(Unavailable, match="did not answer in time"):
        put(publisher)
    valkey.thaw()
    wait_until(lambda: works_again(publisher), PATIENCE_S)


def test_a_server_that_was_restarted_is_found_again(publisher: BrokerPublisher, valkey: Server) -> None:
    put(publisher)
    valkey.kill()
    with pytest.raises(Unavailable):
        put(publisher)
    valkey.start()
    wait_until(lambda: works_again(publisher), PATIENCE_S)


def test_why_replies_cannot_be_had_is_told(client: PersonaClient, valkey: Server) -> None:
    """Reading a reply removes it, which a read-only replica does not do."""
    valkey.client.replicaof("127.0.0.1", "1")

    error = refused(client)
    assert isinstance(error, NotWritable)
    assert "read-only replica" in error.why


def test_a_stack_whose_broker_was_full_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """Nobody restarts anything: the same client and the same workers go on."""
    stack = start_stack(tmp_path, workers=1, cache=False)
    try:
        with (
            PersonaClient(client_settings_for(stack, deadline_s=60)) as client,
            redis.Redis.from_url(stack.urls.reply_url) as valkey,
        ):
            assert client.submit(ASK).result(PATIENCE_S).content
            before = {process.name: process.pid for process in stack.processes()}
            valkey.config_set("maxmemory", "1mb")
            assert isinstance(refused(client), Overloaded)
            valkey.config_set("maxmemory", "0")

            def answered() -> bool:
                try:
                    return client.submit(ASK).outcome(PATIENCE_S).error is None
                except (Overloaded, Unavailable):
                    return False

            wait_until(answered, PATIENCE_S)
            assert {process.name: process.pid for process in stack.processes()} == before
    finally:
        stack.stop()
