"""Bind plain task functions to Celery, with options that are checked.

Celery accepts misspelt task options silently; here they are the fields of a frozen dataclass.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import Celery, Task

from workers.delivery import Delivery
from workers.errors import Unanswerable, Unavailable
from workers.runtime import Runtime, RuntimeSlot
from workers.tasks.opening import letter_of

logger = logging.getLogger(__name__)

TaskBody = Callable[[bytes, Runtime, Delivery], None]
PeriodicBody = Callable[[Runtime], None]


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """Celery's options of one task; whatever is the same for all of them stands in celeryconfig."""

    name: str
    max_retries: int = 8  # of the delivery of an answer, not of the work
    retry_backoff_s: float = 0.5  # doubles with each try up to the longest: 39.5 s in all,
    retry_longest_s: float = 8.0  # beyond the default deadline of the jobs that wait for it

    def countdown_s(self, tries: int) -> float:
        """Return how long to wait after *tries* retries."""
        return min(self.retry_longest_s, self.retry_backoff_s * 2.0**tries)


def bind(app: Celery, slot: RuntimeSlot, options: TaskOptions, body: TaskBody) -> None:
    """Register *body* with *app* as the Celery task of these *options*.

    A batch whose answer could not be delivered is tried again with backoff, and kept as a dead letter when
    the retries are spent.
    """

    def run(task: Task, payload: bytes) -> None:
        delivery = _delivery(task.request, options.name)
        try:
            body(payload, slot.get(), delivery)
        except Unavailable as error:
            tries = task.request.retries
            logger.warning("%s: %s (try %d of %d)", options.name, error, tries + 1, options.max_retries + 1)
            if tries >= options.max_retries:
                why = Unanswerable(
                    "UNDELIVERABLE", "reply_to", f"its answer found no taker: {error}", "retry"
                )
                runtime = slot.get()
                runtime.dead_letters.keep(letter_of(payload, delivery, why, int(runtime.now_ms())))
                return
            raise task.retry(
                countdown=options.countdown_s(tries),
                argsrepr=task.request.argsrepr,
                kwargsrepr="{}",
            ) from None
        except Exception as error:
            slot.get().report_bug(options.name, error)
            raise

    app.task(run, bind=True, name=options.name, max_retries=options.max_retries)


def _delivery(request: Any, task: str) -> Delivery:
    """Return what Celery knows of how the message came."""
    info = request.delivery_info or {}
    return Delivery(task, str(info.get("routing_key", "")), str(request.hostname or ""))


def bind_periodic(app: Celery, slot: RuntimeSlot, name: str, body: PeriodicBody) -> None:
    """Register *body* with *app* as the task *name*, which nobody waits for.

    What fails is reported and not tried again: the next period is near.
    """

    def run() -> None:
        try:
            body(slot.get())
        except Exception as error:  # noqa: BLE001 - upkeep that fails must not look like a failed answer
            slot.get().report_bug(name, error)

    app.task(run, name=name)
