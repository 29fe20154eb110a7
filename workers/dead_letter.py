"""Dead letters leave a worker as messages on the queue ``dead``, whose task puts them into the database.

So they are as safe as any job: a database that is away, full or read-only delays them and loses nothing.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from celery import Celery
from kombu.exceptions import OperationalError

from workers.contract import names
from workers.contract.dead_letters import DeadLetter
from workers.errors import Unanswerable, Unavailable
from workers.quarantine import letter_of_raw
from workers.runtime import DeadLetters

_PATIENCE_S = 5.0

_encode = msgspec.msgpack.Encoder().encode

QuarantineHook = Callable[[bytes, str, str, str, int], None]


class BrokerDeadLetters:
    """Publishes dead letters for the task ``dead.keep``."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def keep(self, letter: DeadLetter) -> None:
        """Put *letter* on the dead queue; raise Unavailable when the broker does not take it."""
        message = self._app.amqp.as_task_v2(
            letter.id,
            names.DEAD_KEEP,
            args=(_encode(letter),),
            kwargs={},
            argsrepr=f"1 letter, {letter.reason}",
            kwargsrepr="{}",
            ignore_result=True,
        )
        broken = self._transport_errors()
        try:
            with (
                self._app.producer_pool.acquire(block=True, timeout=_PATIENCE_S) as producer,
                _dropped_after(producer, broken),
            ):
                producer.publish(
                    message.body,
                    exchange="",
                    routing_key=names.DEAD,
                    declare=[self._app.amqp.queues[names.DEAD]],
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

    def _transport_errors(self) -> tuple[type[BaseException], ...]:
        """Return what the broker's client raises.  KeyError is among kombu's, and is a bug of ours here."""
        connection = self._app.connection_for_write()
        errors = (*connection.connection_errors, *connection.channel_errors)
        return (OSError, OperationalError, *(e for e in errors if not issubclass(e, KeyError)))


@contextlib.contextmanager
def _dropped_after(producer: Any, broken: tuple[type[BaseException], ...]) -> Iterator[None]:
    """Drop the pooled connection on failure: a confirm that comes late would pass for the next message's."""
    try:
        yield
    except broken:
        with contextlib.suppress(Exception):  # it is broken, and farewells may fail in any way
            producer.connection.collapse()
        raise


def quarantine_hook(dead_letters: DeadLetters, now_ms: Callable[[], float]) -> QuarantineHook:
    """Return what the transport calls for an item of a queue that is no message at all.

    It takes the item's bytes, a stable code, the problem (which quotes nothing), the queue and how many
    workers were lost with it; it raises Unavailable when the item could not be kept.
    """

    def quarantine(raw: bytes, code: str, problem: str, queue: str, lost: int) -> None:
        why = Unanswerable(code, "message", problem, "send it with a client of this package")
        dead_letters.keep(letter_of_raw(raw, why, queue, lost, int(now_ms())))

    return quarantine
