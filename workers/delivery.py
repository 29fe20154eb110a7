"""How a message came to this worker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.contract.dead_letters import Sighting
from workers.contract.payloads import is_shown

LOST_HEADER = "ion-lost"  # our transport's count of the workers that were lost with the message
STORY_HEADER = "ion-story"  # our transport's story of it: [server's ms, what, worker], oldest first
COUNT_HEADER = "x-delivery-count"  # RabbitMQ's: how often a quorum queue had to take the message back
LOST_BEFORE_HEADER = "ion-lost-before"  # a worker's, which put the message on its queue again: what it knew
STORY_BEFORE_HEADER = "ion-story-before"
_LONGEST_STORY = 64
_LONGEST_WORD = 200  # characters of a sighting's text


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of a message: for which *task*, from which *queue*, to which *worker*.

    *lost*: how many workers were lost with this message so far; *story*: when and which, oldest first.
    *shown*: what operators see of it.
    """

    task: str = ""
    queue: str = ""
    worker: str = ""
    lost: int = 0
    story: tuple[Sighting, ...] = ()
    shown: str = field(default="", compare=False)


FIRST = Delivery()


def delivery_of(headers: Mapping[str, Any] | None, task: str, queue: str, worker: str) -> Delivery:
    """Return what a message's *headers* tell of its way, whichever broker wrote them.

    Headers come from outside: what is not of the right kind counts as not told.
    """
    told = headers if headers is not None else {}
    lost = max(_count(told.get(LOST_HEADER)), _count(told.get(COUNT_HEADER)))
    story = _story(told.get(STORY_BEFORE_HEADER)) + _story(told.get(STORY_HEADER))
    lost += _count(told.get(LOST_BEFORE_HEADER))
    shown = str(told.get("argsrepr"))
    shown = shown[:_LONGEST_WORD] if is_shown(shown) else ""
    return Delivery(task, queue, worker, lost, story[-_LONGEST_STORY:], shown)


def _count(told: object) -> int:
    return told if isinstance(told, int) and not isinstance(told, bool) and told > 0 else 0


def _story(told: object) -> tuple[Sighting, ...]:
    """Return the last sightings of a story, without the entries that are none."""
    if not isinstance(told, list | tuple):
        return ()
    sightings = []
    for entry in told[-_LONGEST_STORY:]:
        match entry:
            case [int(at_ms), str(what), str(worker)]:
                sightings.append(Sighting(at_ms, what[:_LONGEST_WORD], worker[:_LONGEST_WORD]))
    return tuple(sightings)
