"""A reply store and a broker in memory, which behave as the real ones do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from workers.contract.payloads import FINAL, Batch, Outcome
from workers.contract.wire import decompress
from workers.delivery import Delivery
from workers.errors import Unavailable
from workers.settling import NO_JOURNAL, Journal, Mark

OnReply = Callable[[str, bytes], object]


class MemorySettlements:
    """Settles in memory; *broken* makes it unavailable.  Replies go to *on_reply*, and into ``replies``."""

    def __init__(self, on_reply: OnReply = lambda *_: None) -> None:
        self.replies: list[tuple[str, bytes]] = []
        self.marks: dict[tuple[str, str], Mark] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.journals: dict[str, Journal] = {}
        self.trails: list[bytes] = []
        self.duplicates = 0
        self.broken = False
        self._on_reply = on_reply

    def settle(
        self, reply_to: str, batch_id: str, mark: Mark, reply: bytes | None, trail: bytes = b""
    ) -> Mark | None:
        """Settle once."""
        self._ask()
        there = self.marks.get((reply_to, batch_id))
        if there is not None:
            self.duplicates += 1
            return there
        self.marks[reply_to, batch_id] = mark
        self.trails += [trail] if trail else []
        if reply is not None:
            self.replies.append((reply_to, reply))
            self._on_reply(reply_to, reply)
        return None

    def record(self, outcomes: Sequence[Outcome], trail: bytes = b"") -> list[Outcome]:
        """Keep what is not final already."""
        _ = trail
        self._ask()
        for outcome in outcomes:
            held = self.outcomes.get(outcome.id)
            if held is None or held.status not in FINAL:
                self.outcomes[outcome.id] = outcome
        return [self.outcomes[outcome.id] for outcome in outcomes]

    def look(self, reply_to: str, batch_id: str) -> tuple[Mark | None, Journal]:
        """Return mark and journal."""
        self._ask()
        return self.marks.get((reply_to, batch_id)), self.journals.get(batch_id, NO_JOURNAL)

    def at_work(self, batch_id: str, at: int, lost: int) -> None:
        """Write the journal."""
        self._ask()
        self.journals[batch_id] = msgspec.structs.replace(self._journal(batch_id), at=at, lost=lost)

    def hangs(self, batch_id: str) -> None:
        """Write the journal."""
        self._ask()
        self.journals[batch_id] = msgspec.structs.replace(self._journal(batch_id), hung=True)

    def close(self) -> None:
        """Nothing to close."""

    def _journal(self, batch_id: str) -> Journal:
        return self.journals.get(batch_id, NO_JOURNAL)

    def _ask(self) -> None:
        if self.broken:
            raise Unavailable("the reply store", "told to be away")


@dataclass(frozen=True)
class Put:
    """A message on a queue in memory."""

    delivery: Delivery
    batch_id: str
    payload: bytes
    shown: str
    wait_s: float
    retries: int

    def batch(self) -> Batch:
        """Return the batch in it."""
        return msgspec.msgpack.decode(decompress(self.payload), type=Batch)


class MemoryQueues:
    """Keeps what is put on queues; *broken* makes the broker unavailable."""

    def __init__(self) -> None:
        self.put_there: list[Put] = []
        self.broken = False

    def put(
        self,
        delivery: Delivery,
        batch_id: str,
        payload: bytes,
        shown: str,
        *,
        wait_s: float = 0.0,
        retries: int = 0,
    ) -> None:
        """Keep a message."""
        if self.broken:
            raise Unavailable("the broker", "told to be away")
        self.put_there.append(Put(delivery, batch_id, payload, shown, wait_s, retries))
