"""What is to be sent where: each notice once to each of its channels, until it arrived or there is no point.

A notice is put in together with the change that it tells of (``workers.store.outbox.put``, in the same
transaction), and whoever evaluates next sends what is due.  So a worker that is killed anywhere loses
nothing; what it had sent and not yet noted is sent again, with the same key.

Units:   milliseconds since the Unix epoch.
Errors:  what the place raises that it is kept in (StoreError, for the database).
"""

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

LONGEST_WAIT_MS = (
    10 * 60_000
)  # what waits longer than this was put off by a clock that has stepped back since

State = Literal["waiting", "sent", "merged", "failed"]
"""*merged*: told as one of many, in a message that was sent for another delivery."""


class Waiting(NamedTuple):
    """One delivery that is due: the *packed* notice, to *channel*, which was tried *tries* times before."""

    notice_id: str
    channel: str
    at_ms: int  # when the notice was put in
    packed: bytes
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one try: *waiting* ones are due again at *due_ms*.  *why* is for people."""

    notice_id: str
    channel: str
    state: State
    at_ms: int
    due_ms: int = 0
    why: str = ""


class Tally(NamedTuple):
    """What became of the deliveries to one channel."""

    waiting: int = 0
    sent: int = 0
    merged: int = 0
    failed: int = 0
    why: str = ""  # the latest trouble, if it came after the latest that was sent
    last_ms: int = 0  # when the latest was sent


class Outbox(Protocol):
    """Keeps deliveries."""

    def put(self, notice_id: str, at_ms: int, packed: bytes, channels: Collection[str]) -> None:
        """Take a notice for *channels*, once however often it comes."""

    def claim(self, now_ms: int, until_ms: int, limit: int) -> list[Waiting]:
        """Return at most *limit* due deliveries, the oldest first; nobody else gets them until *until_ms*.

        A channel of which anything is put off, or in somebody's hands, is left until that is over: what
        happened first is told first.
        """

    def settle(self, ended: Sequence[Ended]) -> None:
        """Note what became of deliveries, and count the tries."""

    def knows(self, notice_id: str) -> bool:
        """Tell whether the notice was put in, and is remembered."""

    def sent(self, since_ms: int) -> dict[str, int]:
        """Return how many messages each channel was sent since then."""

    def tally(self, since_ms: int) -> dict[str, Tally]:
        """Return what became of the notices since then, by channel."""


@dataclass(slots=True)
class _Kept:
    waiting: Waiting
    ended: Ended
    leased_ms: int = 0

    @property
    def due_ms(self) -> int:
        return max(self.ended.due_ms, self.leased_ms)


class MemoryOutbox:
    """Keeps deliveries in the process: for one that has no database, or must do without it."""

    def __init__(self, most: int = 1_000) -> None:
        self._most = most  # that are remembered; beyond them the oldest go
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], _Kept] = {}

    def put(self, notice_id: str, at_ms: int, packed: bytes, channels: Collection[str]) -> None:
        """Take a notice for *channels*, once however often it comes."""
        with self._lock:
            for channel in channels:
                self._kept.setdefault(
                    (notice_id, channel),
                    _Kept(
                        Waiting(notice_id, channel, at_ms, packed),
                        Ended(notice_id, channel, "waiting", at_ms, at_ms),
                    ),
                )
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]

    def claim(self, now_ms: int, until_ms: int, limit: int) -> list[Waiting]:
        """Return at most *limit* due deliveries, the oldest first; nobody else gets them until *until_ms*."""
        with self._lock:
            waiting = [kept for kept in self._kept.values() if kept.ended.state == "waiting"]
            not_yet = {kept.waiting.channel for kept in waiting if not is_due(kept.due_ms, now_ms)}
            due = [kept for kept in waiting if kept.waiting.channel not in not_yet]
            due.sort(key=lambda kept: kept.waiting.at_ms)
            for kept in due[:limit]:
                kept.leased_ms = until_ms
            return [kept.waiting for kept in due[:limit]]

    def settle(self, ended: Sequence[Ended]) -> None:
        """Note what became of deliveries, and count the tries."""
        with self._lock:
            for end in ended:
                kept = self._kept.get((end.notice_id, end.channel))
                if kept is not None and kept.ended.state == "waiting":
                    kept.waiting = kept.waiting._replace(tries=kept.waiting.tries + 1)
                    kept.ended, kept.leased_ms = replace(end), 0

    def knows(self, notice_id: str) -> bool:
        """Tell whether the notice was put in, and is remembered."""
        with self._lock:
            return any(known == notice_id for known, _ in self._kept)

    def sent(self, since_ms: int) -> dict[str, int]:
        """Return how many messages each channel was sent since then."""
        counts: dict[str, int] = {}
        with self._lock:
            for kept in self._kept.values():
                if kept.ended.state == "sent" and kept.ended.at_ms >= since_ms:
                    counts[kept.ended.channel] = counts.get(kept.ended.channel, 0) + 1
        return counts

    def tally(self, since_ms: int) -> dict[str, Tally]:
        """Return what became of the notices since then, by channel."""
        with self._lock:
            ends = [kept.ended for kept in self._kept.values() if kept.waiting.at_ms >= since_ms]
        return {channel: tallied([end for end in ends if end.channel == channel]) for channel in _of(ends)}


def is_due(due_ms: int, now_ms: int) -> bool:
    """Tell whether what waits until *due_ms* waits no longer, on a clock that may step."""
    return due_ms <= now_ms or due_ms > now_ms + LONGEST_WAIT_MS


def tallied(ends: Sequence[Ended]) -> Tally:
    """Return the counts of one channel's deliveries."""
    count = {
        state: sum(end.state == state for end in ends) for state in ("waiting", "sent", "merged", "failed")
    }
    last_ms = max((end.at_ms for end in ends if end.state == "sent"), default=0)
    troubles = [end for end in ends if end.why and end.state != "sent" and end.at_ms >= last_ms]
    why = max(troubles, key=lambda end: end.at_ms).why if troubles else ""
    return Tally(**count, why=why, last_ms=last_ms)


def _of(ends: Sequence[Ended]) -> list[str]:
    return sorted({end.channel for end in ends})
