"""What Flower is told of tasks, many events in one message.

Celery gathers task events where an event loop runs, and there alone; in the solo and thread pools each of a
batch's three events is a message of its own, which takes 0.17 ms.  Here they wait for a fifth of a second at
most, or until there are a hundred, and take 8 us each.

Units:   seconds.
Source:  celery/events/dispatcher.py and celery/worker/consumer/events.py 5.7.
"""

import logging
import threading
from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher, group_from

logger = logging.getLogger(__name__)

WAIT_S = 0.2
MOST = 100
_TASKS = frozenset({"task"})


class GatheringDispatcher(EventDispatcher):  # type: ignore[misc]  # Celery ships no types
    """Sends task events together; everything else, and what an event loop gathers, as Celery does.

    A worker's own events, such as its last, take with them what waits.
    """

    def __init__(self, *args: Any, **given: Any) -> None:
        self._gathers = "buffer_group" in given and not given["buffer_group"]  # a worker's, without a loop
        if self._gathers:
            given |= {"buffer_group": _TASKS, "buffer_limit": MOST, "on_send_buffered": self._send_soon}
        self._due = threading.Lock()  # held while a timer runs
        super().__init__(*args, **given)

    def send(self, type: str, *args: Any, **fields: Any) -> None:  # noqa: A002 - Celery's name
        """Send an event, or let it wait for others."""
        if self._gathers and group_from(type) not in _TASKS:
            self.flush(errors=False)
        super().send(type, *args, **fields)

    def _send_soon(self) -> None:
        if self._due.acquire(blocking=False):
            timer = threading.Timer(WAIT_S, self._send_waiting)
            timer.daemon = True
            timer.start()

    def _send_waiting(self) -> None:
        self._due.release()  # first: what comes from now on may be too late for this time
        try:
            self.flush(errors=False)
        except Exception as error:  # noqa: BLE001 - nobody but Flower misses them
            logger.warning("task events could not be sent: %s", type(error).__name__)


class GatheringEvents(Events):  # type: ignore[misc]  # likewise
    """Celery's events, with that dispatcher."""

    dispatcher_cls = GatheringDispatcher
