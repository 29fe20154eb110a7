"""Bind plain task functions to Celery, with options that are checked.

Celery accepts misspelt task options silently; here they are the fields of a frozen dataclass.  Nothing of
ours raises out of a task: Celery would acknowledge its message, and nobody would answer it.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import Celery, Task
from celery.exceptions import Reject

from workers import retry
from workers.delivery import Delivery, delivery_of
from workers.errors import Unanswerable, Unavailable
from workers.monitoring.metrics import TASKS, WORK_TIME
from workers.observability.context import binding
from workers.retry import Backoff, Failure
from workers.runtime import Runtime, RuntimeSlot
from workers.tasks.opening import letter_of, refuse

logger = logging.getLogger(__name__)

TaskBody = Callable[[bytes, Runtime, Delivery], str]
"""Does what a message asks for, and returns what operators see of how it went: no words of people."""
PeriodicBody = Callable[[Runtime], None]

_PAUSE_S = 1.0  # before a message goes back to a broker that takes no other


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """Celery's options of one task; whatever is the same for all of them stands in celeryconfig."""

    name: str
    backoff: Backoff = retry.REPLIES  # of the delivery of an answer, not of the work


@dataclass(frozen=True, slots=True)
class Told:
    """What a task returns: nobody fetches it, and operators read it in the row of their batch."""

    text: str

    def __repr__(self) -> str:  # Celery's events carry the repr of what a task returns
        return self.text


def bind(app: Celery, slot: RuntimeSlot, options: TaskOptions, body: TaskBody) -> None:
    """Register *body* with *app* as the Celery task of these *options*.

    A batch whose answer could not be delivered is tried again with backoff, and kept as a dead letter when
    the tries are spent.  One whose handling fails unexpectedly is tried once more, then kept as well, and
    its jobs end as dead.  While the broker takes neither, the message goes back to it.
    """

    def run(task: Task, payload: bytes) -> Told:
        runtime, request = slot.get(), task.request
        info = request.delivery_info or {}
        headers = vars(
            request
        )  # all of the message's; request.headers is whatever a header of that name says
        queue, worker = str(info.get("routing_key", "")), str(request.hostname or "")
        delivery = delivery_of(headers, options.name, queue, worker)
        with binding(task=options.name, queue=queue, worker=worker, batch_id=request.id):
            try:
                try:
                    return Told(body(payload, runtime, delivery))
                except Unavailable as error:
                    return _try_again(payload, delivery, runtime, request, error, options.backoff)
                except Exception as error:  # noqa: BLE001 - see the module's docstring
                    runtime.report_bug(options.name, error)
                    return _give_up(payload, delivery, runtime, request, type(error).__name__)
            except Unavailable as error:
                logger.error("%s: %s; its message goes back", options.name, error)  # noqa: TRY400 - nothing to add
                runtime.recorder.count(TASKS, 1, (options.name, "rejected"))
                time.sleep(_PAUSE_S)
                raise Reject(str(error), requeue=True) from None

    app.task(run, bind=True, shared=False, name=options.name, Request="workers.request:CountedRequest")


def _try_again(
    payload: bytes, delivery: Delivery, runtime: Runtime, request: Any, error: Unavailable, backoff: Backoff
) -> Told:
    tries = request.retries + 1
    logger.warning("%s: %s (try %d of %d)", delivery.task, error, tries, backoff.tries)
    match retry.decide(Failure.UNAVAILABLE, tries, None, backoff, runtime.chance()):
        case retry.RetryAfter(wait_s):
            _put_again(payload, delivery, runtime, request, wait_s)
            return Told(f"again in {wait_s:.1f} s: {error.what} is not available")
        case retry.GiveUp(why):
            problem = f"its answer found no taker, {why}: {error}"
            undeliverable = Unanswerable("UNDELIVERABLE", "reply_to", problem, "send it again")
            runtime.dead_letters.keep(letter_of(payload, delivery, undeliverable, int(runtime.now_ms())))
            return Told("dead letter: its answer found no taker")


def _give_up(payload: bytes, delivery: Delivery, runtime: Runtime, request: Any, what: str) -> Told:
    """Try once more what failed unexpectedly; then bury it."""
    match retry.decide(Failure.BUG, request.retries + 1, None, retry.INTERNAL, runtime.chance()):
        case retry.RetryAfter(wait_s):
            _put_again(payload, delivery, runtime, request, wait_s)
            return Told(f"again in {wait_s:.1f} s: an internal error ({what})")
        case retry.GiveUp(why):
            problem = f"an internal error ({what}), {why}"
            refuse(
                payload, delivery, runtime, Unanswerable("INTERNAL", "batch", problem, "mend it, then retry")
            )
            return Told(f"dead letter: an internal error ({what})")


def _put_again(payload: bytes, delivery: Delivery, runtime: Runtime, request: Any, wait_s: float) -> None:
    runtime.queues.put(
        delivery,
        request.id,
        payload,
        str(request.argsrepr or ""),
        wait_s=wait_s,
        retries=request.retries + 1,
    )
    runtime.recorder.count(TASKS, 1, (delivery.task, "retried"))


def bind_periodic(app: Celery, slot: RuntimeSlot, name: str, body: PeriodicBody) -> None:
    """Register *body* with *app* as the task *name*, which nobody waits for.

    What fails is reported and not tried again: the next period is near.  It sends no task events: they
    would fill Flower with rows that tell nobody anything.
    """

    def run(task: Task) -> None:
        runtime, ok, began_s = slot.get(), True, time.perf_counter()
        with binding(task=name, worker=str(task.request.hostname or "")):
            try:
                body(runtime)
            except Exception as error:  # noqa: BLE001 - upkeep that fails must not look like a failed answer
                ok = False
                runtime.report_bug(name, error)
            runtime.recorder.measure(WORK_TIME, time.perf_counter() - began_s, 1, (name,))
            runtime.check_ins.ended(vars(task.request), ok=ok)

    app.task(run, bind=True, shared=False, name=name, send_events=False)
