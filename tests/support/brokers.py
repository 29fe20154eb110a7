"""Brokers of several kinds, and a client of each that speaks kombu and nothing of ours."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis
from celery import Celery
from kombu import Connection, Consumer, Producer, Queue

import celeryconfig
from tests.support.wait import wait_until
from workers.contract import names

PREFIX = names.BROKER_PREFIX


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker: what kind it is, the URL that people would write, and a look behind it, if it is Redis."""

    kind: str
    url: str
    server: redis.Redis | None = None

    @property
    def ours(self) -> bool:
        """Whether our transport serves it."""
        return self.kind.startswith("ours")

    def app(self, **options: Any) -> Celery:
        """Return a Celery app as the product makes it, with *options* for the transport."""
        app = Celery("test", set_as_current=False)
        app.config_from_object(celeryconfig)
        app.conf.update(celeryconfig.broker_settings(self.url))
        app.conf.update(broker_transport_options={**app.conf.broker_transport_options, **options})
        return app

    @contextlib.contextmanager
    def client(self, **options: Any) -> Iterator["Client"]:
        """Connect."""
        app = self.app(**options)
        with app.connection_for_read() as connection:
            yield Client(app, connection)


class Client:
    """Publishes and consumes over one connection, without a worker around it."""

    def __init__(self, app: Celery, connection: Connection) -> None:
        self.app, self.connection = app, connection
        self.channel = connection.channel()
        self.got: list[Any] = []
        self._producer = Producer(self.channel, auto_declare=False)
        self._consumer: Consumer | None = None

    def queue(self, name: str) -> Queue:
        """Return the product's queue of that name, bound to this channel."""
        return self.app.amqp.queues[name](self.channel)

    def publish(self, body: Any, queue: str = names.BULK, **properties: Any) -> None:
        """Put *body* on *queue*."""
        self.queue(queue).declare()
        given = {"serializer": "msgpack", **properties}
        self._producer.publish(body, exchange="", routing_key=queue, delivery_mode="persistent", **given)

    def consume(self, *queues: str, prefetch: int = 0) -> None:
        """Begin to receive from *queues*, at most *prefetch* unacknowledged ones."""
        bound = [self.queue(name) for name in queues or (names.BULK,)]
        self._consumer = Consumer(self.channel, bound, on_message=self.got.append, accept=["msgpack"])
        if prefetch:
            self._consumer.qos(prefetch_count=prefetch)
        self._consumer.consume()

    def cancel(self) -> None:
        """Receive no more."""
        assert self._consumer is not None
        self._consumer.cancel()

    def take(self, count: int = 1, deadline_s: float = 30.0) -> list[Any]:
        """Return the next *count* messages; fail if they do not come in time."""
        before = len(self.got)

        def came() -> bool:
            self.idle(0.1)
            return len(self.got) >= before + count

        wait_until(came, deadline_s, what=f"{count} messages")
        return self.got[before:]

    def idle(self, seconds: float = 1.5) -> None:
        """Go on receiving for one message, or for *seconds*."""
        with contextlib.suppress(socket.timeout):
            self.connection.drain_events(timeout=seconds)

    def length(self, queue: str = names.BULK) -> int:
        """Return how many messages wait."""
        return int(self.queue(queue).queue_declare().message_count)


@contextlib.contextmanager
def holder(broker: Broker, queue: str = names.BULK) -> Iterator[subprocess.Popen[str]]:
    """Run a process that takes one message of *queue* and keeps it, unacknowledged."""
    command = [sys.executable, "-m", "tests.support.hold_message", broker.url, queue]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "holding\n"
            yield process
        finally:
            process.kill()
