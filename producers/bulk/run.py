"""The bulk run: read, submit a bounded window of batches, collect in order.

Memory is bounded by *window* batches, whatever the size of the input.  However a run ends, everything
up to ``last_line`` is written and nothing after it, so ``--from-line`` goes on exactly there.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Literal, Protocol

from producers.bulk.chunk import BATCH_BYTES, BATCH_JOBS, Chunk, chunks
from producers.bulk.collect import Collector, Counts
from producers.bulk.errors import BrokenInput, UnusableOutput
from producers.bulk.records import Item
from producers.bulk.submit import GaveUp, Interrupted, Sender, Sent, Stop, Submit

WINDOW = 8
PATIENCE = timedelta(seconds=60)

End = Literal["complete", "interrupted", "unavailable", "broken_input", "broken_output"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a run works: batch limits, batches in flight, and how long it bears an absent fleet."""

    batch_jobs: int = BATCH_JOBS
    batch_bytes: int = BATCH_BYTES
    window: int = WINDOW
    patience: timedelta = PATIENCE


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run went: read = ok + rejected + failed + blank, up to *last_line* of the input."""

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

    @property
    def jobs_per_s(self) -> float:
        """How many jobs ended in a second."""
        return (self.ok + self.failed) / self.seconds if self.seconds > 0 else 0.0


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


def run(
    items: Iterable[Item],
    submit: Submit,
    collector: Collector,
    options: Options,
    stop: Stop,
    watcher: Watcher,
    clock: Callable[[], float] = monotonic,
) -> Summary:
    """Take every item to its end and say how it went; errors of the fleet and the files end the run."""
    started = clock()
    sender = Sender(submit, options.patience, stop, watcher, clock)
    window: deque[Sent] = deque()
    end: End = "complete"
    reason = ""

    def collect() -> bool:
        if not window:
            return False
        sent = window.popleft()
        collector.write(sent.chunk, sender.settle(sent))
        watcher.progress(collector.counts)
        return True

    try:
        try:
            for chunk in _until_stopped(chunks(items, options.batch_jobs, options.batch_bytes), stop):
                while window and (len(window) >= options.window or window[0].answer.done()):
                    collect()
                window.append(sender.send(chunk, collect))
        except (BrokenInput, Interrupted) as error:
            end = "broken_input" if isinstance(error, BrokenInput) else "interrupted"
            reason = str(error)
        while collect():
            pass
    except (GaveUp, Interrupted, UnusableOutput) as error:
        end = _ends(error)
        reason = str(error)
    if end == "complete" and stop.requested:
        end, reason = "interrupted", "stopped on request"
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
        clock() - started,
        counts.cached,
    )


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


def _ends(error: Exception) -> End:
    if isinstance(error, GaveUp):
        return "unavailable"
    return "interrupted" if isinstance(error, Interrupted) else "broken_output"
