"""What a worker process works with: one runtime, built after the fork, closed by whoever built it.

A prefork child inherits its parent's memory but must not share its connections, so ``RuntimeSlot``
builds per process id; threads of one process share one runtime.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from persona_system.pipeline import PersonaPipeline
from workers.answers import Answers, NullAnswers
from workers.contract import names
from workers.contract.dead_letters import DeadLetter
from workers.errors import Unavailable
from workers.observability.bugs import ReportBug, log_bug


class ReplySender(Protocol):
    """Takes a packed reply to the producer that waits for it."""

    def send(self, reply_to: str, packed: bytes) -> None:
        """Store the reply; raise Unavailable when that failed."""

    def close(self) -> None:
        """Give the connections back."""


class DeadLetters(Protocol):
    """Keeps what no worker can answer."""

    def keep(self, letter: DeadLetter) -> None:
        """Store *letter*, once however often it is told to; raise Unavailable when that failed."""


class Upkeep(Protocol):
    """The care that the answer cache takes from time to time."""

    def warm(self) -> None:
        """Have the popular answers at hand."""

    def prefetch(self) -> None:
        """Compute what people will probably ask next, as far as that was left for later."""

    def close(self) -> None:
        """Stop what runs in the background."""


class NoUpkeep:
    """No cache to take care of."""

    def warm(self) -> None:
        """Do nothing."""

    def prefetch(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The collaborators of a task.  *now_ms* reads the wall clock, in ms since the Unix epoch."""

    pipeline: PersonaPipeline
    replies: ReplySender
    dead_letters: DeadLetters
    now_ms: Callable[[], float]
    report_bug: ReportBug = log_bug
    answers: Answers = field(default_factory=NullAnswers)
    upkeep: Upkeep = field(default_factory=NoUpkeep)

    def close(self) -> None:
        """Close what holds connections."""
        self.upkeep.close()
        self.answers.close()
        self.replies.close()


class RedisReplies:
    """Replies as one list per producer process, whose expiry every push renews."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1),  # once, for a connection that went stale; then the task's backoff
            client_name="ion-worker",
        )

    def send(self, reply_to: str, packed: bytes) -> None:
        """Append *packed* to the producer's list, in one round trip; raise Unavailable on failure."""
        key = names.reply_key(reply_to)
        try:
            with self._client.pipeline(transaction=True) as pipe:
                pipe.rpush(key, packed)
                pipe.expire(key, names.REPLY_TTL_S)
                pipe.execute()
        except redis.RedisError as error:
            raise Unavailable("the reply store", type(error).__name__) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class RuntimeSlot:
    """Holds the one runtime of this process; builds it on first use, also after a fork."""

    def __init__(self, build: Callable[[], Runtime]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._runtime: Runtime | None = None
        self._pid = 0

    def get(self) -> Runtime:
        """Return this process's runtime."""
        if self._runtime is not None and self._pid == os.getpid():
            return self._runtime
        with self._lock:
            if self._runtime is None or self._pid != os.getpid():
                self._runtime, self._pid = self._build(), os.getpid()
            return self._runtime

    def close(self) -> None:
        """Close this process's runtime, if it has one; a parent's stays the parent's."""
        with self._lock:
            if self._runtime is not None and self._pid == os.getpid():
                self._runtime.close()
            self._runtime = None
