"""What a bulk run says while it works, on stderr: a bar on a terminal, a line now and then elsewhere.

Units: seconds; positions in what the input counts, bytes or rows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from producers.bulk.collect import Counts

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from producers.bulk.inputs import Input

LINE_EVERY_S = 5.0
TALK_AFTER_S = 1.0  # shorter waits are not worth a word


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run goes and how long it may still take; None where nobody can know."""

    per_s: float
    share: float | None
    left_s: float | None


def pace(read: int, position: int, total: int | None, elapsed_s: float) -> Pace:
    """Return the pace after *read* records and *elapsed_s*; the share is that of the input."""
    per_s = read / elapsed_s if elapsed_s > 0 else 0.0
    if not total:
        return Pace(per_s, None, None)
    share = min(position / total, 1.0)
    return Pace(per_s, share, elapsed_s * (1 - share) / share if share > 0 else None)


class Watcher(Protocol):
    """Is told how a run goes, from its first line to its last row; must return quickly."""

    def progress(self, counts: Counts) -> None:
        """Take note that one more batch is written."""

    def waiting(self, why: str, seconds: float) -> None:
        """Take note that the run waits for *seconds* because of *why*."""

    def converting(self, rows: int) -> None:
        """Take note that *rows* more are in the Parquet file."""


class SilentWatcher:
    """The Null of Watcher: tells nobody."""

    def progress(self, counts: Counts) -> None:
        """Ignore it."""

    def waiting(self, why: str, seconds: float) -> None:
        """Ignore it."""

    def converting(self, rows: int) -> None:
        """Ignore it."""


class LineWatcher:
    """Tells a line every few seconds, and why the run waits; *before*: records that were read already."""

    def __init__(
        self,
        source: "Input",
        tell: Callable[[str], None],
        clock: Callable[[], float] = monotonic,
        every_s: float = LINE_EVERY_S,
        before: int = 0,
    ) -> None:
        self._source, self._tell, self._clock, self._every_s = source, tell, clock, every_s
        self._before, self._rows = before, 0
        self._started = self._told = clock()
        self._why = ""

    def progress(self, counts: Counts) -> None:
        """Tell how far the run is, if the last line is long enough ago."""
        now = self._clock()
        self._why = ""
        if now - self._told < self._every_s:
            return
        self._told = now
        source, fresh = self._source, counts.read - self._before
        at = pace(fresh, source.position(), source.total, now - self._started)
        parts = [f"{counts.read:,} read", f"{counts.rejected:,} rejected", f"{at.per_s:,.0f}/s"]
        if at.share is not None and at.left_s is not None:
            parts += [f"{at.share:.0%}", f"about {at.left_s:.0f} s left"]
        self._tell(", ".join(parts))

    def waiting(self, why: str, seconds: float) -> None:
        """Tell why the run waits, once for each reason."""
        if why != self._why and seconds < TALK_AFTER_S:
            return
        if why != self._why:
            self._why = why
            self._tell(f"waiting: {why}")

    def converting(self, rows: int) -> None:
        """Tell how many rows are converted, if the last line is long enough ago."""
        self._rows += rows
        if self._clock() - self._told >= self._every_s:
            self._told = self._clock()
            self._tell(f"{self._rows:,} rows are in the Parquet file")


class BarWatcher:
    """Moves a progress bar, and says in it why the run waits; *before*: records that were read already."""

    def __init__(self, source: "Input", progress: "Progress", task: "TaskID", before: int) -> None:
        self._source, self._progress, self._task = source, progress, task
        self._before, self._rows = before, 0

    def progress(self, counts: Counts) -> None:
        """Move the bar."""
        self._progress.update(
            self._task,
            completed=self._source.position(),
            read=counts.read,
            fresh=counts.read - self._before,
            rejected=counts.rejected,
            note="",
        )

    def waiting(self, why: str, seconds: float) -> None:  # noqa: ARG002 - the protocol's signature
        """Say why the bar stands still."""
        self._progress.update(self._task, note=f"waiting: {why}")

    def converting(self, rows: int) -> None:
        """Say how many rows are converted."""
        self._rows += rows
        self._progress.update(self._task, note=f"{self._rows:,} rows are in the Parquet file")


@contextmanager
def watching(
    source: "Input", tell: Callable[[str], None], *, before: int, terminal: bool, quiet: bool
) -> Iterator[Watcher]:
    """Give the watcher that suits where stderr goes."""
    if quiet:
        yield SilentWatcher()
    elif not terminal:
        yield LineWatcher(source, tell, before=before)
    else:
        with _bar() as progress:
            task = progress.add_task("bulk", total=source.total, read=before, fresh=0, rejected=0, note="")
            yield BarWatcher(source, progress, task, before)


def _bar() -> "Progress":
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text  # noqa: PLC0415

    from producers.cli.report import console  # noqa: PLC0415

    class Rate(ProgressColumn):
        """Records a second since the start."""

        def render(self, task: Task) -> Text:
            elapsed = task.elapsed
            return Text(f"{task.fields['fresh'] / elapsed:,.0f}/s" if elapsed else "")

    return Progress(
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[read]:,} read, {task.fields[rejected]:,} rejected"),
        Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="yellow", markup=False),
        console=console(stderr=True),
    )
