"""Events reach those who subscribe, over every broker, and nobody else pays for them."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kombu import Connection, Consumer, Exchange, Queue

import celeryconfig
from tests.support.rabbit_host import virtual_host
from tests.support.valkey import Server
from tests.support.wait import wait_until
from workers.contract.names import BROKER_PREFIX, INTERACTIVE
from workers.monitoring.events import EXCHANGE, CachePerformanceEvent, Event, Events, RoutingDecisionEvent
from workers.operations import eventing
from workers.operations.eventing import Away, EventExchange

DOCS = Path(__file__).parents[2] / "docs" / "events.md"
CACHE = CachePerformanceEvent(at_ms=1, region="eu", endpoint="process", local=3)
ROUTING = RoutingDecisionEvent(
    at_ms=2,
    region="eu",
    batch_id="b",
    jobs=2,
    analysed=1,
    personas={"Lua": 2},
    mean_confidence=0.7,
    lowest_confidence=0.6,
)
BINDINGS = f"{BROKER_PREFIX}_kombu.binding.{EXCHANGE}"

_SEPARATOR = "\x06\x16"  # kombu's

decode = msgspec.json.Decoder(Events).decode


@pytest.fixture(params=["valkey", "redis7", "stock", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each broker in turn, without queues."""
    if request.param == "rabbitmq":
        with virtual_host() as url:
            yield url
        return
    server: Server = request.getfixturevalue("redis7" if request.param == "redis7" else "valkey")
    server.client.flushall()
    url = server.url.replace("unix://", "redis+socket://") + "?virtual_host=0"
    yield f"stock+{url}" if request.param == "stock" else url


@pytest.fixture
def exchange(broker_url: str) -> Iterator[EventExchange]:
    made = EventExchange(broker_url, "test")
    yield made
    made.close()


def bound_to(queue: str) -> str:
    """Return what kombu keeps of a binding: its key, the pattern for that, and the queue."""
    return _SEPARATOR.join(("#", "^.*?$", queue))


class Subscriber:
    """Listens to the topics of *pattern*, as any program could."""

    def __init__(self, broker_url: str, pattern: str) -> None:
        settings: dict[str, Any] = celeryconfig.broker_settings(broker_url)
        self._connection = Connection(
            settings["broker_url"], transport_options=settings["broker_transport_options"]
        )
        topics = Exchange(EXCHANGE, type="topic", durable=True)
        queue = Queue(f"test-{pattern}", topics, pattern, auto_delete=True, expires=60, max_length=1_000)
        self.heard: list[Event] = []
        self.keys: list[str] = []
        consumer = Consumer(self._connection, queue, on_message=self._take, no_ack=True)
        consumer.consume()

    def _take(self, message: Any) -> None:
        self.keys.append(message.delivery_info["routing_key"])
        self.heard += decode(message.body).events

    def listen(self, events: int) -> None:
        """Return when so many *events* have come."""

        def came() -> bool:
            with contextlib.suppress(TimeoutError):
                self._connection.drain_events(timeout=0.1)
            return len(self.heard) >= events

        wait_until(came, 20, f"{events} events")

    def close(self) -> None:
        self._connection.release()


@pytest.fixture
def subscribe(broker_url: str) -> Iterator[Callable[[str], Subscriber]]:
    made: list[Subscriber] = []

    def make(pattern: str) -> Subscriber:
        made.append(Subscriber(broker_url, pattern))
        return made[-1]

    yield make
    for subscriber in made:
        subscriber.close()


def test_who_subscribes_hears_of_his_topics(
    exchange: EventExchange, subscribe: Callable[[str], Subscriber]
) -> None:
    everything, routing = subscribe("#"), subscribe("routing.*.eu")
    exchange.send([CACHE, ROUTING, CACHE])
    everything.listen(3)
    routing.listen(1)

    assert everything.heard in ([CACHE, CACHE, ROUTING], [ROUTING, CACHE, CACHE])
    assert sorted(everything.keys) == ["cache.performance.eu", "routing.decision.eu"]
    assert routing.heard == [ROUTING]


def test_what_is_left_is_sent_at_the_end(broker_url: str, subscribe: Callable[[str], Subscriber]) -> None:
    subscriber, exchange = subscribe("#"), EventExchange(broker_url, "test")
    exchange.send([CACHE])
    exchange.close([ROUTING])
    subscriber.listen(2)

    assert subscriber.heard == [CACHE, ROUTING]


def test_without_a_subscriber_nothing_is_sent(valkey: Server) -> None:
    valkey.client.flushall()
    exchange = EventExchange(valkey.url, "test")
    exchange.send([CACHE])
    exchange.close()

    assert valkey.client.keys() == []


def test_what_a_subscriber_leaves_unread_is_deleted(valkey: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one that was killed would fill the broker, which jobs need."""
    monkeypatch.setattr(eventing, "MOST_UNREAD", 5)
    valkey.client.flushall()
    valkey.client.sadd(BINDINGS, bound_to("gone"))
    exchange = EventExchange(valkey.url, "test")
    unread = [exchange.send([CACHE]) for _ in range(12)]
    exchange.close()

    assert sum(unread) == 10
    assert valkey.client.llen(f"{BROKER_PREFIX}gone") == 2


def test_jobs_are_never_deleted_for_events(valkey: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever binds a queue of jobs to the exchange gets dead letters, and keeps the jobs."""
    monkeypatch.setattr(eventing, "MOST_UNREAD", 1)
    valkey.client.flushall()
    valkey.client.lpush(f"{BROKER_PREFIX}{INTERACTIVE}", "a job")
    valkey.client.sadd(BINDINGS, bound_to(INTERACTIVE))
    exchange = EventExchange(valkey.url, "test")
    unread = exchange.send([CACHE])
    exchange.close()

    assert unread == 0
    assert valkey.client.lindex(f"{BROKER_PREFIX}{INTERACTIVE}", -1) == b"a job"


def test_a_broker_that_is_away_is_not_asked_all_the_time(tmp_path: Path) -> None:
    now_s = 0.0
    exchange = EventExchange(f"redis+socket://{tmp_path}/no.sock?virtual_host=0", "test", lambda: now_s)
    with pytest.raises(Exception, match=r"no\.sock"):
        exchange.send([CACHE])
    with pytest.raises(Away):
        exchange.send([CACHE])
    now_s = 11.0
    with pytest.raises(Exception, match=r"no\.sock"):
        exchange.send([CACHE])


def test_the_documented_subscriber_works(valkey: Server) -> None:
    """The program in docs/events.md, as it stands there."""
    valkey.client.flushall()
    (program,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    exchange = EventExchange(valkey.url, "test")
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        env={**os.environ, "ION_BROKER_URL": valkey.url},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until(lambda: valkey.client.exists(BINDINGS), 20, "the program subscribes")
            exchange.send([CACHE, ROUTING])
            assert process.stdout is not None
            said = {process.stdout.readline().split()[0] for _ in range(2)}
        finally:
            process.terminate()
            exchange.close()

    assert said == {"CachePerformanceEvent", "RoutingDecisionEvent"}
