"""Whether a queue can take more work: what the client last learned of it, and when to try again.

Units: seconds of a monotonic clock; messages; shares of the broker's memory in [0, 1].
"""

import math
from dataclasses import dataclass

from producers.errors import Overloaded

QUEUE_CHECK_S = 0.5  # how often a sender asks the broker about a queue
SHORTEST_HINT_S, LONGEST_HINT_S = 0.2, 30.0
_USUAL_HINT_S = 1.0  # when nothing tells how fast a queue drains

_FRESH_S = 2 * QUEUE_CHECK_S  # what was learned longer ago counts no more


@dataclass(frozen=True, slots=True)
class QueueState:
    """What the broker says of a queue; None where it does not say."""

    length: int  # messages that wait
    oldest_age_s: float | None = None
    memory_used_ratio: float | None = None  # of what the broker may use


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Beyond which a queue takes no more of a client's work."""

    length: int
    age_s: float
    memory: float


def hint_s(value: float, limit: float, age_s: float | None) -> float:
    """Return how long *value* probably takes to fall to *limit*, between SHORTEST_ and LONGEST_HINT_S.

    By Little's law a queue whose messages wait *age_s* is emptied in that time, and its excess in the
    excess's share of it.  The memory is taken to be the queue's.
    """
    if age_s is None:
        return _USUAL_HINT_S
    excess = (value - limit) / value if value > limit else 0.0
    return round(min(max(age_s * excess, SHORTEST_HINT_S), LONGEST_HINT_S), 3)


def refusal(queue: str, state: QueueState, limits: QueueLimits, wait_s: float | None) -> Overloaded | None:
    """Return why *queue* takes no more work; None: it does.

    *wait_s* is how long answered batches waited, for brokers that do not tell the age of the oldest.
    """
    age_s = wait_s if state.oldest_age_s is None else state.oldest_age_s
    used = state.memory_used_ratio
    if used is not None and used > limits.memory:
        why = f"the broker's memory is {used:.0%} full, the queue {queue} may use {limits.memory:.0%}"
        return Overloaded(why, hint_s(used, limits.memory, age_s))
    if state.length > limits.length:
        why = f"{state.length:,} batches wait on the queue {queue}"
        return Overloaded(why, hint_s(state.length, limits.length, age_s))
    if age_s is not None and age_s > limits.age_s:
        why = f"batches wait {age_s:.0f} s on the queue {queue}"
        return Overloaded(why, hint_s(age_s, limits.age_s, age_s))
    return None


@dataclass(slots=True)
class QueueHealth:
    """What this client last learned of a queue; what it learned too long ago counts no more."""

    name: str
    limits: QueueLimits
    under_way: int = 0  # batches of this client that nobody has answered yet
    silent_since: float | None = None  # when the first of them was sent that nothing has followed yet
    _full: Overloaded | None = None  # what the broker's last word on the queue means
    _looked_at: float = -math.inf  # never
    _wait_s: float = 0.0  # how long the last answered batch had waited
    _answered_at: float = -math.inf

    def due(self, now: float) -> bool:
        """Tell whether it is time to ask the broker."""
        return now - self._looked_at > QUEUE_CHECK_S

    def doubtful(self, now: float) -> bool:
        """Tell whether the broker is to be asked before the next batch: it was full, or nobody ever asked."""
        return self.due(now) and (self._full is not None or self._looked_at == -math.inf)

    def learn(self, state: QueueState, now: float) -> None:
        """Take what the broker says; it counts for a second."""
        waited = self._wait_s if now - self._answered_at < _FRESH_S else None
        self._full, self._looked_at = refusal(self.name, state, self.limits, waited), now

    def sent(self, now: float) -> None:
        """Take note of a batch that leaves."""
        self.under_way += 1
        if self.silent_since is None:
            self.silent_since = now

    def gone(self) -> None:
        """Take note that a batch is no longer waited for."""
        self.under_way -= 1
        if not self.under_way:
            self.silent_since = None

    def answered(self, wait_s: float, now: float) -> None:
        """Take note of an answer, and of how long its batch had waited on the queue."""
        self._wait_s, self._answered_at = wait_s, now
        if self.silent_since is not None:
            self.silent_since = now

    def check(self, now: float) -> None:
        """Raise Overloaded if the queue is too long, too slow or the broker too full, as far as is known."""
        if self._full is not None and now - self._looked_at < _FRESH_S:
            raise Overloaded(*self._full.args)  # a new one for each: a traceback grows on one that is raised
        if self._wait_s > self.limits.age_s and now - self._answered_at < _FRESH_S:
            why = f"batches wait {self._wait_s:.0f} s on the queue {self.name}"
            raise Overloaded(why, hint_s(self._wait_s, self.limits.age_s, self._wait_s))
        if self.silent_since is not None and (silent_s := now - self.silent_since) > self.limits.age_s:
            why = f"the queue {self.name} has not moved for {silent_s:.0f} s"
            raise Overloaded(why, hint_s(silent_s, self.limits.age_s, silent_s))
