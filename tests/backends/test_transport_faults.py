"""What the transport does in trouble: hostile items, lost answers, frozen workers, full servers."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import redis

from tests.support.brokers import PREFIX, Broker, Client
from tests.support.valkey import Server, server
from tests.support.wait import wait_until
from workers.contract import names
from workers.transport import channel as channel_module
from workers.transport import membership, scripts

QUEUE = f"{PREFIX}{names.BULK}"
PRIVATE = "my private words"


@pytest.fixture(scope="module")
def valkey() -> Iterator[Server]:
    with server() as made:
        yield made


@pytest.fixture
def broker(valkey: Server) -> Iterator[Broker]:
    yield Broker("ours on Valkey", valkey.url, valkey.client)
    valkey.client.flushdb()


def in_flight(server: redis.Redis) -> dict[str, list[str]]:
    """Return what is in flight, by worker: ``number/queue``."""
    found = {}
    for key in server.keys(f"{PREFIX}inflight:*"):
        name = key.decode() if isinstance(key, bytes) else key
        fields: list[Any] = server.hkeys(key)
        found[name.rpartition(":")[2]] = [field.decode() for field in fields]
    return found


def member(client: Client) -> Any:
    return client.channel._member


# -- hostile items ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "item",
    [
        PRIVATE,
        "",
        "[" * 100_000,
        json.dumps({"body": PRIVATE}),
        b"\xff\x00",
        '{"ion":[1,2',
        '{"ion":[1,0,0,[]]}x',
    ],
)
def test_what_is_no_message_is_set_aside_and_the_next_one_comes(
    broker: Broker, item: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """On the same connection, at once, and without a word of it in the log."""
    assert broker.server is not None
    with broker.client() as client:
        client.consume()
        client.idle(0.1)
        connections = broker.server.info("stats")["total_connections_received"]
        broker.server.lpush(QUEUE, item)
        client.publish("good")
        assert [message.payload for message in client.take()] == ["good"]
        assert broker.server.info("stats")["total_connections_received"] <= connections + 1  # a command's
        assert broker.server.llen(f"{PREFIX}quarantine") == 1
        assert sum(map(len, in_flight(broker.server).values())) == 1  # the good one
        assert 0 < broker.server.ttl(f"{PREFIX}quarantine") <= 7 * 86_400
    assert "quarantined a message from bulk" in caplog.text
    assert "private" not in caplog.text


def test_the_quarantine_hook_gets_the_item_as_it_was_published(broker: Broker) -> None:
    assert broker.server is not None
    kept: list[tuple[bytes, str, str, str, int]] = []
    with broker.client(quarantine=lambda *letter: kept.append(letter)) as client:
        broker.server.lpush(QUEUE, '{"ion":[1,2,3,[[5,"lost with its worker","w@1"]]],"x":1}')
        client.publish("good")
        client.consume()
        client.take()
        ((raw, code, problem, queue, lost),) = kept
        assert (raw, code, queue, lost) == (b'{"x":1}', "BAD_ENVELOPE", names.BULK, 2)
        assert problem == "properties is missing or no dict"
        assert not broker.server.exists(f"{PREFIX}quarantine")
        assert sum(map(len, in_flight(broker.server).values())) == 1


def test_a_message_is_not_gone_before_it_is_quarantined(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The hook fails once: the item stays in flight, the next one is delivered; then it comes again."""
    assert broker.server is not None
    monkeypatch.setattr(channel_module, "_RETRY_S", 0.3)
    kept: list[bytes] = []

    def quarantine(raw: bytes, *_: Any) -> None:
        kept.append(raw)
        if len(kept) == 1:
            raise RuntimeError(PRIVATE)

    with broker.client(quarantine=quarantine) as client:
        broker.server.lpush(QUEUE, "no message")
        client.publish("good")
        client.consume()
        client.take()
        assert sum(map(len, in_flight(broker.server).values())) == 2 - (len(kept) - 1)

        def again() -> bool:
            client.idle(0.1)
            return len(kept) == 2

        wait_until(again, 30)
        assert kept == [b"no message"] * 2
    assert "could not quarantine a message from bulk: RuntimeError" in caplog.text
    assert "private" not in caplog.text


