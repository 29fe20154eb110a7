"""What every broker does with a message: ours on Valkey and on Redis, kombu's own transport, and RabbitMQ."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from flower.utils.broker import Broker as FlowerBroker

from tests.support.brokers import PREFIX, Broker, holder
from tests.support.valkey import VALKEY, redis_7, server
from tests.support.wait import wait_until
from workers.contract import names

KINDS = ("ours on Valkey", "ours on Redis", "stock on Valkey", "RabbitMQ")
PERMANENT = ("_kombu.", "workers", "inflight:", *names.QUEUES)  # docs/brokers.md


@pytest.fixture(scope="module", params=KINDS)
def running(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker of each kind, for all tests of this file."""
    kind = str(request.param)
    if kind == "RabbitMQ":
        with _virtual_host() as url:
            yield Broker(kind, url)
        return
    binary = redis_7() if kind == "ours on Redis" else VALKEY
    if binary is None:
        pytest.skip("NO REDIS 7 ON THIS MACHINE: our transport is tested on Valkey only by this run")
    with server(binary) as made:
        path = made.url.removeprefix("unix://")
        stock = "stock+" if kind.startswith("stock") else ""
        yield Broker(kind, f"{stock}redis+socket://{path}?virtual_host=0", made.client)


@contextlib.contextmanager
def _virtual_host() -> Iterator[str]:
    program = shutil.which("rabbitmqctl")
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if program is None or probe.connect_ex(("127.0.0.1", 5672)) != 0:
            pytest.skip("NO RABBITMQ ON THIS MACHINE: its side of the suite is NOT tested by this run")
    name = f"ion-test-{uuid.uuid4().hex[:8]}"

    def control(*arguments: str) -> None:
        subprocess.run([program, "--quiet", *arguments], check=True, capture_output=True, timeout=90)

    try:
        control("add_vhost", name)
    except subprocess.CalledProcessError:
        pytest.skip("NO RIGHT TO MAKE A VIRTUAL HOST: RabbitMQ is NOT tested by this run")
    try:
        control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        yield f"amqp://guest:guest@127.0.0.1:5672/{name}"
    finally:
        control("delete_vhost", name)


@pytest.fixture
def broker(running: Broker) -> Iterator[Broker]:
    """The broker, empty afterwards."""
    yield running
    if running.server is not None:
        running.server.flushdb()
        return
    with running.client() as client:
        for name in names.QUEUES:
            queue = client.queue(name)
            queue.declare()
            queue.purge()


@pytest.fixture
def ours(broker: Broker) -> Broker:
    """The broker, where what our transport adds is promised."""
    if not broker.ours:
        pytest.skip("promised by our transport only")
    return broker


def words(messages: list[Any]) -> list[Any]:
    return [message.payload for message in messages]


def test_messages_come_in_the_order_in_which_they_were_published(broker: Broker) -> None:
    with broker.client() as client:
        for n in range(10):
            client.publish(n)
        client.consume()
        assert words(client.take(10)) == list(range(10))


def test_a_message_arrives_as_it_was_sent(broker: Broker) -> None:
    """Bytes of any value, text of any script, headers of each type."""
    headers = {"text": "안녕하세요 \u202e", "count": 3, "list": [1, None, "x"], "nested": {"a": True}}
    body = {"bytes": bytes(range(256)), "text": "naïve 🌙\x00", "empty": b""}
    with broker.client() as client:
        client.publish(body, headers=headers)
        client.consume()
        (message,) = client.take()
    assert message.payload == body
    assert {name: message.headers[name] for name in headers} == headers


def test_an_acknowledged_message_is_gone(broker: Broker) -> None:
    with broker.client() as client:
        client.publish("once")
        client.consume()
        client.take()[0].ack()
    with broker.client() as client:
        client.consume()
        client.idle()
        assert client.got == []
        assert client.length() == 0


def test_a_rejected_message_is_gone_and_the_next_one_comes(broker: Broker) -> None:
    with broker.client() as client:
        client.publish("bad")
        client.publish("good")
        client.consume(prefetch=1)
        (bad,) = client.take()
        bad.reject()
        assert words(client.take()) == ["good"]


