"""The bulk run: read, submit a bounded window of batches, collect.

Memory is bounded by *window* batches, whatever the size of the input.  However a run ends, what is written
is what the collector's progress says, and the ledger has been told of it: a later run goes on exactly there.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Literal, Protocol

from producers.bulk.chunk import BATCH_BYTES, BATCH_JOBS, Chunk, chunks
from producers.bulk.collect import Collector, Counts, Progress
from producers.bulk.errors import BrokenInput, LedgerAway, RunBusy, TooManyRejects, UnusableOutput
from producers.bulk.records import Item
from producers.bulk.submit import GaveUp, Interrupted, Sender, Sent, Stop, Submit

WINDOW = 8
PATIENCE = timedelta(seconds=60)
REJECTS_COUNT_FROM = 1_000  # records: before, a ratio of rejects says little

End = Literal[
    "complete",
    "interrupted",
    "unavailable",
    "broken_input",
    "broken_output",
    "too_many_rejects",
    "taken_over",
]
_ENDS: dict[type[Exception], End] = {
    GaveUp: "unavailable",
    LedgerAway: "unavailable",
    Interrupted: "interrupted",
    BrokenInput: "broken_input",
    UnusableOutput: "broken_output",
    TooManyRejects: "too_many_rejects",
    RunBusy: "taken_over",
}


@dataclass(frozen=True, slots=True)
class Options:
    """How a run works: batch limits, batches in flight, and how long it bears an absent fleet.

    *ordered*: answers stand in the order of the input, else as they come.  *max_reject_ratio*: of the
    records read, once there are enough of them; None: any.
    """

    batch_jobs: int = BATCH_JOBS
    batch_bytes: int = BATCH_BYTES
    window: int = WINDOW
    patience: timedelta = PATIENCE
    ordered: bool = True
    max_reject_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run went: read = ok + rejected + failed + blank; everything up to *last_line* is written."""

    end: End
    reason: str  # empty when complete
    read: int
    ok: int
    rejected: int
    failed: int
    blank: int
    last_line: int
    seconds: float
    cached: int = 0  # of those that are ok: not computed for this run
    before: int = 0  # of those that are ok or failed: by earlier processes, before the run was resumed

    @property
    def jobs_per_s(self) -> float:
        """How many jobs ended in a second."""
        return (self.ok + self.failed - self.before) / self.seconds if self.seconds > 0 else 0.0


class Watcher(Protocol):
    """Is told how a run goes; must return quickly."""

    def progress(self, counts: Counts) -> None:
        """Take note that one more batch is written."""

    def waiting(self, why: str, seconds: float) -> None:
        """Take note that the run waits for *seconds* because of *why*."""


class NullWatcher:
    """Watches nothing."""

    def progress(self, counts: Counts) -> None:
        """Ignore it."""

    def waiting(self, why: str, seconds: float) -> None:
        """Ignore it."""


class Ledger(Protocol):
    """Remembers how far a run is, beyond the life of its process."""

    def hold(self) -> None:
        """Return when the run may write; raise LedgerAway, RunBusy, UnusableOutput or Interrupted."""

    def note(self, progress: Progress) -> None:
        """Take note of what is written."""


class NullLedger:
    """Remembers nothing."""

    def hold(self) -> None:
        """Nothing to wait for."""

    def note(self, progress: Progress) -> None:
        """Forget it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run is seen and stopped by."""

    stop: Stop
    watcher: Watcher
    ledger: Ledger
    clock: Callable[[], float] = monotonic


def run(
    items: Iterable[Item], submit: Submit, collector: Collector, options: Options, around: Surroundings
) -> Summary:
    """Take every item to its end and say how it went; errors of the fleet and the files end the run."""
    started = around.clock()
    before = collector.counts.ok + collector.counts.failed
    end, reason = _Flow(submit, collector, options, around).take(items)
    counts = collector.counts
    return Summary(
        end,
        reason,
        counts.read,
        counts.ok,
        counts.rejected,
        counts.failed,
        counts.blank,
        counts.last_line,
        around.clock() - started,
        counts.cached,
        before,
    )


class _Flow:
    """The window of chunks in flight, filled from the items and emptied into the files."""

    def __init__(self, submit: Submit, collector: Collector, options: Options, around: Surroundings) -> None:
        self._collector, self._options, self._around = collector, options, around
        self._window: list[Sent] = []
        self._sender = Sender(
            submit, options.patience, around.stop, around.watcher, around.clock, options.window
        )

    def take(self, items: Iterable[Item]) -> tuple[End, str]:
        """Take all items to their end, or to the run's; return which that is, and why."""
        end: End = "complete"
        reason = ""
        try:
            try:
                self._send(items)
            except (BrokenInput, Interrupted) as error:  # what was sent is collected all the same
                end, reason = _ENDS[type(error)], str(error)
            while self._collect():
                pass
            if end == "complete" and not self._around.stop.requested:
                _check_rejects(self._collector.counts, self._options.max_reject_ratio, 1)
        except tuple(_ENDS) as error:
            end, reason = _ENDS[type(error)], str(error)
        if end == "complete" and self._around.stop.requested:
            end, reason = "interrupted", "stopped on request"
        return end, reason

    def _send(self, items: Iterable[Item]) -> None:
        chunked = chunks(items, self._options.batch_jobs, self._options.batch_bytes)
        for chunk in _until_stopped(chunked, self._around.stop):
            while self._window and (len(self._window) >= self._sender.credit.batches or self._some_ready()):
                self._collect()
            self._window.append(self._sender.send(chunk, self._collect))

    def _some_ready(self) -> bool:
        return any(sent.ready for sent in (self._window[:1] if self._options.ordered else self._window))

    def _collect(self) -> bool:
        """Write the next chunk that is answered; False if none is in flight."""
        if not self._window:
            return False
        sent = self._sender.settle(self._window, ordered=self._options.ordered)
        self._window.remove(sent)
        self._around.ledger.hold()
        self._collector.write(sent.chunk, sent.settled())
        self._around.ledger.note(self._collector.progress)
        self._around.watcher.progress(self._collector.counts)
        _check_rejects(self._collector.counts, self._options.max_reject_ratio, REJECTS_COUNT_FROM)
        return True


def _check_rejects(counts: Counts, most: float | None, count_from: int) -> None:
    records = counts.read - counts.blank
    if most is None or records < count_from or counts.rejected <= most * records:
        return
    ratio = f"{counts.rejected:,} of {records:,} records were rejected, over {most:.1%}"
    raise TooManyRejects("the input", f"is not usable: {ratio}", "the rejects file says why")


def _until_stopped(chunked: Iterator[Chunk], stop: Stop) -> Iterator[Chunk]:
    while not stop.requested:
        try:
            stop.breakable = True
            chunk = next(chunked, None)
            stop.breakable = False
        except KeyboardInterrupt:
            stop.breakable = False
            if not stop.requested:
                raise
            return  # what was read and not sent is not counted either
        if chunk is None:
            return
        yield chunk
