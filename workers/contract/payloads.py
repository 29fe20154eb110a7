"""What travels between producers and workers, as MessagePack maps (msgspec structs).

A message on a queue is one ``Batch`` of 1..N jobs; its answer is one ``Reply`` with exactly one
``Outcome`` per job.  Jobs are packed one by one and embedded as raw bytes, so a job that does not
decode fails alone; a result is packed once by the worker and passed on as bytes.

Versions: fields are only ever added, with defaults; a change of meaning takes a new SCHEMA_VERSION.
``v``, ``reply_to`` and each job's ``id`` keep their place in every version, so that a worker can
refuse a version it does not know and still tell whom.
"""

import enum
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from persona_system.models import Context
from workers.contract.dead_letters import Sighting

SCHEMA_VERSION = 1


class Job(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One message of one person.

    *id* is made by the client and unique; *key* is a canonical resonance key, or None to derive it from
    the text; *deadline_ms* is in milliseconds since the Unix epoch; *metadata* is handed back untouched.
    *use_cache*: whether a cached answer will do, and this one may be kept; *refresh*: the answer is to be
    computed anew for everybody, since the cached one is due.  *durable*: its outcome is also kept under
    its id, written once.  *tries*: how often it was tried before, in vain, for a reason that may pass.
    *request_id*: of the request to the gateway that it came in, for logs.  *trace*: the span that it was
    submitted in, as W3C's traceparent, for links between traces.
    """

    id: str
    text: str
    key: str | None = None
    context: Context | None = None
    deadline_ms: int | None = None
    metadata: dict[str, Any] | None = None
    use_cache: bool = True
    refresh: bool = False
    durable: bool = False
    tries: int = 0
    request_id: str | None = None
    trace: str | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One message on a queue.  *sent_ms* is in milliseconds since the Unix epoch.

    *bulk*: a pipeline's work, which the cache treats apart.  *looked_up*: its producer has just asked the
    shared cache for these jobs, in vain.  *lost*: how many workers were lost with these jobs before, in
    batches that this one is a part of; *story*: when and which, oldest first.  *trace*: what the worker's
    trace goes on from, by the names of its headers (traceparent, sentry-trace, baggage).
    """

    v: int = SCHEMA_VERSION
    id: str
    reply_to: str
    sent_ms: int
    jobs: list[msgspec.Raw]
    bulk: bool | msgspec.UnsetType = msgspec.UNSET
    looked_up: bool | msgspec.UnsetType = msgspec.UNSET
    lost: int | msgspec.UnsetType = msgspec.UNSET
    story: list[Sighting] | msgspec.UnsetType = msgspec.UNSET
    trace: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


def shown(jobs: int, queue: str) -> str:
    """Return what operators see of a batch of so many *jobs*: nothing of what is in it."""
    return f"{jobs} {'job' if jobs == 1 else 'jobs'}, {queue}"


_SHOWN = re.compile(r"\d{1,9} (?:jobs?|letter), [a-z_]{1,40}(?:, .{1,200})?")


def is_shown(text: object) -> bool:
    """Tell whether *text* is what our producers show of a message, and not what it holds."""
    return isinstance(text, str) and _SHOWN.fullmatch(text) is not None


class Status(enum.StrEnum):
    """How a job ended; every accepted job ends in exactly one of these."""

    OK = "ok"
    REJECTED = "rejected"  # bad input: names field and fix
    FAILED = "failed"  # a typed failure of ours, retries spent
    EXPIRED = "expired"  # its deadline passed before work began
    DEAD = "dead"  # no worker can answer it; kept with the dead letters


FINAL = frozenset({Status.OK, Status.REJECTED})
"""Outcomes that stay: a durable job that ended otherwise may be sent again, and then ends as it does then."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a job has no result.  Never quotes the message that a person wrote."""

    code: str
    message: str
    field: str = ""
    fix: str = ""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """The one end of one job: *result* (packed, of the task's result type) or *problem*.

    *cached*: the result was not computed for this job.  *tries*: how often it was tried in all, when that
    was more than once.
    """

    id: str
    status: Status
    result: msgspec.Raw = msgspec.Raw()
    problem: Problem | None = None
    cached: bool = False
    tries: int = 0


def shown_ends(ended: Mapping[str, int], cached: int = 0, personas: Mapping[str, int] | None = None) -> str:
    """Return what operators see of how jobs ended, by their status; of the answers, *cached* and by whom.

    ``36 ok (12 cached), 1 rejected; Lua 20, Elro 16``
    """
    told = [f"{ended[status]} {status}" for status in Status if ended.get(status)]
    if cached:
        told[0] += f" ({cached} cached)"  # only answers are: ok comes first
    by_whom = sorted((personas or {}).items(), key=lambda one: -one[1])
    return "; ".join(
        filter(None, (", ".join(told), ", ".join(f"{persona} {jobs}" for persona, jobs in by_whom)))
    )


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's answer to one batch.

    *queued_ms* is how long the batch waited between being sent and being taken up (the two machines'
    clocks differ by what NTP leaves); *worked_ms* is how long the worker had it.
    """

    v: int = SCHEMA_VERSION
    batch_id: str
    queued_ms: float
    worked_ms: float
    outcomes: list[Outcome]


_NO_METADATA = b"\xa8metadata\xc0"  # how a packed Response without metadata ends: it is the last field
_pack = msgspec.msgpack.Encoder().encode


def with_metadata(result: bytes, metadata: dict[str, Any]) -> bytes:
    """Return a packed result, made for nobody in particular, with a caller's *metadata* put in.

    A result that has no such field is returned as it is.
    """
    return result[:-1] + _pack(metadata) if result.endswith(_NO_METADATA) else result