def test_a_requeued_message_is_the_next_one_and_says_so(broker: Broker) -> None:
    """Kombu's own transport puts it last, so there it is only known to come again."""
    with broker.client() as client:
        for word in ("a", "b", "c"):
            client.publish(word)
        client.consume(prefetch=1)
        (first,) = client.take()
        assert not first.delivery_info.get("redelivered")
        first.requeue()
        again = client.take()[0]
        if broker.kind.startswith("stock"):
            assert again.payload in {"a", "b"}
            return
        assert again.payload == "a"
        assert again.delivery_info["redelivered"]
        again.ack()
        assert words(client.take()) == ["b"]


def test_what_a_closing_consumer_has_not_acknowledged_comes_again_in_order(broker: Broker) -> None:
    with broker.client() as client:
        for n in range(4):
            client.publish(n)
        client.consume(prefetch=3)
        client.take(3)[1].ack()
    with broker.client() as client:
        client.consume()
        messages = client.take(3)
    assert sorted(words(messages)) == [0, 2, 3]
    if not broker.kind.startswith("stock"):
        assert words(messages) == [0, 2, 3]
    assert all("ion-lost" not in message.headers for message in messages)  # nobody was lost with them


def test_consumers_share_the_work_and_each_message_has_one_of_them(broker: Broker) -> None:
    with broker.client() as one, broker.client() as other:
        for client in (one, other):
            client.consume(prefetch=5)
        for n in range(10):
            one.publish(n)

        def all_are_there() -> bool:
            one.idle(0.1)
            other.idle(0.1)
            return len(one.got) + len(other.got) == 10

        wait_until(all_are_there, 30)
        assert len(one.got) == len(other.got) == 5
        assert sorted(words(one.got) + words(other.got)) == list(range(10))


def test_a_consumer_takes_no_more_than_it_may_hold(broker: Broker) -> None:
    with broker.client() as client:
        for n in range(5):
            client.publish(n)
        client.consume(prefetch=2)
        client.take(2)
        for _ in range(3):
            client.idle(0.3)
        assert words(client.got) == [0, 1]
        client.got[0].ack()
        assert words(client.take()) == [2]


def test_what_a_killed_consumer_held_comes_again(broker: Broker) -> None:
    """At once from RabbitMQ; when its heartbeat has run out, from ours; after a minute, from kombu's."""
    if broker.kind.startswith("stock"):
        pytest.skip("kombu's own transport may have lost it, and otherwise takes a minute")
    with broker.client() as client:
        client.publish("held")
        client.publish("next")
        with holder(broker) as process:
            client.consume(prefetch=2)
            assert words(client.take()) == ["next"]
            process.kill()
            (again,) = client.take(deadline_s=60)
    assert again.payload == "held"
    assert again.delivery_info["redelivered"]
    if broker.ours:
        assert again.headers["ion-lost"] == 1
        ((at_ms, what, worker),) = again.headers["ion-story"]
        assert (what, worker) == ("lost with its worker", "holder@test")
        assert at_ms > 1_700_000_000_000


def test_a_cancelled_consumer_leaves_what_it_was_about_to_get(broker: Broker) -> None:
    if broker.kind.startswith("stock"):
        pytest.skip("kombu's own transport may hold a message until it is closed")
    with broker.client() as client, broker.client() as other:
        client.consume()
        client.idle(0.2)
        client.cancel()
        other.publish("for the next")
        other.consume()
        assert words(other.take()) == ["for the next"]


# -- what only our transport promises ---------------------------------------------------------------


def test_interactive_work_goes_first_and_bulk_work_gets_its_sixteenth(ours: Broker) -> None:
    """Of 64 claims, 4 look elsewhere first; all find nothing there but bulk work.  1/16 of 64 = 4."""
    with ours.client() as client:
        for n in range(64):
            client.publish(f"b{n}", names.BULK)
            client.publish(f"i{n}", names.INTERACTIVE)
        client.consume(names.BULK, names.INTERACTIVE, names.MAINTENANCE, names.DEAD, names.EVENTS)
        got = words(client.take(64))
    bulk = [word for word in got if word.startswith("b")]
    assert len(bulk) == 4
    assert [word for word in got if word.startswith("i")] == [f"i{n}" for n in range(60)]


