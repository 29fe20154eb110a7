"""The tasks of dead letters: put one into the database, and take out what is old.

Errors:  StoreUnavailable, when the database does not take or give anything.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import msgspec

from workers.contract import names
from workers.contract.dead_letters import MAX_RAW_BYTES, DeadLetter, Reason, letter_id

logger = logging.getLogger(__name__)

_REASONS = frozenset(reason.value for reason in Reason)

_decode_any = msgspec.msgpack.Decoder().decode


class LetterBook(Protocol):
    """Keeps dead letters for good."""

    def keep(self, letter: DeadLetter) -> bool:
        """Keep *letter*; say whether that was news."""

    def tidy(self, before_ms: int, most: int) -> int:
        """Delete what has not changed since *before_ms*, and the oldest beyond *most*; return how many."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long letters are kept after they last changed, and how many of them."""

    age: timedelta = timedelta(days=30)
    most: int = 100_000


def keep(payload: bytes, book: LetterBook, now_ms: int) -> None:
    """Put the packed letter *payload* into *book*; what is none is kept as a malformed message."""
    letter = _unpacked(payload)
    if letter is None:
        letter = _malformed(payload, now_ms)
        logger.error("what came as a dead letter was none; kept as letter %s", letter.id)
    book.keep(letter)


def tidy(book: LetterBook, retention: Retention, now_ms: int) -> None:
    """Delete the letters that are beyond *retention*."""
    deleted = book.tidy(now_ms - int(retention.age.total_seconds() * 1000), retention.most)
    if deleted:
        logger.info("deleted %d old dead letters", deleted)


def _unpacked(payload: bytes) -> DeadLetter | None:
    """Return the letter; None: it is none.  The reason of a later version is not known, the rest is."""
    try:
        fields = _decode_any(payload)
        if isinstance(fields, dict) and fields.get("reason") not in _REASONS:
            fields["reason"] = Reason.INTERNAL.value
        return msgspec.convert(fields, DeadLetter)
    except (msgspec.MsgspecError, RecursionError, TypeError):
        return None


def _malformed(payload: bytes, now_ms: int) -> DeadLetter:
    return DeadLetter(
        id=letter_id(payload),
        reason=Reason.MALFORMED,
        code="UNREADABLE_LETTER",
        problem="came as a dead letter and is none",
        fix="send it with a worker of this version",
        at_ms=now_ms,
        queue=names.DEAD,
        task=names.DEAD_KEEP,
        size_bytes=len(payload),
        payload=payload[:MAX_RAW_BYTES],
    )
