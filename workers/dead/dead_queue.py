"""The worker's end of the queue ``dead``: where its letters go, and when it is consumed at all.

While the database does not take letters, they wait where they are safe.  The letter in hand is given back,
and the worker leaves the queue alone for a while, longer each time up to half a minute; its other queues go
on.  Nothing is delayed inside the worker, so nothing can be lost with it.  Without a database the queue is
not consumed.

Whichever pool runs the task, its request ends in the worker's main process; that is where the queue is left
and taken up again.

Source: celery/worker/{request,consumer/consumer}.py and celery/app/amqp.py 5.7.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, bootsteps, signals
from celery.exceptions import Reject
from celery.worker.consumer import Tasks

from workers.contract import names
from workers.contract.dead_letters import DeadLetter
from workers.dead.letter_book import StoredLetters
from workers.monitoring.metrics import DEAD_LETTERS
from workers.monitoring.recorder import NullRecorder, Recorder
from workers.observability.bugs import ReportBug
from workers.request import DiscreetRequest
from workers.store.errors import StoreError
from workers.tasks import dead
from workers.tasks.dead import LetterBook, Retention

logger = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0


class DeadQueueGate:
    """Leaves the queue alone while the database does not take letters.  Lives in a worker's main process."""

    def __init__(self) -> None:
        self._consumer: Any = None
        self._failures = 0
        self._waiting = False

    def attach(self, consumer: Any) -> None:
        """Work with *consumer*, which has just begun; a wait that was under way begins anew."""
        self._consumer = consumer
        if self._waiting:
            consumer.timer.call_after(wait_s(self._failures), self._open)

    def leave(self, why: str) -> None:
        """Leave the queue for a while.  Any thread."""
        if self._consumer is not None:
            self._consumer.call_soon(self._close, why)

    def well(self) -> None:
        """Note that a letter was kept.  Any thread."""
        if self._failures:
            self._failures = 0
            logger.warning("the database takes dead letters again")

    def _close(self, why: str) -> None:
        if self._waiting:
            return
        self._waiting, self._failures = True, self._failures + 1
        if self._failures == 1:  # once an outage, however long it is
            logger.error("DEAD LETTERS WAIT ON THEIR QUEUE: %s; trying again by and by", why)
        self._consumer.cancel_task_queue(names.DEAD)
        self._consumer.timer.call_after(wait_s(self._failures), self._open)

    def _open(self) -> None:
        if self._waiting:
            self._waiting = False
            self._consumer.add_task_queue(names.DEAD)


def wait_s(failures: int) -> float:
    """Return how long the queue is left alone after *failures* in a row."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 10))


class CountedLetters:
    """Letters that are kept in *book*; each that is news is counted, by its reason."""

    def __init__(self, book: LetterBook, recorder: Callable[[], Recorder]) -> None:
        self._book, self._recorder = book, recorder

    def keep(self, letter: DeadLetter) -> bool:
        """Keep *letter*; say whether that was news."""
        news = self._book.keep(letter)
        if news:
            self._recorder().count(DEAD_LETTERS, labels=(letter.reason.value,))
        return news

    def tidy(self, before_ms: int, most: int) -> int:
        """Delete what has not changed since *before_ms*, and the oldest beyond *most*; return how many."""
        return self._book.tidy(before_ms, most)


def connect(
    app: Celery,
    url: str | None,
    retention: Retention,
    report_bug: Callable[[], ReportBug],
    recorder: Callable[[], Recorder] = NullRecorder,
) -> None:
    """Bind the tasks of dead letters to *app*, and let its workers consume them if there is a *url*.

    *report_bug* and *recorder* give what the process that asks reports and measures with.
    """
    gate = DeadQueueGate()

    class Gate(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
        """Tells the gate of each new connection, after the queues are consumed."""

        requires = (Tasks,)

        def start(self, consumer: Any) -> None:
            gate.attach(consumer)

    app.steps["consumer"].add(Gate)
    options = {"Request": _request_of(gate), "acks_on_timeout": False}  # whatever happens, it is kept
    if url is None:
        app.task(_keep_nothing, shared=False, name=names.DEAD_KEEP, **options)
        app.task(_tidy_nothing, shared=False, name=names.DEAD_TIDY)
        signals.worker_init.connect(_leave_the_queue, weak=False, dispatch_uid="ion-dead")
        return
    book = StoredLetters(url)
    counted = CountedLetters(book, recorder)
    app.task(_keeper(counted, report_bug), shared=False, name=names.DEAD_KEEP, **options)
    app.task(_tidier(book, retention, report_bug), shared=False, name=names.DEAD_TIDY)

    def close(**_: Any) -> None:
        book.close()

    for signal in (signals.worker_process_shutdown, signals.worker_shutdown):
        signal.connect(close, weak=False, dispatch_uid="ion-dead")


def _keeper(book: LetterBook, report_bug: Callable[[], ReportBug]) -> Callable[[bytes], None]:
    def keep(payload: bytes) -> None:
        try:
            dead.keep(payload, book, _now_ms())
        except StoreError as error:
            raise Reject(str(error), requeue=True) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, the letter must not be lost
            report_bug()("keeping a dead letter", error)
            raise Reject(f"an internal error ({type(error).__name__})", requeue=True) from None

    return keep


def _tidier(
    book: LetterBook, retention: Retention, report_bug: Callable[[], ReportBug]
) -> Callable[[], None]:
    def tidy() -> None:
        try:
            dead.tidy(book, retention, _now_ms())
        except StoreError as error:
            logger.warning("old dead letters stay for now: %s", error)
        except Exception as error:  # noqa: BLE001 - upkeep that fails must not look like a failed answer
            report_bug()(names.DEAD_TIDY, error)

    return tidy


def _request_of(gate: DeadQueueGate) -> type:
    class LetterRequest(DiscreetRequest):
        """A letter's delivery, which tells the gate how it ended."""

        def acknowledge(self) -> None:
            super().acknowledge()
            gate.well()

        def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
            error = getattr(exc_info.exception, "exc", exc_info.exception)  # prefork wraps it
            if isinstance(error, Reject):
                gate.leave(str(error.reason))
            return super().on_failure(exc_info, *args, **options)

    return LetterRequest


def _keep_nothing(payload: bytes) -> None:
    """Give back a letter that came though nobody asked for it, such as by remote control."""
    _ = payload
    raise Reject("there is no database; set ION_DATABASE_URL", requeue=True)


def _tidy_nothing() -> None:
    """Have nothing to delete."""


def _leave_the_queue(sender: Any = None, **_: Any) -> None:
    sender.app.amqp.queues.deselect(names.DEAD)


def _now_ms() -> int:
    return int(time.time() * 1000)
