"""What is kept of a message or a job that no worker could answer.

A dead letter travels as the payload of the task ``dead.keep`` on the queue ``dead``, which is as safe as
the broker, and ends in the database.  Its id makes keeping it twice the same as keeping it once.
"""

import enum
import hashlib

import msgspec

MAX_RAW_BYTES = 4_096  # of a message that is no batch of ours


class Reason(enum.StrEnum):
    """Why a letter is dead; what people filter by."""

    MALFORMED = "malformed"  # the message is none of ours, or damaged: quarantined
    UNKNOWN_TASK = "unknown_task"
    UNKNOWN_VERSION = "unknown_version"  # of the payload's schema
    CRASHED = "crashed"  # the job took its worker with it, again and again
    HUNG = "hung"  # the job ran into the hard time limit, again and again
    INTERNAL = "internal"  # handling it failed, again, with an error that nobody expected
    UNDELIVERABLE = "undeliverable"  # its answer found no taker
    DELIVERY_LIMIT = "delivery_limit"  # the broker gave up delivering it


class Sighting(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened to the letter: *at_ms* (Unix epoch), *what*, and on which *worker*."""

    at_ms: int
    what: str
    worker: str = ""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A dead message or job.  *payload* holds people's words: it goes to the database and nowhere else.

    *payload* is a packed ``Batch`` that can be sent again as it is, or, for a malformed message, at most
    MAX_RAW_BYTES of it, of *size_bytes* in all.  *code* is stable; *problem* and *fix* never quote the
    payload.  *persona* is empty where the router was not asked.  *story* begins with the oldest event.
    """

    id: str
    reason: Reason
    code: str
    problem: str
    fix: str = ""
    field: str = ""
    at_ms: int
    queue: str
    task: str = ""
    persona: str = ""
    job_ids: list[str] = []
    deliveries: int = 1
    size_bytes: int
    payload: bytes
    story: list[Sighting] = []


def letter_id(content: bytes) -> str:
    """Return the id of the letter about *content*: a payload, a raw message, or a job's id."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
