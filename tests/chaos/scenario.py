"""What a scenario is, what it is given, and what it returns.

A new one: write ``run(stage) -> Result`` in a file of its group and add a ``Scenario`` to the file's
``SCENARIOS``; ``catalogue.py`` lists the files.  It then runs with ``make chaos``, and its row appears in
docs/guarantees.md.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from tests.support.oracle import Tally

T = TypeVar("T")

SystemName = Literal["ours", "rabbitmq", "stock"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a scenario runs: on which *system*, how long (*full* or the quick subset), with which *seed*.

    *directory* is empty and the scenario's own.  *say* shows a line of progress.
    """

    system: SystemName
    seed: int
    full: bool
    directory: Path
    say: Callable[[str], None]

    def pick(self, full: T, quick: T) -> T:
        """Return *full* in the full suite, *quick* in the subset: how often, how long."""
        return full if self.full else quick

    @property
    def rng(self) -> random.Random:
        """A source of chance that begins anew with the seed."""
        return random.Random(f"{self.seed}/{self.system}")


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured: *said* is the table's cell, *broken* lists the promises that did not hold.

    *faults* is how often the fault was injected; *figures* are the raw numbers.
    """

    faults: int
    said: str
    broken: Sequence[str] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault: what it is, what must hold and within which bound, how it runs, and on what."""

    id: str
    fault: str
    holds: str
    bound: str
    run: Callable[[Stage], Result]
    systems: tuple[SystemName, ...] = ("ours",)
    quick: bool = False  # part of the subset that runs with every test run


class NotHere(Exception):
    """The scenario cannot run on this machine: a server is not installed, or a part is not there."""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that *share* of *values* do not exceed (nearest rank); 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def times(values: Sequence[float]) -> str:
    """Return how long things took, for people: median and worst."""
    if not values:
        return "-"
    return f"{percentile(values, 0.5):.1f} s median, {max(values):.1f} s worst"


def account(tally: Tally, reruns: int | None = None) -> str:
    """Return the tally in words."""
    words = [f"{tally.lost:,} of {tally.accepted:,} lost", f"{tally.twice:,} twice"]
    if reruns:
        words.append(f"{reruns:,} run again")
    return ", ".join(words)


def broken_account(tally: Tally) -> list[str]:
    """Return what the tally breaks of: nothing lost, nothing twice to effect, nobody innocent buried."""
    return [
        text
        for text, holds in (
            (f"{tally.lost:,} of {tally.accepted:,} accepted jobs have no outcome", tally.lost == 0),
            (f"{tally.twice:,} jobs have more than one outcome", tally.twice == 0),
        )
        if not holds
    ]
