"""Bars for steps that take longer than a second."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Step = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@contextlib.contextmanager
def steps(console: "Console") -> Iterator[Step]:
    """Show steps one after the other on *console*, each with a bar where it is a terminal."""
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bars:

        @contextlib.contextmanager
        def step(title: str, total: int) -> Iterator[Callable[[int], None]]:
            if not console.is_terminal:
                console.print(title)
            task = bars.add_task(title, total=total)
            yield lambda jobs: bars.advance(task, jobs)

        yield step