def test_copies_of_an_envelope_are_deliveries_of_their_own(ours: Broker) -> None:
    assert ours.server is not None
    with ours.client() as client:
        client.publish("copied")
        (envelope,) = ours.server.lrange(f"{PREFIX}{names.BULK}", 0, -1)
        ours.server.lpush(f"{PREFIX}{names.BULK}", *[envelope] * 49)
        client.consume()
        copies = client.take(50)
        assert client.channel.in_flight() == {next(iter(client.channel.in_flight())): 50}
        assert len({message.delivery_tag for message in copies}) == 50
        for message in copies[:49]:
            message.ack()
        assert sum(client.channel.in_flight().values()) == 1
        copies[49].ack()
        assert sum(client.channel.in_flight().values()) == 0


def test_an_envelope_of_another_publisher_is_taken_too(ours: Broker) -> None:
    """One that plain kombu has put on the list, without our scripts' member, and with forged headers."""
    assert ours.server is not None
    stock = Broker("stock", f"stock+{ours.url}", ours.server)
    with stock.client() as client:
        client.publish("from elsewhere", headers={"ion-lost": 9, "ion-story": [], "kept": 1})
    with ours.client() as client:
        client.consume()
        (message,) = client.take()
    assert message.payload == "from elsewhere"
    assert (message.headers.get("kept"), "ion-lost" in message.headers) == (1, False)


def test_kombus_own_transport_can_go_on_with_our_queues(ours: Broker) -> None:
    """So one may go back to it without draining anything."""
    with ours.client() as client:
        client.publish("from ours")
        client.consume(prefetch=1)
        client.take()[0].requeue()
    stock = Broker("stock", f"stock+{ours.url}", ours.server)
    with stock.client() as client:
        client.consume()
        assert words(client.take()) == ["from ours"]


def test_all_keys_have_the_prefix_and_few_have_no_expiry(ours: Broker) -> None:
    assert ours.server is not None
    with ours.client() as client:
        client.publish("held")
        client.publish("waits")
        client.consume(prefetch=1)
        client.take()
        keys = [key.decode() for key in ours.server.keys("*") if isinstance(key, bytes)]
        lasting = [key for key in keys if ours.server.ttl(key) == -1]
    assert {f"{PREFIX}workers", f"{PREFIX}{names.BULK}"} <= set(lasting)
    assert [key for key in keys if not key.startswith(PREFIX)] == []
    assert [key for key in lasting if not key.removeprefix(PREFIX).startswith(PERMANENT)] == []


def test_one_that_left_leaves_nothing_behind(ours: Broker) -> None:
    assert ours.server is not None
    with ours.client() as client:
        client.publish("held")
        client.consume()
        client.take()
    left = [key.decode().removeprefix(PREFIX) for key in ours.server.keys("*") if isinstance(key, bytes)]
    assert [key for key in left if key.startswith(("workers", "hb:", "inflight:"))] == []
    assert ours.server.llen(f"{PREFIX}{names.BULK}") == 1


def test_the_state_of_a_queue_and_of_the_server(ours: Broker) -> None:
    with ours.client() as client:
        assert client.channel.queue_state(names.BULK) == (0, None)
        client.publish("one")
        client.publish("two")
        length, age_s = client.channel.queue_state(names.BULK)
        assert length == client.length() == 2
        assert 0 <= age_s < 60
        used, most = client.channel.memory()
        assert used > 100_000
        assert most == 0


def test_flower_sees_how_long_queues_are(ours: Broker) -> None:
    """By the address, the prefix and the steps that it reads from the app."""
    with ours.client() as client:
        client.publish("waits")
        options = client.app.conf.broker_transport_options
        seen = FlowerBroker(client.connection.as_uri(include_password=True), broker_options=options)
        assert asyncio.run(seen.queues([names.BULK])) == [{"name": names.BULK, "messages": 1}]
