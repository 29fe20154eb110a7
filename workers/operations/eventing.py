"""The topic exchange ``ion.events``: events for whoever subscribes, as JSON, many in one message.

An event goes out under its topic and region, such as ``persona.process.eu``.  On Redis and Valkey a broker
keeps what nobody reads for ever, so this side takes care: without a subscriber nothing is sent, and what a
subscriber leaves unread is deleted when there is too much of it.  RabbitMQ does that by itself, as queues are
declared.

Units:  seconds.
Errors: whatever kombu and the broker's client raise; Away, until it is time to try a broker again.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from kombu import Connection, Exchange, Producer

import celeryconfig
from workers.contract import names
from workers.monitoring.events import EXCHANGE, Event, Events

MOST_UNREAD = 500  # messages of one subscriber, of some 20 kB each
_PATIENCE_S = 0.5
_TRY_AGAIN_S = 10.0
_LIFE_S = 60.0  # of a message on RabbitMQ

_encode = msgspec.json.Encoder().encode


class Away(Exception):
    """The broker did not take events a moment ago."""


class EventExchange:
    """Publishes for one process, *source*, over a connection of its own, from one thread."""

    def __init__(self, broker_url: str, source: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._source, self._clock = broker_url, source, clock
        self._connection: Connection | None = None
        self._producer: Any = None
        self._not_before_s = float("-inf")

    def send(self, events: Sequence[Event]) -> int:
        """Send *events*; return how many messages that nobody had read were deleted."""
        if self._clock() < self._not_before_s:
            raise Away
        try:
            producer = self._connected()
            subscribed, unread = _look_at_queues(producer.channel)
            if subscribed:
                self._publish(producer, events)
        except Exception:
            self._drop()
            self._not_before_s = self._clock() + _TRY_AGAIN_S
            raise
        return unread

    def close(self, unsent: Sequence[Event] = ()) -> None:
        """Send *unsent*, if there is a connection, and close it."""
        try:
            if unsent and self._producer is not None:
                self.send(unsent)
        finally:
            self._drop()

    def _publish(self, producer: Any, events: Sequence[Event]) -> None:
        together: dict[str, list[Event]] = {}
        for event in events:
            together.setdefault(f"{event.topic}.{event.region}", []).append(event)
        for routing_key, some in together.items():
            producer.publish(
                _encode(Events(source=self._source, events=some)),
                routing_key=routing_key,
                content_type="application/json",
                content_encoding="utf-8",
                delivery_mode="transient",
                expiration=_LIFE_S,
                retry=False,
            )

    def _connected(self) -> Any:
        if self._producer is None:
            settings: dict[str, Any] = celeryconfig.broker_settings(self._url)
            options = dict(settings.get("broker_transport_options", {}))
            options.pop("confirm_publish", None)  # nobody waits for an event to have arrived
            for name in ("socket_connect_timeout", "socket_timeout", "read_timeout", "write_timeout"):
                if name in options:
                    options[name] = _PATIENCE_S
            connection = self._connection = Connection(
                settings["broker_url"],
                ssl=settings.get("broker_use_ssl", False),
                transport_options=options,
                connect_timeout=_PATIENCE_S,
            )
            others = max(0, len(connection.alt) - 1)  # each address gets one try
            connection.ensure_connection(max_retries=others, interval_start=0, interval_step=0)
            channel = connection.channel()
            topics = Exchange(EXCHANGE, type="topic", durable=True)
            topics(channel).declare()
            self._producer = Producer(channel, topics, auto_declare=False)
        return self._producer

    def _drop(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(Exception):  # we are done with it either way
                connection.release()


def _look_at_queues(channel: Any) -> tuple[bool, int]:
    """Return whether somebody subscribes, as far as that can be told, and how much was deleted unread."""
    if not hasattr(channel, "get_table"):  # RabbitMQ looks after its queues
        return True, 0
    queues = {queue for *_, queue in channel.get_table(EXCHANGE)}
    unread = 0
    for queue in queues.difference(names.QUEUES):  # jobs are no events, whatever somebody has bound
        if channel.queue_declare(queue).message_count >= MOST_UNREAD:
            unread += int(channel.queue_purge(queue) or 0)
    return bool(queues), unread
