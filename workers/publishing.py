"""How a worker puts messages on queues: within a bounded time, and never silently in vain."""

import contextlib
from collections.abc import Iterator
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from workers.errors import Unavailable

_PATIENCE_S = 5.0


def put(app: Celery, queue: str, message: Any) -> None:
    """Put a Celery *message*, of ``as_task_v2``, on *queue*; raise Unavailable if that failed."""
    broken = _transport_errors(app)
    try:
        with (
            app.producer_pool.acquire(block=True, timeout=_PATIENCE_S) as producer,
            _dropped_after(producer, broken),
        ):
            producer.publish(
                message.body,
                exchange="",
                routing_key=queue,
                declare=[app.amqp.queues[queue]],
                serializer="msgpack",
                headers=message.headers,
                delivery_mode="persistent",
                mandatory=True,  # RabbitMQ: an error, if the queue is gone, in place of a silent loss
                retry=False,
                timeout=_PATIENCE_S,
                confirm_timeout=_PATIENCE_S,  # RabbitMQ in an alarm takes the bytes and says nothing
                **message.properties,
            )
    except broken as error:
        raise Unavailable("the broker", type(error).__name__) from error


def _transport_errors(app: Celery) -> tuple[type[BaseException], ...]:
    """Return what the broker's client raises.  KeyError is among kombu's, and is a bug of ours here."""
    connection = app.connection_for_write()
    errors = (*connection.connection_errors, *connection.channel_errors)
    return (OSError, OperationalError, *(e for e in errors if not issubclass(e, KeyError)))


@contextlib.contextmanager
def _dropped_after(producer: Any, broken: tuple[type[BaseException], ...]) -> Iterator[None]:
    """Drop the pooled connection on failure: a confirm that comes late would pass for the next message's."""
    try:
        yield
    except broken:
        with contextlib.suppress(Exception):  # it is broken, and farewells may fail in any way
            producer.connection.collect()
        raise
