"""Settle batches and durable jobs: each once, however often its message is delivered.

A batch has its end when its mark is set, and the mark is set by the script that sends its reply: so there
is one reply, whoever else answers the same message, now or later.  What a batch leaves to others, parts
that are answered apart, stands in its mark: whoever meets the mark sends them once more, and as each part
has its own id and its own mark, that does no harm.

Keys:    workers/contract/names.py (``settled_key``, ``outcome_key``, ``work_key``, ``DUPLICATES_KEY``).
Errors:  Unavailable, when the reply store did not answer.  Then nothing is known: the same call, made
         again, finds out.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeVar

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.contract import names
from workers.contract.payloads import FINAL, Outcome
from workers.errors import Unavailable
from workers.transport.servers import open_redis

T = TypeVar("T")


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """Jobs of a batch that are answered apart: their places in it, under the batch's id and *name*.

    *lost*: how many workers count as lost with them; *again*: they are tried once more, *wait_ms* later.
    """

    name: str
    jobs: list[int]
    lost: int = 0
    again: bool = False
    wait_ms: int = 0


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a batch was settled: *done*, with a reply, or *split* without one; and what it left to *parts*."""

    how: Literal["done", "split"] = "done"
    parts: list[Part] = []


DONE = Mark()


class Journal(msgspec.Struct, frozen=True):
    """What a worker that is lost leaves of a batch that it answered carefully.

    *at*: the place of the job it was at, or the number of jobs when it was past them; *lost*: how many
    workers had been lost with this message before it; *hung*: it ran into the hard time limit.
    """

    at: int | None = None
    lost: int = 0
    hung: bool = False


NO_JOURNAL = Journal()


class Settlements(Protocol):
    """Where batches are settled."""

    def settle(
        self, reply_to: str, batch_id: str, mark: Mark, reply: bytes | None, trail: bytes = b""
    ) -> Mark | None:
        """Set *mark*, send the packed *reply*, if any, and leave the packed *trail*, if any; None.

        A mark that is there already stays as it is and is returned, and nothing is sent or left.
        """

    def record(self, outcomes: Sequence[Outcome], trail: bytes = b"") -> list[Outcome]:
        """Keep the *outcomes* of durable jobs, with the *trail* of their batch; return those that hold.

        An earlier one holds before a later.
        """

    def look(self, reply_to: str, batch_id: str) -> tuple[Mark | None, Journal]:
        """Return a batch's mark, if it has one, and what a lost worker wrote of it."""

    def at_work(self, batch_id: str, at: int, lost: int) -> None:
        """Write into a batch's journal which job is next, before it can do harm."""

    def hangs(self, batch_id: str) -> None:
        """Write into a batch's journal that its worker ends because it hangs."""

    def close(self) -> None:
        """Give the connections back."""


# KEYS: mark, reply list, trail.  ARGV: mark, its life in s, reply or '', the list's life in s, what to leave
# of the batch or '', how many such there may be, their life in s.
_SETTLE = b"""
local there = redis.call('GET', KEYS[1])
if there then return there end
if ARGV[3] ~= '' then
  redis.call('RPUSH', KEYS[2], ARGV[3])
  redis.call('EXPIRE', KEYS[2], ARGV[4])
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
if ARGV[5] ~= '' then
  redis.call('LPUSH', KEYS[3], ARGV[5])
  redis.call('LTRIM', KEYS[3], 0, ARGV[6] - 1)
  redis.call('EXPIRE', KEYS[3], ARGV[7])
end
return false
"""

# KEYS: the job's hash.  ARGV: packed outcome, '1' if it is final, life in s, the trail or ''.  Field f: a
# final outcome is there.
_RECORD = b"""
local held = redis.call('HGET', KEYS[1], 'f') and redis.call('HGET', KEYS[1], 'o')
if held then return held end
redis.call('HSET', KEYS[1], 'o', ARGV[1])
if ARGV[2] == '1' then redis.call('HSET', KEYS[1], 'f', '1') end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 't', ARGV[4]) end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return false
"""

