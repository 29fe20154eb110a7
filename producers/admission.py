"""Whether a queue can take more work: what the client last learned of it.

Units: seconds of a monotonic clock.
"""

from dataclasses import dataclass

from producers.errors import Overloaded

QUEUE_CHECK_S = 0.5  # how often a sender asks how long a queue is


@dataclass(slots=True)
class QueueHealth:
    """What this client last learned of a queue; what it learned too long ago counts no more."""

    name: str
    length: int = 0  # messages that wait
    length_at: float = 0.0
    wait_s: float = 0.0  # how long the last answered batch had waited
    answered_at: float = 0.0
    silent_since: float | None = None  # when the first batch was sent that nothing has followed yet

    def check(self, max_length: int, max_age_s: float, now: float) -> None:
        """Raise Overloaded if the queue is too long or too slow."""
        if self.length > max_length and now - self.length_at < 2 * QUEUE_CHECK_S:
            raise Overloaded(f"{self.length:,} batches wait on the queue {self.name}", 1.0)
        if self.wait_s > max_age_s and now - self.answered_at < 2 * QUEUE_CHECK_S:
            raise Overloaded(f"batches wait {self.wait_s:.0f} s on the queue {self.name}", 1.0)
        if self.silent_since is not None and now - self.silent_since > max_age_s:
            raise Overloaded(f"the queue {self.name} has not moved for {now - self.silent_since:.0f} s", 1.0)