def test_six_workers_lost_with_a_message_are_enough(broker: Broker) -> None:
    """It is not even read: what is in it may be what ends them."""
    assert broker.server is not None
    kept: list[tuple[Any, ...]] = []
    with broker.client(quarantine=lambda *letter: kept.append(letter)) as client:
        client.publish("good")
        (item,) = broker.server.lrange(QUEUE, 0, -1)
        assert isinstance(item, bytes)
        broker.server.rpush(QUEUE, item.replace(b",0,0,[]]", b",6,6,[]]", 1))
        client.consume()
        client.take()
    ((raw, code, _, _, lost),) = kept
    assert (code, lost) == ("DELIVERY_LIMIT", 6)
    assert raw.startswith(b'{"body"')


def test_a_hundred_megabytes_are_neither_read_nor_kept(broker: Broker) -> None:
    assert broker.server is not None
    kept: list[tuple[Any, ...]] = []
    with broker.client(quarantine=lambda *letter: kept.append(letter)) as client:
        client.consume()
        client.idle(0.1)
        before = psutil.Process().memory_info().rss
        broker.server.eval(
            "redis.call('LPUSH', KEYS[1], string.rep('x', 100000000)) collectgarbage()", 1, QUEUE
        )
        client.publish("good")
        client.take(deadline_s=60)
        grown = psutil.Process().memory_info().rss - before
        assert in_flight(broker.server)[member(client).id] != []
    ((raw, code, problem, *_),) = kept
    assert (len(raw), code) == (4_096, "TOO_LONG")
    assert problem == "the message has 100,000,000 bytes, more than 16,777,216"
    assert grown < 50_000_000


# -- answers that never arrive ----------------------------------------------------------------------


def test_a_message_whose_delivery_was_lost_on_the_way_comes_again(broker: Broker) -> None:
    """The server has claimed it for this worker, which lives, but never reads the answer."""
    assert broker.server is not None
    with broker.client() as client:
        client.consume()
        client.idle(0.1)
        client.connection.transport.cycle.on_poll_start()  # a claim is under way
        client.publish("lost on the way")
        wait_until(lambda: any(in_flight(broker.server).values()) if broker.server else None)
        client.channel.client.connection.disconnect()
        (message,) = client.take()
        assert message.payload == "lost on the way"
        assert message.delivery_info["redelivered"]
        assert "ion-lost" not in message.headers
        message.ack()
        assert not any(in_flight(broker.server).values())


def test_a_claim_that_was_given_up_gets_nothing_when_it_arrives_late(broker: Broker) -> None:
    """As one does that a network has delayed: the worker has asked anew since."""
    assert broker.server is not None
    with broker.client() as client:
        client.consume()
        client.idle(0.1)
        client.connection.transport.cycle.on_poll_start()
        late = client.channel._claim
        client.channel.client.connection.disconnect()
        client.idle(0.1)
        client.publish("for the next claim")
        answer = broker.server.execute_command(*late.command(client.channel._keys, 1_000))
        assert answer == 0
        assert [message.payload for message in client.take()] == ["for the next claim"]


# -- workers that are taken for dead ----------------------------------------------------------------


