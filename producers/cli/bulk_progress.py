"""What a bulk run says while it works, on stderr: a bar on a terminal, a line now and then elsewhere.

Units: seconds, bytes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from producers.bulk.collect import Counts
from producers.bulk.run import NullWatcher, Watcher

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from producers.bulk.sources import Source

LINE_EVERY_S = 5.0
TALK_AFTER_S = 1.0  # shorter waits are not worth a word


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run goes and how long it may still take; None where nobody can know."""

    per_s: float
    share: float | None
    left_s: float | None


def pace(read: int, position_bytes: int, total_bytes: int | None, elapsed_s: float) -> Pace:
    """Return the pace after *read* records and *elapsed_s*; the share is that of the bytes."""
    per_s = read / elapsed_s if elapsed_s > 0 else 0.0
    if not total_bytes:
        return Pace(per_s, None, None)
    share = min(position_bytes / total_bytes, 1.0)
    return Pace(per_s, share, elapsed_s * (1 - share) / share if share > 0 else None)


class LineWatcher:
    """Tells a line every few seconds, and why the run waits."""

    def __init__(
        self,
        source: "Source",
        tell: Callable[[str], None],
        clock: Callable[[], float] = monotonic,
        every_s: float = LINE_EVERY_S,
    ) -> None:
        self._source, self._tell, self._clock, self._every_s = source, tell, clock, every_s
        self._started = self._told = clock()
        self._why = ""

    def progress(self, counts: Counts) -> None:
        """Tell how far the run is, if the last line is long enough ago."""
        now = self._clock()
        self._why = ""
        if now - self._told < self._every_s:
            return
        self._told = now
        at = pace(counts.read, self._source.position_bytes(), self._source.total_bytes, now - self._started)
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


class BarWatcher:
    """Moves a progress bar, and says in it why the run waits."""

    def __init__(self, source: "Source", progress: "Progress", task: "TaskID") -> None:
        self._source, self._progress, self._task = source, progress, task

    def progress(self, counts: Counts) -> None:
        """Move the bar."""
        at = self._source.position_bytes()
        self._progress.update(self._task, completed=at, read=counts.read, rejected=counts.rejected, note="")

    def waiting(self, why: str, seconds: float) -> None:  # noqa: ARG002 - the protocol's signature
        """Say why the bar stands still."""
        self._progress.update(self._task, note=f"waiting: {why}")


@contextmanager
def watching(
    source: "Source", tell: Callable[[str], None], *, terminal: bool, quiet: bool
) -> Iterator[Watcher]:
    """Give the watcher that suits where stderr goes."""
    if quiet:
        yield NullWatcher()
    elif not terminal:
        yield LineWatcher(source, tell)
    else:
        with _bar() as progress:
            task = progress.add_task("bulk", total=source.total_bytes, read=0, rejected=0, note="")
            yield BarWatcher(source, progress, task)


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
            return Text(f"{task.fields['read'] / elapsed:,.0f}/s" if elapsed else "")

    return Progress(
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[read]:,} read, {task.fields[rejected]:,} rejected"),
        Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="yellow", markup=False),
        console=console(stderr=True),
    )
