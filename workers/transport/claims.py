"""What a worker asks for: which queues in which order, as one command."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workers.transport import scripts
from workers.transport.scripts import Keys

TURN = 16  # each so many claims, another queue than the first comes first
SHOWN_BYTES = 4_096  # of a message that is too long


@dataclass(frozen=True, slots=True)
class Claim:
    """Claim *number* of *worker*, which looks into *queues* in their order; after the wait, if *waited*.

    *kept*: those whose messages stay in flight until they are acknowledged.
    """

    number: int
    worker: str
    queues: tuple[str, ...]
    kept: frozenset[str]
    waited: bool = False

    def command(self, keys: Keys, max_bytes: int) -> list[str | int]:
        """Return the command; the server shows messages of at most *max_bytes*."""
        names = [
            keys.heartbeat(self.worker),
            keys.inflight(self.worker),
            *map(keys.queue, self.queues),
            *map(keys.bell, self.queues),
        ]
        flags = "".join("0" if queue in self.kept else "1" for queue in self.queues)
        values: list[str | int] = [self.number, len(keys.prefix), max_bytes, SHOWN_BYTES, flags]
        return ["EVAL", scripts.CLAIM, len(names), *names, *values]

    def tag(self, queue: str) -> str:
        """Return the delivery tag of what this claim got from *queue*: where it is in flight."""
        return f"{self.worker}/{self.number}/{queue}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message is in flight: in *worker*'s hash, as *field*.  A foreign tag has no field."""

    worker: str
    field: str

    @classmethod
    def of(cls, tag: str) -> "Place":
        """Read a delivery tag."""
        worker, _, field = tag.partition("/")
        return cls(worker, field)

    @property
    def queue(self) -> str:
        """The queue that the message is from."""
        return self.field.partition("/")[2]


class Rota:
    """In which order claims look into the queues: in class order, so that earlier ones go first.

    But at each TURN th claim another queue is first, a different one each time and the last one to begin
    with; those after it follow, then those before it.  So no queue starves, and one that is alone behind a
    busy first one gets a sixteenth.
    """

    def __init__(self, names: Iterable[str], class_order: Sequence[str]) -> None:
        place = {name: n for n, name in enumerate(class_order)}
        queues = sorted(names, key=lambda name: place.get(name, len(place)))
        self._orders = [tuple(queues[n:] + queues[:n]) for n in range(len(queues))]

    def order(self, number: int) -> tuple[str, ...]:
        """Return the queues for claim *number*; none, if there are none."""
        if not self._orders:
            return ()
        turn, rest = divmod(number, TURN)
        others = len(self._orders) - 1
        return self._orders[0 if rest or not others else others - turn % others]
