"""The stamps of tags in the shared store, and what of them this process knows.

Units:   ``_ms`` are milliseconds.
Errors:  Unavailable, when the store does not answer.
"""

import os
from collections.abc import Iterable, Sequence

from persona_system.cache.envelope import STAMP_BYTES, Stamped
from persona_system.cache.keys import EVERYTHING_ID, TAG_BYTES, names_of
from persona_system.cache.redis_store import RedisStore
from persona_system.cache.stamps import Stamps
from persona_system.cache.tiers import Ticket
from persona_system.errors import Unavailable

LIFE_MS = 24 * 3600 * 1000  # an expired stamp voids what carries it
PROLONG_EVERY_S = 3600.0  # as long as a process knows them
_NEWS_TAGS = 10_000  # in one message


class SharedStamps:
    """Reads, makes and deletes stamps; *known* is what needs no question."""

    def __init__(self, store: RedisStore, namespace: str) -> None:
        self._store = store
        self._tags, self.channel = f"{namespace}t:".encode(), f"{namespace}news"
        self.known = Stamps()
        self.standing = {EVERYTHING_ID}  # few tags of many answers, whose stamps never expire
        self._prolonged_at: float | None = None

    def names(self, tags: Iterable[bytes]) -> list[bytes]:
        """Return what the stamps of *tags* are called in the store."""
        return names_of(self._tags, list(tags))

    def take_in(
        self, tags: Sequence[bytes], answers: Sequence[bytes | None], mark: int
    ) -> dict[bytes, bytes]:
        """Return the stamps among *answers*, which the store gave after *mark*, and remember them."""
        read = {
            tag: stamp
            for tag, stamp in zip(tags, answers, strict=True)
            if stamp is not None and len(stamp) == STAMP_BYTES
        }
        self.known.learn(read, mark)
        return read

    def fetch(self, tags: Sequence[bytes]) -> dict[bytes, bytes]:
        """Ask the store for the stamps of *tags*; those that have none are left out."""
        mark = self.known.mark()
        return self.take_in(tags, self._store.get_many(self.names(tags)), mark)

    def create(self, tags: Sequence[bytes]) -> dict[bytes, bytes]:
        """Give *tags* stamps, unless another process was faster; return the ones that hold."""
        mark = self.known.mark()
        made = [os.urandom(STAMP_BYTES) for _ in tags]
        answers = self._store.run(
            *[
                ("SET", name, stamp, "NX", "GET", *(() if tag in self.standing else ("PX", LIFE_MS)))
                for tag, name, stamp in zip(tags, self.names(tags), made, strict=True)
            ]
        )
        holding = [stamp if answer is None else answer for stamp, answer in zip(made, answers, strict=True)]
        return self.take_in(tags, [stamp if isinstance(stamp, bytes) else None for stamp in holding], mark)

    def prolong(self, now: float) -> None:
        """Once an hour, let the known stamps live on: they may be as old as the store."""
        if self._prolonged_at is None:
            self._prolonged_at = now
        if now - self._prolonged_at < PROLONG_EVERY_S:
            return
        self._prolonged_at = now
        tags = self.known.tags()
        for start in range(0, len(tags), _NEWS_TAGS):
            part = tags[start : start + _NEWS_TAGS]
            self._store.run(*[("PEXPIRE", name, LIFE_MS) for name in self.names(part)])

    def valid(self, stamped: Stamped, ticket: Ticket, fresh: Ticket) -> bool:
        """Tell whether each tag has the stamp in *fresh*, else in *ticket*, else the known one."""
        for tag, stamp in stamped:
            now = fresh.get(tag) or ticket.get(tag) or self.known.get(tag)
            if now != stamp:
                return False
        return True

    def doubtful(self, answers: Iterable[Stamped], ticket: Ticket) -> list[bytes]:
        """Return the tags whose stamp is not known, or known otherwise: the store has to be asked.

        A stamp that expired and was made anew differs from the known one though nothing was invalidated.
        """
        known = self.known.get
        return list(
            {
                tag: None
                for stamped in answers
                for tag, stamp in stamped
                if (ticket.get(tag) or known(tag)) != stamp
            }
        )

    def delete(self, tags: Sequence[bytes]) -> None:
        """Delete the stamps of *tags* and tell every process.  A server out of memory does both, too."""
        for start in range(0, len(tags), _NEWS_TAGS):
            part = tags[start : start + _NEWS_TAGS]
            answers = self._store.run(
                ("UNLINK", *self.names(part)), ("PUBLISH", self.channel, b"".join(part))
            )
            for answer in answers:
                if isinstance(answer, Exception):
                    raise Unavailable("the cache store", str(answer))


def tags_in(news: bytes) -> list[bytes]:
    """Return the tags that a message of ``delete`` names."""
    return [news[at : at + TAG_BYTES] for at in range(0, len(news), TAG_BYTES)]
