"""What becomes of an event: it is counted, it waits to go out, and whoever else listens is told.

``record`` turns an event into measurements; it is the only place that does.  ``EventBuffer`` holds what is to
go out until the reporter's thread fetches it, and ``Tellers`` tells several listeners.

Units: those of events and metrics.
"""

import logging
import threading
from collections.abc import Sequence

from workers.contract import names
from workers.monitoring import metrics
from workers.monitoring.events import (
    APIRequestEvent,
    CachePerformanceEvent,
    Event,
    PersonaProcessEvent,
    RoutingDecisionEvent,
    Tell,
)
from workers.monitoring.recorder import Recorder

logger = logging.getLogger(__name__)

MOST_EVENTS = 1_000  # of one process that wait to go out; a second of them, many times over

_OURS = frozenset(names.QUEUES)
_CALLED_OTHERWISE = {"bulk": "bulk_process"}


def endpoint_of(policy: str) -> str:
    """Return what metrics and events call the endpoint of a cache *policy*."""
    return _CALLED_OTHERWISE.get(policy, policy)


def record(event: Event, recorder: Recorder) -> None:
    """Measure what *event* tells.

    Mentors of routing decisions are those of the batch's answers, which are counted with the batch.  How long
    requests took is measured one by one where they are served, since an event has only their sum.
    """
    match event:
        case PersonaProcessEvent():
            queue = event.queue if event.queue in _OURS else metrics.OTHER
            recorder.measure(metrics.QUEUE_WAIT, event.queued_ms / 1000, 1, (event.task, queue))
            recorder.measure(metrics.WORK_TIME, event.worked_ms / 1000, 1, (event.task,))
            if event.again:
                recorder.count(metrics.RETRIES, event.again, (event.task,))
            for persona, answers in event.personas.items():
                recorder.count(metrics.PERSONAS, answers, (persona,))
        case CachePerformanceEvent():
            for tier, found in (("l1", event.local), ("l2", event.shared)):
                if found:
                    recorder.count(metrics.CACHE_HITS, found, (tier, event.endpoint))
            if event.missed and event.look != "first":  # else a worker counts what it lacks, too
                recorder.count(metrics.CACHE_MISSES, event.missed, (event.endpoint,))
        case APIRequestEvent():
            recorder.count(metrics.HTTP_REQUESTS, event.requests, (event.route, str(event.status)))
        case RoutingDecisionEvent():
            pass


class EventBuffer:
    """Holds events until they go out, at most *most*; later ones are dropped.  Safe for many threads."""

    def __init__(self, most: int = MOST_EVENTS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._dropped = 0

    def tell(self, event: Event) -> None:
        """Take *event*, or count it as dropped."""
        with self._lock:
            if len(self._events) < self._most:
                self._events.append(event)
            else:
                self._dropped += 1

    def take(self) -> tuple[list[Event], int]:
        """Return what waits, and how many were dropped since the last time; begin anew."""
        with self._lock:
            taken, self._events = self._events, []
            dropped, self._dropped = self._dropped, 0
        return taken, dropped


class Tellers:
    """Tells each of *tells*, in order; one that fails is logged once, counted, and in nobody's way."""

    def __init__(self, tells: Sequence[Tell], recorder: Recorder) -> None:
        self._tells, self._recorder = tuple(tells), recorder
        self._failing: set[int] = set()

    def __call__(self, event: Event) -> None:
        """Tell *event*."""
        for place, tell in enumerate(self._tells):
            try:
                tell(event)
            except Exception as error:  # noqa: BLE001 - whoever listens must not fail whoever works
                self._recorder.count(metrics.DISCARDED, 1, ("listener",))
                if place not in self._failing:
                    self._failing.add(place)
                    logger.error("a listener of events fails: %s", type(error).__name__)  # noqa: TRY400 - no text of others
