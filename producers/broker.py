"""Put a packed batch on its queue.  One connection, held open, used by one thread."""

import contextlib
import uuid
from typing import Any

from celery import Celery
from kombu import Connection, Producer

import celeryconfig
from producers.admission import QueueState
from producers.errors import Overloaded, ProducerError
from producers.faults import fault_of, known_fault
from workers.contract.payloads import shown


class BrokerPublisher:
    """Publishes Celery messages over a connection of its own.

    After a failure the connection is dropped, and the next publish makes a new one; so recovery needs
    nobody's help.  Every failure is a kind of Unavailable, or Overloaded when the broker is full, within one
    connect timeout (for each address of the broker) or one publish timeout.
    """

    def __init__(self, url: str, connect_timeout_s: float, publish_timeout_s: float) -> None:
        self._app = Celery("ion-producer", set_as_current=False)
        self._app.config_from_object(celeryconfig)
        self._app.conf.update(celeryconfig.broker_settings(url))
        options = dict(self._app.conf.broker_transport_options)
        for name, seconds in (
            ("socket_connect_timeout", connect_timeout_s),
            ("socket_timeout", publish_timeout_s),
            ("read_timeout", publish_timeout_s),
            ("write_timeout", publish_timeout_s),
        ):
            if name in options:
                options[name] = seconds
        self._app.conf.broker_transport_options = options
        self._connect_timeout_s = connect_timeout_s
        self._publish_timeout_s = publish_timeout_s
        self._origin = f"producer@{uuid.uuid4().hex[:8]}"
        self._connection: Connection | None = None
        self._producer: Producer | None = None
        self._declared: set[str] = set()

    def publish(
        self, task: str, queue: str, batch_id: str, payload: bytes, jobs: int, note: str = ""
    ) -> None:
        """Put *payload* on *queue* for *task*; raise Unavailable or Overloaded if the broker did not take it.

        What operators see of it is its id, its queue, the number of *jobs*, and *note*.
        """
        told = shown(jobs, queue)
        message = self._app.amqp.as_task_v2(
            batch_id,
            task,
            args=(payload,),
            kwargs={},
            argsrepr=f"{told}, {note}" if note else told,
            kwargsrepr="{}",
            origin=self._origin,
            ignore_result=True,
        )
        self._put(queue, message)

    def ask(self, task: str, queue: str, expires_s: float) -> None:
        """Put *task*, one without arguments that nobody waits for, on *queue*, as beat does.

        Raises Unavailable.  It lapses after *expires_s*.
        """
        message = self._app.amqp.as_task_v2(
            uuid.uuid4().hex,
            task,
            args=(),
            kwargs={},
            argsrepr="()",
            kwargsrepr="{}",
            origin=self._origin,
            ignore_result=True,
            expires=expires_s,
        )
        self._put(queue, message)

    def _put(self, queue: str, message: Any) -> None:
        with self._failing_as_ours():
            self._connected(queue).publish(
                message.body,
                exchange="",
                routing_key=queue,
                serializer="msgpack",
                headers=message.headers,
                delivery_mode="persistent",
                retry=False,
                mandatory=True,  # RabbitMQ: an error, if the queue is gone, in place of a silent loss
                confirm_timeout=self._publish_timeout_s,  # RabbitMQ in an alarm takes the bytes, says nothing
                **message.properties,
            )

    def queue_length(self, queue: str) -> int:
        """Return how many messages wait on *queue*; raise Unavailable if the broker does not say."""
        with self._failing_as_ours():
            producer = self._connected(queue)
            return int(self._app.amqp.queues[queue](producer.channel).queue_declare().message_count)

    def queue_state(self, queue: str) -> QueueState:
        """Return how full *queue* and its broker are; raise Unavailable if the broker does not say.

        The age of the oldest message and the memory are told by our own transport only.
        """
        with self._failing_as_ours():
            channel = self._connected(queue).channel
            if not hasattr(channel, "queue_state"):
                return QueueState(self.queue_length(queue))
            length, oldest_age_s = channel.queue_state(queue)
            memory = channel.memory()
            used = None if memory is None or not memory[1] else memory[0] / memory[1]
            return QueueState(length, oldest_age_s, used)

    def workers(self, queue: str) -> int | None:
        """Return how many workers live or, on RabbitMQ, consume *queue*; None: the broker does not tell.

        Our own transport knows of a worker for 6 s after it was last alive.  Raises Unavailable.
        """
        with self._failing_as_ours():
            channel = self._connected(queue).channel
            if hasattr(channel, "living"):
                return int(channel.living())
            if self._app.connection_for_write().transport.driver_type != "amqp":
                return None
            return int(self._app.amqp.queues[queue](channel).queue_declare().consumer_count)

    def ping_workers(self, patience_s: float) -> int:
        """Return how many workers answer within *patience_s*, which it always takes; raise Unavailable.

        For brokers that do not tell of workers.  A user that may only produce is denied the answers.
        """
        with (
            self._failing_as_ours(),
            self._app.connection_for_write(connect_timeout=self._connect_timeout_s) as connection,
        ):  # a new one each time: kombu's own transport hears nothing on one that has listened before
            return len(self._app.control.ping(timeout=patience_s, connection=connection))

    def close(self) -> None:
        """Take leave of the broker; another publish would make a new connection."""
        connection = self._let_go()
        if connection is not None:
            with contextlib.suppress(Exception):  # we are done with it either way
                connection.release()

    def _let_go(self) -> Connection | None:
        connection, self._connection, self._producer = self._connection, None, None
        self._declared.clear()
        return connection

    def _connected(self, queue: str) -> Producer:
        if self._producer is None:
            connection = self._app.connection_for_write(connect_timeout=self._connect_timeout_s)
            self._connection = connection
            others = max(0, len(connection.alt) - 1)  # each address gets one try
            connection.ensure_connection(max_retries=others, interval_start=0, interval_step=0)
            self._producer = Producer(connection.channel(), auto_declare=False)
        if queue not in self._declared:  # RabbitMQ drops what no queue is declared for
            self._app.amqp.queues[queue](self._producer.channel).declare()
            self._declared.add(queue)
        return self._producer

    @contextlib.contextmanager
    def _failing_as_ours(self) -> Any:
        try:
            yield
        except Exception as error:
            told: ProducerError | None = known_fault(error, "the broker")
            if told is None and isinstance(error, self._transport_errors()):
                told = fault_of(error, "the broker")
            if not isinstance(told, Overloaded):  # a broker that is full is well otherwise
                self._drop()
            if told is None:
                raise
            raise told from None

    def _drop(self) -> None:
        """Close the connection without a farewell, which the broker would not hear."""
        broken = self._let_go()
        if broken is not None:
            with contextlib.suppress(Exception):  # there is nobody to tell
                broken.collect()

    def _transport_errors(self) -> tuple[type[BaseException], ...]:
        from kombu.exceptions import OperationalError  # noqa: PLC0415

        connection = self._app.connection_for_write()
        return (OSError, OperationalError, *connection.connection_errors, *connection.channel_errors)
