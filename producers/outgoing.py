"""The steps of a batch between the coalescer and the broker; each may end jobs, and returns the rest.

What the cache knows is answered.  The ids of durable jobs are claimed, and jobs that have ended under
their id get that outcome.  What the rate limit does not let through is refused.
"""

import time
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from producers.admission import LONGEST_HINT_S
from producers.batching import Lane, PackedJob
from producers.errors import Rationed, conflict
from producers.pending import Asked, cached_outcome
from producers.ports import Answers, Claim, Outcomes, Rations
from producers.requests import Settled, for_refresh
from workers.contract.names import BULK
from workers.contract.payloads import Batch
from workers.contract.trail import Accepted, encode
from workers.contract.wire import compress

Ended = list[tuple[str, Settled]]

_encode = msgspec.msgpack.Encoder().encode


class Outgoing:
    """Takes batches through the steps, in the sender's thread.

    *asked* tells what the cache needs for jobs, and *settle* ends jobs.
    """

    def __init__(
        self,
        answers: Answers | None,
        outcomes: Outcomes,
        rations: Rations,
        rate_key: str,
        asked: Callable[[Sequence[PackedJob]], list[Asked | None]],
        settle: Callable[[Ended], None],
    ) -> None:
        self._answers, self._outcomes, self._rations = answers, outcomes, rations
        self._rate_key = rate_key
        self._asked, self._settle = asked, settle
        self.closed_until: dict[
            str, float
        ] = {}  # by queue: when the rate limit lets more through (monotonic)

    def answer(self, lane: Lane, jobs: list[PackedJob]) -> tuple[list[PackedJob], bool]:
        """Answer what the cache knows; also return whether it was asked."""
        if self._answers is None:
            return jobs, False
        about = {place: one for place, one in enumerate(self._asked(jobs)) if one is not None}
        if not about:
            return jobs, False
        places, asked = list(about), list(about.values())
        values, renew = self._answers.look_up(lane, asked)
        ended: Ended = []
        left = dict(enumerate(jobs))
        for place, one, value in zip(places, asked, values, strict=True):
            if value is not None:
                job_id = left.pop(place)[0]
                ended.append((job_id, cached_outcome(job_id, value, one)))
        for index in renew:
            job_id, packed, digest = jobs[places[index]]
            left[places[index]] = (job_id, for_refresh(packed), digest)
        self._settle(ended)
        return list(left.values()), True

    def claim(self, jobs: list[PackedJob], accepted: Accepted) -> list[PackedJob]:
        """Claim the ids of durable jobs, noting how they were *accepted*; raise Unavailable or Overloaded."""
        durable = [(job_id, digest) for job_id, _, digest in jobs if digest is not None]
        if not durable:
            return jobs
        notes = [_note(accepted, packed) for _, packed, digest in jobs if digest is not None]
        claims = self._outcomes.claim(durable, notes)
        ended: Ended = [
            (job_id, conflict() if claim is Claim.CONFLICT else claim)
            for (job_id, _), claim in zip(durable, claims, strict=True)
            if not isinstance(claim, Claim) or claim is Claim.CONFLICT
        ]
        self._settle(ended)
        gone = {job_id for job_id, _ in ended}
        return [job for job in jobs if job[0] not in gone] if gone else jobs

    def ration(self, lane: Lane, jobs: list[PackedJob]) -> list[PackedJob]:
        """Let through what may go now; a pipeline's batch goes whole or not at all.  Raises Unavailable."""
        whole = lane[1] == BULK
        grant = self._rations.take_some(self._rate_key, len(jobs), whole=whole)
        if grant.jobs == len(jobs):
            return jobs
        self.closed_until[lane[1]] = time.monotonic() + grant.wait_s
        refused = enumerate(jobs[grant.jobs :])  # each is told its own turn, so that they do not come at once
        self._settle([(job[0], limited(grant.wait_s + place * grant.each_s)) for place, job in refused])
        return jobs[: grant.jobs]

    def close(self) -> None:
        """Give connections back."""
        if self._answers is not None:
            self._answers.close()
        self._outcomes.close()
        self._rations.close()


class _CameIn(msgspec.Struct):
    """The part of a packed job that a note has."""

    request_id: str | None = None


_decode_came_in = msgspec.msgpack.Decoder(_CameIn).decode


def _note(accepted: Accepted, packed: bytes) -> bytes:
    request_id = _decode_came_in(packed).request_id
    return encode(accepted if request_id is None else replace(accepted, request_id=request_id))


def pack_batch(
    client_id: str,
    batch_id: str,
    queue: str,
    jobs: Sequence[PackedJob],
    *,
    looked_up: bool,
    trace: dict[str, str] | None,
) -> bytes:
    """Return the message that takes *jobs* to *queue* now; *looked_up*: the cache was asked for them."""
    batch = Batch(
        id=batch_id,
        reply_to=client_id,
        sent_ms=int(time.time() * 1000),
        jobs=[msgspec.Raw(packed) for _, packed, _ in jobs],
        bulk=True if queue == BULK else msgspec.UNSET,
        looked_up=True if looked_up else msgspec.UNSET,
        trace=msgspec.UNSET if trace is None else trace,
    )
    return compress(_encode(batch))


def limited(wait_s: float) -> Rationed:
    """Return the refusal of a job that has to wait so long for the rate limit."""
    return Rationed("the rate limit is reached", round(min(wait_s, LONGEST_HINT_S), 3))
