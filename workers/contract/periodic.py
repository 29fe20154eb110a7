"""Periodic work as data: what is sent when, and what becomes of the ticks that nobody sent.

Time is cut into slots: slot n of an entry with period p covers [n x p, (n + 1) x p) since the Unix epoch, by
the clock of the server that keeps the lead.  An entry has one tick a slot.

Units:   seconds and milliseconds, as the names say.
Errors:  ValueError at import, for an entry that would not do what it says.
Source:  celery/beat.py 5.7: an entry of ``beat_schedule`` has a task, a schedule and options of the message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from workers.contract import names

Missed = Literal["skip", "once", "all"]

MISSED_HEADER = "ion-missed"  # "skip 1", "once 1", "all 24": the policy, and how many slots at most
SLOT_HEADER = "ion-slot"  # which slot a message is the tick of
EPOCH_HEADER = "ion-epoch"  # and which lead sent it
_LIFE = 0.8  # of a period: a message that waited longer is void before the next one comes
_MOST = 1_000  # missed slots in one go; more would flood the queue


@dataclass(frozen=True, slots=True)
class Periodic:
    """One entry: *task* goes to *queue* once every *period_s* seconds.

    *missed* says what becomes of slots in which no beat was there to send:

    - ``skip``: they are forgotten, and so is a slot whose first half is over;
    - ``once``: one tick stands for all of them, at once;
    - ``all``: each has its tick, the latest *at_most* of them.
    """

    name: str
    task: str
    period_s: int
    missed: Missed
    at_most: int = 1
    queue: str = names.MAINTENANCE

    def __post_init__(self) -> None:
        """Refuse what Celery would accept and do otherwise."""
        if not self.name or not self.task:
            raise ValueError(f"an entry needs a name and a task, not {self.name!r} and {self.task!r}")
        if self.period_s < 1:
            raise ValueError(f"{self.name}: period_s is {self.period_s}; beat looks once a second")
        if self.missed not in get_args(Missed):
            raise ValueError(f"{self.name}: missed is {self.missed!r}, not one of {get_args(Missed)}")
        if not 1 <= self.at_most <= (_MOST if self.missed == "all" else 1):
            raise ValueError(
                f"{self.name}: at_most is {self.at_most}; 1, or up to {_MOST} where missed is all"
            )
        if self.queue not in names.QUEUES:
            raise ValueError(f"{self.name}: queue is {self.queue!r}, not one of {names.QUEUES}")

    @property
    def period_ms(self) -> int:
        """The length of a slot."""
        return self.period_s * 1000

    @property
    def life_ms(self) -> int:
        """How long a message is worth doing: less than a period, so that an outage leaves no heap of them."""
        return int(self.period_ms * _LIFE)

    def for_celery(self) -> dict[str, object]:
        """Return the entry as ``beat_schedule`` has it; any scheduler of Celery's can send it."""
        options = {
            "queue": self.queue,
            "expires": self.life_ms / 1000,
            "ignore_result": True,
            "headers": {MISSED_HEADER: f"{self.missed} {self.at_most}"},
        }
        return {"task": self.task, "schedule": self.period_s, "options": options}

    @classmethod
    def of_celery(cls, name: str, entry: Mapping[str, Any]) -> Self:
        """Return the entry that ``for_celery`` made; raise ValueError for one that it did not make."""
        try:
            missed, _, at_most = entry["options"]["headers"][MISSED_HEADER].partition(" ")
            return cls(
                name, entry["task"], entry["schedule"], missed, int(at_most), entry["options"]["queue"]
            )
        except (KeyError, TypeError, AttributeError):
            raise ValueError(f"{name}: write it as Periodic(...).for_celery()") from None


def table(*entries: Periodic) -> dict[str, dict[str, object]]:
    """Return *entries* as Celery's ``beat_schedule``; raise ValueError when two have one name."""
    made = {entry.name: entry.for_celery() for entry in entries}
    if len(made) < len(entries):
        raise ValueError("two entries of the periodic work have one name")
    return made


def read_table(schedule: Mapping[str, Mapping[str, Any]]) -> tuple[Periodic, ...]:
    """Return the entries of Celery's ``beat_schedule``."""
    return tuple(Periodic.of_celery(name, entry) for name, entry in schedule.items())