def test_a_worker_that_was_given_up_goes_on_under_a_new_name_and_settles_nothing_of_its_old_one(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """It was frozen: another one has its message by now, and is not to lose it."""
    assert broker.server is not None
    with broker.client() as frozen, broker.client() as other:
        frozen.publish("held")
        frozen.consume()
        (mine,) = frozen.take()
        old = member(frozen).id
        other.consume()
        other.idle(0.1)

        def swept() -> bool:
            other.idle(0.1)
            return bool(other.got)

        with member(frozen)._using:  # its thread cannot beat, as if it were frozen, too
            broker.server.delete(f"{PREFIX}hb:{old}")
            wait_until(swept, 30)
        (theirs,) = other.got
        assert theirs.headers["ion-lost"] == 1
        mine.ack()
        assert in_flight(broker.server) == {member(other).id: [theirs.delivery_tag.partition("/")[2]]}
        other.cancel()
        theirs.ack()

        frozen.publish("next")
        assert [message.payload for message in frozen.take()] == ["next"]
        assert member(frozen).id != old
    assert "gave back 1 messages" in caplog.text


def test_a_worker_whose_heartbeat_lapsed_unnoticed_just_goes_on(broker: Broker) -> None:
    assert broker.server is not None
    with broker.client() as client:
        client.publish("held")
        client.consume()
        (held,) = client.take()
        before = member(client).id
        broker.server.delete(f"{PREFIX}hb:{before}")
        client.publish("next")
        client.take()
        assert member(client).id == before
        held.ack()
        assert [len(fields) for fields in in_flight(broker.server).values()] == [1]


def test_a_worker_that_could_not_take_leave_does_so_when_the_server_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its message is not counted as lost: nobody died with it."""
    caplog.set_level(logging.CRITICAL)  # kombu's own report of the broken farewell
    with server() as made:
        broker = Broker("ours on Valkey", made.url, made.client)
        with broker.client() as client:
            client.publish("held")
            client.consume()
            client.take()
            made.freeze()
            client.channel.close()
            made.thaw()
        wait_until(lambda: made.client.llen(QUEUE) == 1, 30)
        assert made.client.hlen(f"{PREFIX}workers") == 0
        with broker.client() as heir:
            heir.consume()
            assert "ion-lost" not in heir.take()[0].headers


def test_a_forked_child_does_not_take_leave_for_its_parent(broker: Broker) -> None:
    assert broker.server is not None
    with broker.client() as client:
        client.publish("held")
        client.consume()
        client.take()
        member(client)._pid -= 1  # as in a child: the membership was made by another process
        member(client).leave()
        assert len(in_flight(broker.server)[member(client).id]) == 1
        member(client)._pid += 1


def test_after_an_outage_workers_hold_back_before_they_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the others, whose heartbeats ran out as well, get the time to show that they live."""
    monkeypatch.setattr(membership, "BEAT_S", 0.05)
    with server() as made:
        calls: list[int] = []
        mine = membership.Membership(lambda: redis.Redis.from_url(made.url), scripts.Keys("p:"), "me")
        tend = mine._tend

        def noted(most: int) -> Any:
            calls.append(most)
            return tend(most)

        monkeypatch.setattr(mine, "_tend", noted)
        mine.confirm()
        wait_until(lambda: calls.count(membership._MOST_MOVED) >= 2)
        made.kill()
        wait_until(lambda: mine._sweep_from > 0)
        made.start()
        calls.clear()
        wait_until(lambda: len(calls) >= 2)
        assert set(calls) == {0}
        mine.leave()


# -- a full server ----------------------------------------------------------------------------------


def test_on_a_full_server_publishing_fails_and_everything_else_goes_on() -> None:
    """Claims, acknowledgements, heartbeats and sweeps need no room; what is popped is never lost."""
    with server(maxmemory_policy="noeviction") as made:
        broker = Broker("ours on Valkey", made.url, made.client)
        with broker.client() as client, broker.client() as other:
            for n in range(10):
                client.publish(n)
            made.client.config_set("maxmemory", 1)
            with pytest.raises(redis.OutOfMemoryError):
                client.publish("one more")
            client.consume(prefetch=3)
            messages = client.take(3)
            messages[0].ack()
            messages[1].requeue()
            assert made.client.exists(f"{PREFIX}hb:{member(client).id}")
            other.consume()
            assert [message.payload for message in other.take(7)] == [1, 3, 4, 5, 6, 7, 8]
            made.client.config_set("maxmemory", 0)
            client.publish("room again")


# -- the end ----------------------------------------------------------------------------------------


def test_acknowledging_after_the_end_harms_nobody(broker: Broker) -> None:
    with broker.client() as client:
        client.publish("held")
        client.consume()
        (held,) = client.take()
        client.channel.close()
        client.channel.settle(held.delivery_tag)
        client.channel.give_back([held.delivery_tag])
    with broker.client() as heir:
        assert heir.length() == 1
