"""What a worker process works with: one runtime, built after the fork, closed by whoever built it.

A prefork child inherits its parent's memory but must not share its connections, so ``ProcessSlot``
builds per process id; threads of one process share one runtime.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from persona_system.pipeline import PersonaPipeline
from workers.cache.answers import Answers, NullAnswers
from workers.contract.dead_letters import DeadLetter
from workers.delivery import Delivery
from workers.errors import Unavailable
from workers.monitoring.events import Tell, tell_nobody
from workers.monitoring.recorder import NullRecorder, Recorder
from workers.observability.bugs import ReportBug, log_bug
from workers.observability.check_ins import CheckIns, NoCheckIns
from workers.observability.tracing import NoTracing, Tracing
from workers.process_slot import ProcessSlot
from workers.settling import Settlements
from workers.watchdog import NoWatch, Watch


class DeadLetters(Protocol):
    """Keeps what no worker can answer."""

    def keep(self, letter: DeadLetter) -> None:
        """Store *letter*, once however often it is told to; raise Unavailable when that failed."""


class Queues(Protocol):
    """Takes batches for workers."""

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


class NoQueues:
    """No broker to put anything on."""

    def put(
        self,
        delivery: Delivery,  # noqa: ARG002 - the protocol's signature
        batch_id: str,  # noqa: ARG002 - likewise
        payload: bytes,  # noqa: ARG002 - likewise
        shown: str,  # noqa: ARG002 - likewise
        *,
        wait_s: float = 0.0,  # noqa: ARG002 - likewise
        retries: int = 0,  # noqa: ARG002 - likewise
    ) -> None:
        """Refuse."""
        raise Unavailable("the broker", "this process has none")


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


class Monitoring(Protocol):
    """The periodic work of monitoring; each part does nothing when there is nothing to do."""

    def collect(self) -> None:
        """Take in what processes have measured, and look at the queues, the workers and the database."""

    def evaluate(self) -> None:
        """Judge the rules that are due, and notify."""

    def tidy(self) -> None:
        """Delete what is older than its time."""

    def digest(self) -> None:
        """Send the day's digest when its hour has come."""

    def close(self) -> None:
        """Give connections back."""


class NoMonitoring:
    """Nothing is kept of what is measured."""

    def collect(self) -> None:
        """Do nothing."""

    def evaluate(self) -> None:
        """Do nothing."""

    def tidy(self) -> None:
        """Do nothing."""

    def digest(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The collaborators of a task.  *now_ms* reads the wall clock, in ms since the Unix epoch.

    *recorder* and *tell* take measurements and events, which name the *region*.  *careful* is held by the
    thread that answers a suspect batch, so that no two do so at once: if the process is lost then, it is
    known with which.
    """

    pipeline: PersonaPipeline
    settlements: Settlements
    dead_letters: DeadLetters
    now_ms: Callable[[], float]
    report_bug: ReportBug = log_bug
    answers: Answers = field(default_factory=NullAnswers)
    upkeep: Upkeep = field(default_factory=NoUpkeep)
    queues: Queues = field(default_factory=NoQueues)
    watch: Watch = field(default_factory=NoWatch)
    monitoring: Monitoring = field(default_factory=NoMonitoring)
    region: str = "local"
    recorder: Recorder = field(default_factory=NullRecorder)
    tell: Tell = tell_nobody
    tracing: Tracing = field(default_factory=NoTracing)
    check_ins: CheckIns = field(default_factory=NoCheckIns)
    trails: bool = True  # whether batches leave a trail, for whoever follows a job
    chance: Callable[[], float] = random.random
    careful: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        """Close what holds connections."""
        self.watch.close()
        self.monitoring.close()
        self.upkeep.close()
        self.answers.close()
        self.settlements.close()
        self.tracing.close()  # last: what went wrong while closing is reported, too


RuntimeSlot = ProcessSlot[Runtime]
