"""What a dispatcher needs from outside, as protocols."""

from collections.abc import Sequence
from typing import Protocol

from producers.batching import Lane
from producers.pending import Asked


class Publisher(Protocol):
    """Takes packed batches to the broker."""

    def publish(self, task: str, queue: str, batch_id: str, payload: bytes, jobs: int) -> None:
        """Put *payload* on *queue*; raise Unavailable."""

    def queue_length(self, queue: str) -> int:
        """Return how many messages wait on *queue*; raise Unavailable."""

    def close(self) -> None:
        """Drop the connection."""


class Replies(Protocol):
    """Gives packed replies."""

    def connect(self) -> None:
        """Make the connection; raise Unavailable."""

    def poll(self, patience_s: float) -> list[bytes]:
        """Return what came; raise Unavailable."""

    def close(self) -> None:
        """Drop the connection."""


class Answers(Protocol):
    """Answers that need no worker."""

    def look_up(self, lane: Lane, asked: Sequence[Asked]) -> tuple[list[bytes | None], list[int]]:
        """Return the packed answer to each of *asked*, and the places of those that a worker is to renew."""

    def close(self) -> None:
        """Give connections back."""