_encode = msgspec.msgpack.Encoder().encode
_decode_outcome = msgspec.msgpack.Decoder(Outcome).decode
_decode_mark = msgspec.json.Decoder(Mark).decode
_DONE = msgspec.json.encode(DONE)


class RedisSettlements:
    """Settles in the reply store at *url*, a Redis or Valkey; one round trip a call."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._client = open_redis(
            url,
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1),  # once, for a connection that went stale; then the task's backoff
            client_name="ion-worker",
        )
        self._settle_sha: str | None = None
        self._record_sha: str | None = None

    def settle(
        self, reply_to: str, batch_id: str, mark: Mark, reply: bytes | None, trail: bytes = b""
    ) -> Mark | None:
        """Set *mark* and send *reply*, or return the mark that is there, and count a duplicate."""

        def run(client: "redis.Redis") -> bytes | None:
            if self._settle_sha is None:
                self._settle_sha = client.script_load(_SETTLE)
            there: bytes | None = client.evalsha(
                self._settle_sha,
                3,
                names.settled_key(reply_to, batch_id),
                names.reply_key(reply_to),
                names.trail_key(reply_to),
                _DONE if mark is DONE else msgspec.json.encode(mark),
                names.SETTLED_TTL_S,
                b"" if reply is None else reply,
                names.REPLY_TTL_S,
                trail,
                names.MOST_TRAIL,
                names.TRAIL_TTL_S,
            )
            if there is not None:
                client.incr(names.DUPLICATES_KEY)
            return there

        there = self._asking(run)
        return None if there is None else _decode_mark(there)

    def record(self, outcomes: Sequence[Outcome], trail: bytes = b"") -> list[Outcome]:
        """Keep *outcomes*, all in one round trip; return those that hold."""

        def run(client: "redis.Redis") -> list[bytes | None]:
            if self._record_sha is None:
                self._record_sha = client.script_load(_RECORD)
            with client.pipeline(transaction=False) as pipe:
                for outcome in outcomes:
                    final = b"1" if outcome.status in FINAL else b""
                    key = names.outcome_key(outcome.id)
                    told = (_encode(outcome), final, names.OUTCOME_TTL_S, trail)
                    pipe.evalsha(self._record_sha, 1, key, *told)
                return list(pipe.execute())

        held = self._asking(run)
        return [
            outcome if there is None else _decode_outcome(there)
            for outcome, there in zip(outcomes, held, strict=True)
        ]

    def look(self, reply_to: str, batch_id: str) -> tuple[Mark | None, Journal]:
        """Return a batch's mark and its journal."""

        def run(client: "redis.Redis") -> tuple[bytes | None, list[bytes | None]]:
            with client.pipeline(transaction=False) as pipe:
                pipe.get(names.settled_key(reply_to, batch_id))
                pipe.hmget(names.work_key(batch_id), "at", "lost", "hung")
                mark, noted = pipe.execute()
                return mark, noted

        mark, (at, lost, hung) = self._asking(run)
        journal = Journal(None if at is None else int(at), 0 if lost is None else int(lost), hung is not None)
        return None if mark is None else _decode_mark(mark), journal

    def at_work(self, batch_id: str, at: int, lost: int) -> None:
        """Write which job is next."""
        self._write(batch_id, {"at": str(at), "lost": str(lost)})

    def hangs(self, batch_id: str) -> None:
        """Write that the worker ends because it hangs."""
        self._write(batch_id, {"hung": "1"})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _write(self, batch_id: str, fields: dict[str, str]) -> None:
        def run(client: "redis.Redis") -> None:
            key = names.work_key(batch_id)
            with client.pipeline(transaction=False) as pipe:
                for field, value in fields.items():
                    pipe.hset(key, field, value)
                pipe.expire(key, names.WORK_TTL_S)
                pipe.execute()

        self._asking(run)

    def _asking(self, run: Callable[["redis.Redis"], T]) -> T:
        try:
            try:
                return run(self._client)
            except redis.exceptions.NoScriptError:  # a server that was restarted; what was done is found done
                self._settle_sha = self._record_sha = None
                return run(self._client)
        except redis.RedisError as error:
            raise Unavailable("the reply store", type(error).__name__) from error
