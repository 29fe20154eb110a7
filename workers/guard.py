"""The Celery consumer that checks each message before Celery sees it, and keeps what it refuses.

Whatever a message holds, the worker stays and takes the next one.  A refused message is published as a dead
letter first and acknowledged after that, so it is never lost; if the broker does not take the letter, the
message stays at work here, unacknowledged, and the letter is tried again with backoff.
"""

import inspect
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from amqp.exceptions import PreconditionFailed
from celery import Celery
from celery.exceptions import WorkerShutdown
from celery.worker.consumer import Consumer
from kombu import compression

from workers.contract.dead_letters import DeadLetter
from workers.dead.quarantine import gave_up, letter_of_message
from workers.envelope import check
from workers.errors import Unanswerable, Unavailable
from workers.observability.redaction import describe
from workers.runtime import DeadLetters

logger = logging.getLogger(__name__)

_FIX = "send it with a client of this package"
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 15.0


class GuardedConsumer(Consumer):  # type: ignore[misc]  # Celery ships no types
    """A consumer that hands Celery nothing but messages that passed the check."""

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        """The steps of Celery's consumer, without one that makes 28 queues on RabbitMQ for long delays.

        Ours are seconds, and the worker that holds the message waits for them.
        """

        default_steps: ClassVar[list[str]] = [
            step for step in Consumer.Blueprint.default_steps if "delayed_delivery" not in step
        ]

        def info(self, parent: Any) -> dict[str, object]:
            """Return what ``celery inspect stats`` and Flower tell, without passwords and functions.

            Celery tells every option of the connection, among them its address as it was given.
            """
            told = super().info(parent)
            if parent.connection:
                kind = parent.connection.transport.driver_type
                told["broker"] = {"hostname": parent.connection.as_uri(), "transport": kind}
            return dict(told)

    def __init__(self, *args: Any, dead_letters: DeadLetters, **options: Any) -> None:
        self._dead_letters = dead_letters
        super().__init__(*args, **options)

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """Return what is called with each message."""
        strategise = super().create_task_handler(*args, **options)
        tasks = arguments_of_tasks(self.app)
        # kombu counts KeyError among connection errors, and a message must not be able to cause those
        broken = tuple(e for e in self.connection_errors if not issubclass(e, KeyError))

        def on_task_received(message: Any) -> None:
            try:
                why = gave_up(message)
                if why is None:
                    check(message, tasks, datetime.now(UTC))
                    strategise(message)
                    return
            except Unanswerable as refused:
                why = refused
            except (MemoryError, *broken):
                raise
            except Exception as error:  # noqa: BLE001 - no message may end its worker
                logger.error("a message got past the check and failed: %s", describe(error))  # noqa: TRY400 - it may quote
                why = Unanswerable("UNACCEPTABLE", "message", f"raised {type(error).__name__}", _FIX)
            self._quarantine(message, why)

        return on_task_received

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Keep a message that kombu could not open; of remote control, drop it."""
        code = "COMPRESSED" if isinstance(exc, CompressionRefused) else "UNDECODABLE"
        why = Unanswerable(code, "body", f"body: could not be opened ({type(exc).__name__})", _FIX)
        consumer = self.task_consumer
        if consumer is not None and message.channel is consumer.channel:
            self._quarantine(message, why)
            return
        logger.warning("remote control: a message was refused (%s)", code)
        message.ack_log_error(logger, self.connection_errors)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Keep what the check let pass and Celery takes for no task."""
        _ = body
        self._quarantine(message, Unanswerable("BAD_HEADERS", "headers", "headers: name no task", _FIX))

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Keep what the check let pass and Celery has no task for."""
        _ = body, exc
        why = Unanswerable("UNKNOWN_TASK", "task", "no task of this name is known here", "update the workers")
        self._quarantine(message, why)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Keep what the check let pass and Celery refused."""
        _ = body
        why = Unanswerable(
            "INVALID_TASK", "message", f"message: Celery refused it ({type(exc).__name__})", _FIX
        )
        self._quarantine(message, why)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Reconnect, unless a queue is not what the settings say: that would fail for ever."""
        if isinstance(exc, PreconditionFailed) and exc.method_name == "Queue.declare":
            logger.critical('RabbitMQ: %s; see docs/rabbitmq.md, "Queues of another kind"', exc.reply_text)
            raise WorkerShutdown(1) from exc
        super().on_connection_error_after_connected(exc)

    def _quarantine(self, message: Any, why: Unanswerable) -> None:
        if message.acknowledged:
            return  # it failed after its task had ended, and was reported where it failed
        letter = letter_of_message(message, why, self.hostname, int(time.time() * 1000))
        self._keep(letter, message, _FIRST_WAIT_S)

    def _keep(self, letter: DeadLetter, message: Any, wait_s: float) -> None:
        try:
            self._dead_letters.keep(letter)
        except Unavailable as error:
            logger.warning("a dead letter (%s) waits %g s: %s", letter.code, wait_s, error)
            self.timer.call_after(wait_s, self._keep, (letter, message, min(2 * wait_s, _LONGEST_WAIT_S)))
            return
        logger.warning("message refused: %s (%s), kept as letter %s", letter.code, letter.field, letter.id)
        # its connection may be gone by now: then it comes again, and makes the same letter
        message.ack_log_error(logger, self.connection_errors)


class CompressionRefused(ValueError):
    """A message says that it is compressed; Celery's messages of ours are not."""


def refuse_compression() -> None:
    """Let kombu open no compressed message in this process: it would unpack to any size, unchecked.

    kombu unpacks before anybody can look, also on the channels of remote control and events; its register
    is the process's, and so is this.
    """

    def refuse(_: bytes) -> bytes:
        raise CompressionRefused

    for content_type in compression.encoders():
        encode, _ = compression.get_encoder(content_type)
        compression.register(encode, refuse, content_type)


def arguments_of_tasks(app: Celery) -> Mapping[str, int]:
    """Return *app*'s own tasks and how many arguments each takes.

    Celery's built-in ones are not among them: ``celery.map`` and its like run whatever a message names.
    """
    own = {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}
    return {name: len(inspect.signature(task.run).parameters) for name, task in own.items()}
