"""What a worker leaves of each batch that it settles, so that one job can be followed afterwards.

Two places keep it: a list for each client, of its latest batches (``names.trail_key``), and the hash of each
durable job, for as long as its outcome.  It holds ids, names, counts and times, and nothing that people
wrote.

Units:  milliseconds; ``sent_ms`` since the Unix epoch.
"""

import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from workers.contract.payloads import Outcome, Status

_MADE_HERE = re.compile(r"([0-9a-f]{16})-([0-9a-f]{1,12})")  # an id that a client made: its own and a number
_MOST_SPANS = 64
_MOST_NAMED = 20  # jobs that ended otherwise than ok, by id


class BatchTrail(msgspec.Struct, frozen=True, omit_defaults=True):
    """One batch as one worker settled it.

    *spans*: the numbers of its jobs in their client's ids, as pairs of first and last; *ended* counts
    outcomes; *named*: those that were not ok, with their codes, as far as there is room.  *left*: parts that
    are answered apart.
    """

    batch_id: str
    task: str
    queue: str
    worker: str
    sent_ms: int
    queued_ms: float
    worked_ms: float
    jobs: int
    shown: str = ""  # as operators see the batch elsewhere
    client: str = ""
    ended: dict[str, int] = {}
    spans: list[tuple[int, int]] = []
    named: dict[str, str] = {}
    left: list[str] = []
    lost: int = 0
    trace_id: str | None = None


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client notes of a durable job when it claims its id, right before it is sent."""

    at_ms: int
    client: str
    batch_id: str
    task: str
    queue: str
    request_id: str | None = None


encode = msgspec.msgpack.Encoder().encode
decode_trail = msgspec.msgpack.Decoder(BatchTrail).decode
decode_accepted = msgspec.msgpack.Decoder(Accepted).decode


def client_of(job_id: str) -> tuple[str, int] | None:
    """Return the client that made *job_id*, and its number; None: its sender chose the id."""
    found = _MADE_HERE.fullmatch(job_id)
    return None if found is None else (found[1], int(found[2], 16))


def spans_of(client: str, job_ids: Sequence[str]) -> list[tuple[int, int]]:
    """Return the numbers in those of *job_ids* that *client* made, as few pairs of first and last.

    They have no holes, as a rule, which is seen by the first and the last of them.
    """
    prefix = f"{client}-"
    cut = len(prefix)
    if job_ids:
        low = client_of(job_ids[0])
        high = low if len(job_ids) == 1 else client_of(job_ids[-1])
        if low and high and low[0] == high[0] == client and high[1] - low[1] == len(job_ids) - 1:
            return [(low[1], high[1])]
    spans: list[tuple[int, int]] = []
    first = last = -2
    for job_id in job_ids:
        if not job_id.startswith(prefix):
            continue
        try:
            number = int(job_id[cut:], 16)
        except ValueError:
            continue  # its sender chose it to look so
        if number == last + 1:
            last = number
            continue
        if last >= 0:
            spans.append((first, last))
        first = last = number
    if last >= 0:
        spans.append((first, last))
    return spans[:_MOST_SPANS]


def ends_of(outcomes: Sequence[Outcome]) -> tuple[dict[str, int], dict[str, str]]:
    """Return how many of *outcomes* there are of each kind, and some of those that are not ok, by id."""
    named: dict[str, str] = {}
    statuses = [outcome.status for outcome in outcomes]
    good = statuses.count(Status.OK)
    if good == len(statuses):
        return {"ok": good} if good else {}, named
    for outcome in outcomes:
        if outcome.status is not Status.OK and len(named) < _MOST_NAMED:
            code = "" if outcome.problem is None else f" {outcome.problem.code}"
            named[outcome.id] = f"{outcome.status}{code}"
    return {str(status): count for status, count in Counter(statuses).items()}, named


def covers(trail: BatchTrail, job_id: str) -> bool:
    """Tell whether *job_id* was in the batch that left *trail*."""
    if job_id in trail.named:
        return True
    made = client_of(job_id)
    return (
        made is not None
        and made[0] == trail.client
        and any(first <= made[1] <= last for first, last in trail.spans)
    )
