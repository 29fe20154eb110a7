"""What a worker holds of one message: what is told of it, and what becomes of it when its process is lost.

Flower and ``celery inspect`` are told counts and queues, never what a message holds.  Celery itself tells the
arguments of what is reserved or due later, and whatever a sender chose to show of them.

A batch whose pool process ended goes back to its queue, counted.
The main process of a pool lives on, so the broker does not see the loss.  Celery could give the message
back as it is, uncounted, and a job that ends its process would do so for ever; or it could acknowledge it.
"""

import logging
import time
from typing import Any

from billiard.exceptions import WorkerLostError
from celery.worker import state
from celery.worker.request import Request

from workers.contract.dead_letters import Sighting
from workers.contract.payloads import is_shown
from workers.delivery import Delivery, delivery_of
from workers.errors import Unavailable
from workers.requeue import BrokerQueues

logger = logging.getLogger(__name__)


NOT_SHOWN = "(not shown)"


class DiscreetRequest(Request):  # type: ignore[misc]  # Celery has no type information
    """Celery's request of one message, which does not tell what is in it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not is_shown(self.argsrepr):
            self._argsrepr = NOT_SHOWN
        self._kwargsrepr = "{}"  # no task of ours has any

    def info(self, safe: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - Celery's signature
        """Return what ``inspect`` tells of it, always in the *safe* way."""
        _ = safe
        return dict(super().info(safe=True))


class CountedRequest(DiscreetRequest):
    """Celery's request of one message, which counts losses as our transport does."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - Celery's signature
        """Put the batch back if its process is lost; else do as Celery does."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        lost = isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt)
        ended_by_us = self._already_cancelled or self._already_revoked or state.should_terminate
        if not lost or ended_by_us or not self._put_back("lost with its process"):
            super().on_failure(exc_info, send_failed_event, return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:  # noqa: FBT001 - Celery's signature
        """Put the batch back if its process is ended for taking too long; else do as Celery does."""
        if soft or state.should_terminate or not self._put_back("ended with its process, out of time"):
            super().on_timeout(soft, timeout)

    def _put_back(self, what: str) -> bool:
        """Say whether the batch is on its queue again, and this message of it done with."""
        delivery = self._delivery()
        seen = Sighting(int(time.time() * 1000), what, delivery.worker)
        counted = Delivery(
            delivery.task, delivery.queue, delivery.worker, delivery.lost + 1, (*delivery.story, seen)
        )
        try:
            (payload,) = self.args
            shown = str(self.request_dict.get("argsrepr") or "")
            retries = int(self.request_dict.get("retries") or 0)
            BrokerQueues(self.app).put(counted, self.id, payload, shown, retries=retries)
        except (Unavailable, ValueError, TypeError) as error:
            logger.error("a batch could not be put back: %s", type(error).__name__)  # noqa: TRY400
            return False
        logger.warning("%s %s; put back", self.id, what)
        state.task_ready(self)
        self.acknowledge()
        return True

    def _delivery(self) -> Delivery:
        queue = str((self.delivery_info or {}).get("routing_key") or "")
        return delivery_of(self.request_dict, self.type, queue, str(self.hostname or ""))
