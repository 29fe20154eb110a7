"""What flows between the steps: one item for each record of the input."""

from typing import NamedTuple

import msgspec

from persona_system.errors import InvalidInput
from producers.requests import PersonaRequest

CallersId = str | int | None


class Accepted(NamedTuple):
    """A record that can be submitted; *line* is where it starts, *end* its last line, *size* in bytes."""

    line: int
    end: int
    size: int
    callers_id: CallersId
    request: PersonaRequest


class Reject(msgspec.Struct, frozen=True):
    """A record that cannot, as it is written to the rejects file.  Never quotes what a person wrote."""

    line: int
    field: str
    problem: str
    fix: str


class Blank(NamedTuple):
    """A line with nothing on it: skipped and counted."""

    line: int


Item = Accepted | Reject | Blank


def reject(line: int, error: InvalidInput) -> Reject:
    """Return *error* as the reject of *line*."""
    return Reject(line, error.field, error.problem, error.fix)


def too_long(line: int, limit_bytes: int) -> Reject:
    """Return the reject of a record over *limit_bytes*, whose rest was skipped unread."""
    return Reject(line, "line", f"is longer than {limit_bytes:,} bytes", "shorten it or split the message")
