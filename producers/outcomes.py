"""Durable jobs: their ids are claimed before they are sent, and their outcomes can be asked for by id.

A hash for each job holds ``d``, the digest of its request, written by the first who sends it, ``a``, when and
in which batch it was sent the last time, and ``o``, its outcome, written by the worker that settles it; a
final one stays.  All last for OUTCOME_TTL_S.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import redis

from producers.faults import fault_of
from producers.ports import Claim
from workers.contract import names
from workers.contract.payloads import FINAL, Outcome

_AT_ONCE = 500  # jobs in one script: the server does nothing else for so long, about 3 ms

# KEYS: the jobs' hashes.  ARGV: their life in s, a digest for each, a note for each or nothing.
_CLAIM = """
local said = {}
for i, key in ipairs(KEYS) do
  said[i] = 1
  if redis.call('HSETNX', key, 'd', ARGV[i + 1]) == 0 then
    local known = redis.call('HMGET', key, 'd', 'o')
    said[i] = known[1] ~= ARGV[i + 1] and 0 or known[2] or 1
  end
  local note = ARGV[i + 1 + #KEYS]
  if note and said[i] ~= 0 and redis.call('HEXISTS', key, 'f') == 0 then
    redis.call('HSET', key, 'a', note)
  end
  redis.call('EXPIRE', key, ARGV[1])
end
return said
"""

_decode = msgspec.msgpack.Decoder(Outcome).decode


class RedisOutcomes:
    """Claims and outcomes in the reply store.  Safe to use from many threads; connects when first used."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def claim(self, jobs: Sequence[tuple[str, bytes]], notes: Sequence[bytes] = ()) -> list[Claim | Outcome]:
        """Claim each (id, digest of the request); return what came of it, or how that job has ended.

        A job whose outcome is not final, such as one that ran out of time, is ours to send again.
        Raises Unavailable or Overloaded.
        """
        try:
            return [_read(answer) for answer in self._claim(jobs, notes)]
        except (redis.RedisError, OSError) as error:
            raise fault_of(error, "the reply store") from None

    def _claim(self, jobs: Sequence[tuple[str, bytes]], notes: Sequence[bytes]) -> list[Any]:
        with self._client.pipeline(transaction=False) as pipe:
            for start in range(0, len(jobs), _AT_ONCE):
                part = jobs[start : start + _AT_ONCE]
                keys = [names.outcome_key(job_id) for job_id, _ in part]
                told = [*(digest for _, digest in part), *notes[start : start + _AT_ONCE]]
                pipe.eval(_CLAIM, len(keys), *keys, names.OUTCOME_TTL_S, *told)
            return [answer for answers in pipe.execute() for answer in answers]

    def find(self, job_id: str) -> Outcome | None:
        """Return how the job ended; None: it has not, or nobody knows it.  Raises Unavailable."""
        return self.find_all([job_id])[0]

    def find_all(self, job_ids: Sequence[str]) -> list[Outcome | None]:
        """Return how each of the jobs ended, as ``find`` does, in one round trip.  Raises Unavailable."""
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for job_id in job_ids:
                    pipe.hget(names.outcome_key(job_id), "o")
                found: list[bytes | None] = pipe.execute()
        except (redis.RedisError, OSError) as error:
            raise fault_of(error, "the reply store") from None
        return [None if packed is None else _decode(packed) for packed in found]

    def knows(self, job_id: str) -> bool:
        """Tell whether the job's id was claimed in the last hour.  Raises Unavailable."""
        try:
            return bool(self._client.exists(names.outcome_key(job_id)))
        except (redis.RedisError, OSError) as error:
            raise fault_of(error, "the reply store") from None

    def close(self) -> None:
        """Give connections back."""
        self._client.close()


def _read(answer: object) -> Claim | Outcome:
    if not isinstance(answer, bytes):
        return Claim.OURS if answer == 1 else Claim.CONFLICT
    outcome = _decode(answer)
    return outcome if outcome.status in FINAL else Claim.OURS
