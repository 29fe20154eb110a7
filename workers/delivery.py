"""How a message came to this worker."""

from dataclasses import dataclass

from workers.contract.dead_letters import Sighting


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of a message: for which *task*, from which *queue*, to which *worker*.

    *lost*: how many workers were lost with this message so far; *story*: when and which, oldest first.
    """

    task: str = ""
    queue: str = ""
    worker: str = ""
    lost: int = 0
    story: tuple[Sighting, ...] = ()


FIRST = Delivery()
