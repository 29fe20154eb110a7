"""Bind plain task functions to Celery, with options that are checked.

Celery accepts misspelt task options silently; here they are the fields of a frozen dataclass.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass

from celery import Celery, Task

from workers.errors import Unavailable
from workers.runtime import Runtime, RuntimeSlot

logger = logging.getLogger(__name__)

TaskBody = Callable[[bytes, Runtime], None]


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """Celery's options of one task; whatever is the same for all of them stands in celeryconfig."""

    name: str
    max_retries: int = 5  # of the delivery of an answer, not of the work
    retry_backoff_s: float = 0.5  # doubles with each try: 0.5 + 1 + 2 + 4 + 8 = 15.5 s in all


def bind(app: Celery, slot: RuntimeSlot, options: TaskOptions, body: TaskBody) -> None:
    """Register *body* with *app* as the Celery task of these *options*."""

    def run(task: Task, payload: bytes) -> None:
        try:
            body(payload, slot.get())
        except Unavailable as error:
            tries = task.request.retries
            logger.warning("%s: %s (try %d of %d)", options.name, error, tries + 1, options.max_retries + 1)
            raise task.retry(
                countdown=options.retry_backoff_s * 2**tries,
                argsrepr=task.request.argsrepr,
                kwargsrepr="{}",
            ) from None
        except Exception as error:
            slot.get().report_bug(options.name, error)
            raise

    settings = asdict(options)
    del settings["retry_backoff_s"]
    app.task(run, bind=True, **settings)
