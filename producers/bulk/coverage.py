"""Which lines of the input are done: all up to one, and spans beyond it if answers are written as they come.

A run that goes on skips what is covered, so each line has one result.  Values only; lines count from 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Span = tuple[int, int]  # first and last line, both included


@dataclass(frozen=True, slots=True)
class Coverage:
    """Lines 1..*upto* are done, and the spans of *beyond*: in order, with gaps between all of them."""

    upto: int = 0
    beyond: tuple[Span, ...] = ()

    def covers(self, line: int) -> bool:
        """Tell whether *line* is done."""
        return line <= self.upto or any(first <= line <= last for first, last in self.beyond)

    def add(self, first: int, last: int) -> "Coverage":
        """Return the coverage with lines *first*..*last* done, too."""
        if not self.beyond and first <= self.upto + 1:
            return Coverage(max(self.upto, last))
        upto, spans = self.upto, sorted([*self.beyond, (first, last)])
        merged: list[Span] = []
        for start, end in spans:
            if start <= upto + 1:
                upto = max(upto, end)
            elif merged and start <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        return Coverage(upto, tuple(merged))


NOTHING = Coverage()


def coverage_of(upto: int, beyond: Sequence[Sequence[int]]) -> Coverage:
    """Return the coverage that a ledger kept as plain numbers."""
    return Coverage(upto, tuple((first, last) for first, last in beyond))
