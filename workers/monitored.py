"""The composition of a worker's part in monitoring: what the periodic tasks of monitoring do.

None of it is done in the pool that answers people: each task starts a thread of its own for its work, one of
each kind at a time, and returns.  So a database that hangs, or a channel that is slow, costs a tick and no
answer; and however often the ticks come, nothing piles up.

Nothing is opened before it is needed: SQLAlchemy alone is 20 MB of a worker's memory.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from workers.monitoring.recorder import Recorder
from workers.observability.bugs import ReportBug
from workers.settings import WorkerSettings

if TYPE_CHECKING:
    from workers.store.engine import Store
    from workers.store.metric_history import SqlHistory

logger = logging.getLogger(__name__)

CLOSING_S = 5.0  # what is under way when a worker ends may take so long


class Evaluator(Protocol):
    """Judges the alert rules."""

    def evaluate(self) -> None:
        """Judge the rules that are due, and notify; raise StoreError when the database is away."""


class NoEvaluator:
    """There are no rules."""

    def evaluate(self) -> None:
        """Do nothing."""


class Digester(Protocol):
    """Sends the day's digest."""

    def digest(self) -> None:
        """Send it when its hour has come; raise StoreError when the database is away."""


class NoDigester:
    """Nobody wants a digest."""

    def digest(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What the parts of monitoring share in one process; *store* is closed with them."""

    settings: WorkerSettings
    store: "Store"
    history: "SqlHistory"
    recorder: Recorder
    report_bug: ReportBug
    now_s: Callable[[], float] = time.time


def build_evaluator(opened: Opened) -> Evaluator:  # noqa: ARG001 - there are no rules yet
    """Return what judges the alert rules; called once in a process, in a thread of monitoring."""
    return NoEvaluator()


def build_digester(opened: Opened) -> Digester:  # noqa: ARG001 - there are no channels yet
    """Return what sends the daily digest; called once in a process, in a thread of monitoring."""
    return NoDigester()
