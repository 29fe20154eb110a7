"""Batches that a worker puts on a queue itself: parts of one, and those that are tried again.

Celery's own ``Task.retry`` drops the message when the broker does not take the new one; here that is an
error, and the old message stays.
"""

from typing import Any

from celery import Celery

from workers.delivery import LOST_BEFORE_HEADER, STORY_BEFORE_HEADER, Delivery
from workers.monitoring.metrics import TASKS
from workers.monitoring.recorder import NullRecorder, Recorder
from workers.publishing import put


class BrokerQueues:
    """Publishes for the tasks of *app*, and counts what is sent with *recorder*."""

    def __init__(self, app: Celery, recorder: Recorder | None = None) -> None:
        self._app = app
        self._recorder: Recorder = NullRecorder() if recorder is None else recorder

    def put(
        self,
        delivery: Delivery,
        batch_id: str,
        payload: bytes,
        shown: str,
        *,
        wait_s: float = 0.0,
        retries: int = 0,
    ) -> None:
        """Put a packed batch where *delivery* came from; raise Unavailable when the broker refuses.

        It is handed out in *wait_s*, with the delivery's history.  *shown* is what operators see of it.
        """
        message = self._app.amqp.as_task_v2(
            batch_id,
            delivery.task,
            args=(payload,),
            kwargs={},
            countdown=wait_s if wait_s > 0 else None,
            retries=retries,
            argsrepr=shown,
            kwargsrepr="{}",
            ignore_result=True,
        )
        message.headers.update(_history(delivery))
        put(self._app, delivery.queue, message)
        self._recorder.count(TASKS, 1, (delivery.task, "sent"))


def _history(delivery: Delivery) -> dict[str, Any]:
    """Return the headers that hand on how many workers were lost with a message, and when."""
    if not delivery.lost:
        return {}
    story = [[seen.at_ms, seen.what, seen.worker] for seen in delivery.story]
    return {LOST_BEFORE_HEADER: delivery.lost, STORY_BEFORE_HEADER: story}
