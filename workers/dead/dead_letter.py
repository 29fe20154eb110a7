"""Dead letters leave a worker as messages on the queue ``dead``, whose task puts them into the database.

So they are as safe as any job: a database that is away, full or read-only delays them and loses nothing.
"""

from collections.abc import Callable

import msgspec
from celery import Celery

from workers.contract import names
from workers.contract.dead_letters import DeadLetter
from workers.dead.quarantine import letter_of_raw
from workers.errors import Unanswerable
from workers.publishing import put
from workers.runtime import DeadLetters

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
        put(self._app, names.DEAD, message)


def quarantine_hook(dead_letters: DeadLetters, now_ms: Callable[[], float]) -> QuarantineHook:
    """Return what the transport calls for an item of a queue that is no message at all.

    It takes the item's bytes, a stable code, the problem (which quotes nothing), the queue and how many
    workers were lost with it; it raises Unavailable when the item could not be kept.
    """

    def quarantine(raw: bytes, code: str, problem: str, queue: str, lost: int) -> None:
        why = Unanswerable(code, "message", problem, "send it with a client of this package")
        dead_letters.keep(letter_of_raw(raw, why, queue, lost, int(now_ms())))

    return quarantine
