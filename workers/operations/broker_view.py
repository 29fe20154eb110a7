"""What monitoring sees of the broker: its queues and who takes from them.

Our own transport keeps all of it on the server, and one look costs a round trip a queue.  Other brokers tell
how many messages a queue holds, not how old they are; and of workers nothing that has a name, so these are
asked, and the answers awaited for a second.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import redis
from celery import Celery
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.contract import names
from workers.contract.addresses import STOCK, is_redis, reply_url_of
from workers.monitoring.collecting.probing import BrokerView, QueueView
from workers.monitoring.metrics import UP
from workers.monitoring.recorder import Recorder
from workers.transport import overview
from workers.transport.scripts import Keys
from workers.transport.servers import open_redis

_PATIENCE_S = 2.0
_ANSWERS_S = 1.0  # workers that are asked get so long

_KEYS = Keys(names.BROKER_PREFIX)


def broker_of(app: Celery, url: str) -> "OwnBroker | OtherBroker":
    """Return what looks at the broker of *app* at *url*; it connects when it looks."""
    return OwnBroker(url) if is_redis(url) and not url.startswith(STOCK) else OtherBroker(app)


class Reach:
    """Looks, for a worker, whether it could get jobs and answer them: the region is up where workers can.

    Each worker looks for itself, by the thread that reports, which needs neither of the servers.  So a time
    in which they were away is measured, too, and told when they are back.
    """

    def __init__(self, app: Celery, broker_url: str, reply_url: str) -> None:
        self._broker = broker_of(app, broker_url)
        self._replies = _open(reply_url)
        self._away: tuple[type[Exception], ...] = (redis.RedisError, *self._broker.errors)

    def look(self, recorder: Recorder) -> None:
        """Measure 1 if both servers answer, else 0."""
        try:
            self._replies.ping()
            self._broker.check()
        except self._away:
            recorder.measure(UP, 0)
        else:
            recorder.measure(UP, 1)


class OwnBroker:
    """Redis or Valkey with our transport."""

    errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)

    def __init__(self, url: str) -> None:
        self._client = _open(url)

    def check(self) -> None:
        """Return when the server answers; raise one of *errors*."""
        self._client.ping()

    def look(self) -> BrokerView:
        """Return what the server tells."""
        queues = {name: QueueView(*overview.queue_state(self._client, _KEYS, name)) for name in names.QUEUES}
        return BrokerView(queues, overview.living_names(self._client, _KEYS))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class OtherBroker:
    """RabbitMQ, or Redis with the transport that ships with kombu."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        connection = app.connection_for_read()
        errors = (*connection.connection_errors, *connection.channel_errors, OperationalError, OSError)
        self.errors: tuple[type[Exception], ...] = errors

    def check(self) -> None:
        """Return when the broker takes a connection; raise one of *errors*."""
        with self._connected():
            pass

    def look(self) -> BrokerView:
        """Return what the broker and the workers tell."""
        with self._connected() as connection:
            channel = connection.channel()
            queues = {
                name: QueueView(int(self._app.amqp.queues[name](channel).queue_declare().message_count))
                for name in names.QUEUES
                if name in self._app.amqp.queues
            }
        with self._connected() as connection:  # kombu hears no answers where it has listened before
            answers = self._app.control.ping(timeout=_ANSWERS_S, connection=connection)
        return BrokerView(queues, [name for answer in answers for name in answer])

    def close(self) -> None:
        """Hold nothing between two looks."""

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        connection = self._app.connection_for_read(connect_timeout=_PATIENCE_S)
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            yield connection
        finally:
            with contextlib.suppress(Exception):  # it may be broken, and farewells fail in any way
                connection.release()


def _open(url: str) -> "redis.Redis":
    return open_redis(
        reply_url_of(url),
        socket_timeout=_PATIENCE_S,
        socket_connect_timeout=_PATIENCE_S,
        retry=Retry(NoBackoff(), 1),  # once, for a connection that went stale
        client_name="ion-monitoring",
    )
