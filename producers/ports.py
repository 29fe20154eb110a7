"""What a dispatcher needs from outside, as protocols."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from producers.admission import QueueState
from producers.batching import Lane
from producers.pending import Asked
from workers.contract.payloads import Outcome


class Publisher(Protocol):
    """Takes packed batches to the broker."""

    def publish(
        self, task: str, queue: str, batch_id: str, payload: bytes, jobs: int, note: str = ""
    ) -> None:
        """Put *payload* on *queue*; operators see the number of *jobs* and *note*.

        Raises Unavailable, or Overloaded when the broker is full.
        """

    def queue_state(self, queue: str) -> QueueState:
        """Return how full *queue* and its broker are; raise Unavailable."""

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


class Claim(enum.Enum):
    """What became of the claim to a durable job's id that has no outcome yet."""

    OURS = enum.auto()  # new, or claimed before for the same request
    CONFLICT = enum.auto()  # claimed for another request


class Outcomes(Protocol):
    """The ids of durable jobs, and how they ended."""

    def claim(self, jobs: Sequence[tuple[str, bytes]], notes: Sequence[bytes] = ()) -> list[Claim | Outcome]:
        """Claim each (id, digest of the request); return what came of it, or how that job has ended.

        *notes*, one for each, are kept with those that are ours, for whoever follows a job.
        Raises Unavailable or Overloaded.
        """

    def find(self, job_id: str) -> Outcome | None:
        """Return how the job ended; None: it has not, or nobody knows it.  Raises Unavailable."""

    def find_all(self, job_ids: Sequence[str]) -> list[Outcome | None]:
        """Return how each of the jobs ended, as ``find`` does, with one question.  Raises Unavailable."""

    def knows(self, job_id: str) -> bool:
        """Tell whether the job's id is claimed.  Raises Unavailable."""

    def close(self) -> None:
        """Give connections back."""


class Grant(NamedTuple):
    """How many jobs may go now, how long until the next may (all, if they go together), and each after it."""

    jobs: int
    wait_s: float = 0.0
    each_s: float = 0.0


class Rations(Protocol):
    """Lets jobs through at a limited rate."""

    def take_some(self, key: str, jobs: int, *, whole: bool = False) -> Grant:
        """Let as many of *jobs* through as may go now; *whole*: all or none.  Raises Unavailable."""

    def check(self, jobs: int) -> None:
        """Raise InvalidInput for more *jobs* together than could ever go."""

    def close(self) -> None:
        """Give connections back."""


class NoLimit:
    """Lets everything through."""

    def take_some(self, key: str, jobs: int, *, whole: bool = False) -> Grant:
        """Let all through."""
        _ = key, whole
        return Grant(jobs)

    def check(self, jobs: int) -> None:
        """Accept any number."""

    def close(self) -> None:
        """Nothing to give back."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The ways to the fleet that one dispatcher uses, and closes."""

    publisher: Publisher
    replies: Replies
    outcomes: Outcomes
    rations: Rations
