"""Dead letters on the broker: the queue ``dead``, which nothing consumes."""

from celery import Celery
from kombu.exceptions import OperationalError

from workers.contract import names
from workers.errors import Unanswerable, Unavailable


class BrokerDeadLetters:
    """Publishes a refused message, byte for byte, with the reason in its headers."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def keep(self, payload: bytes, reason: Unanswerable) -> None:
        """Put *payload* on the dead queue; raise Unavailable when the broker does not take it."""
        try:
            with self._app.producer_pool.acquire(block=True, timeout=5) as producer:
                producer.publish(
                    payload,
                    exchange="",
                    routing_key=names.DEAD,
                    declare=[self._app.amqp.queues[names.DEAD]],
                    content_type="application/octet-stream",
                    content_encoding="binary",
                    headers={"code": reason.code, "problem": reason.problem},
                    delivery_mode="persistent",
                )
        except (OperationalError, OSError) as error:
            raise Unavailable("the broker", type(error).__name__) from error
