"""Look at the servers, the queues and the workers, every ten seconds, whoever's turn it is.

All workers get the ticks; the one that leaves its note on the reply store first looks for all.  What one look
cannot see is a gap, and the others go on.

Units:   as the metrics say; seconds.
Errors:  none but from ``due``: redis.RedisError or OSError.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from workers.monitoring.collecting.outages import Outages
from workers.monitoring.metrics import (
    BEAT_LAG,
    DEAD_KEPT,
    DUPLICATES,
    INSTANCES,
    QUEUE_AGE,
    QUEUE_DEPTH,
    USERS,
    WORKER_UP,
)
from workers.monitoring.recorder import Recorder

EVERY_S = 10


@dataclass(frozen=True, slots=True)
class QueueView:
    """How many batches wait on a queue, and for how many seconds the next one has; None: nobody knows."""

    depth: int
    oldest_s: float | None = None


@dataclass(frozen=True, slots=True)
class BrokerView:
    """What the broker tells: its queues by name, and the names of the workers that are there.

    A name occurs as often as there are workers of it.
    """

    queues: Mapping[str, QueueView]
    workers: Sequence[str]


class Broker(Protocol):
    """Tells of queues and workers."""

    def look(self) -> BrokerView:
        """Return what there is; raise one of *errors* when the broker is away."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What ``look`` raises."""


class Notes(Protocol):
    """What is known on the reply store; see ``ProbeNotes``."""

    def due(self, region: str) -> bool:
        """Say whether it is this process's turn to look."""

    def lost(self, there: Sequence[str], now_s: float) -> Sequence[str]:
        """Note which workers are *there*; return those that were within the last hour and are not."""

    def duplicates(self) -> int:
        """Return how many more repeated deliveries there were since the last time."""

    def users(self, now_s: float) -> int:
        """Return about how many people used the fleet in the last fifteen minutes."""

    def beat_lag_s(self, now_s: float) -> float | None:
        """Return how late the latest tick was; None: there was none lately."""


class Letters(Protocol):
    """The dead letters in the database; see ``DeadLetterStore``."""

    def kept(self) -> int:
        """Return how many there are; raise StoreError."""


class Prober:
    """Looks at *broker*, *notes* and *letters*; *more* are told the time, and look at what else there is."""

    def __init__(
        self,
        region: str,
        broker: Broker,
        notes: Notes,
        letters: Letters,
        recorder: Recorder,
        expected: tuple[type[Exception], ...],
        more: Sequence[Callable[[float], None]] = (),
    ) -> None:
        self._region, self._broker, self._notes, self._letters = region, broker, notes, letters
        self._recorder, self._more = recorder, more
        self._outages = Outages(recorder)
        self._expected = (*expected, *broker.errors)  # of servers that are away

    def probe(self, now_s: float) -> None:
        """Look, if it is this process's turn."""
        if not self._notes.due(self._region):
            return
        measure = self._recorder.measure
        with self._bearing("looking at the broker"):
            self._tell_of_broker(now_s)
        with self._bearing("looking at the reply store"):
            measure(USERS, self._notes.users(now_s))
            self._recorder.count(DUPLICATES, self._notes.duplicates())
            lag_s = self._notes.beat_lag_s(now_s)
            if lag_s is not None:
                measure(BEAT_LAG, lag_s)
        with self._bearing("looking at the dead letters"):
            measure(DEAD_KEPT, self._letters.kept())
        for look in self._more:
            with self._bearing("looking at the database"):
                look(now_s)

    def _bearing(self, doing: str) -> AbstractContextManager[None]:
        return self._outages.bearing(doing, *self._expected)

    def _tell_of_broker(self, now_s: float) -> None:
        measure = self._recorder.measure
        view = self._broker.look()
        for queue, seen in view.queues.items():
            measure(QUEUE_DEPTH, seen.depth, labels=(queue,))
            if seen.oldest_s is not None or not seen.depth:
                measure(QUEUE_AGE, 0.0 if seen.oldest_s is None else seen.oldest_s, labels=(queue,))
        measure(INSTANCES, len(view.workers))
        for name in set(view.workers):
            measure(WORKER_UP, 1, labels=(name,))
        for name in self._notes.lost(view.workers, now_s):
            measure(WORKER_UP, 0, labels=(name,))
