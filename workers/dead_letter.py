"""Dead letters leave a worker as messages on the queue ``dead``, whose task puts them into the database.

So they are as safe as any job: a database that is away, full or read-only delays them and loses nothing.
"""

import msgspec
from celery import Celery
from kombu.exceptions import OperationalError

from workers.contract import names
from workers.contract.dead_letters import DeadLetter
from workers.errors import Unavailable

_PATIENCE_S = 5.0

_encode = msgspec.msgpack.Encoder().encode


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
        try:
            with self._app.producer_pool.acquire(block=True, timeout=_PATIENCE_S) as producer:
                producer.publish(
                    message.body,
                    exchange="",
                    routing_key=names.DEAD,
                    declare=[self._app.amqp.queues[names.DEAD]],
                    serializer="msgpack",
                    headers=message.headers,
                    delivery_mode="persistent",
                    **message.properties,
                )
        except (OperationalError, OSError) as error:
            raise Unavailable("the broker", type(error).__name__) from error
