"""Where processes leave what they have measured, until a collector takes it: lists in the reply store.

A report waits in ``REPORTS_KEY``.  A collector moves the oldest ones into ``REPORTS_TAKEN_KEY``, under a
token, and deletes them there when the database has them.  One that dies in between leaves them where the next
one finds them, and whoever takes reports twice gets the same bytes, by which the database knows them.
When too many wait, the oldest go; where no collector was for days, for want of a database, some hundred
are too many.

Keys:    workers/contract/names.py; each of them lapses.
Units:   seconds since the Unix epoch, by the server's clock where a time is returned.
Errors:  redis.RedisError or OSError from every method, when the store is away or full.  ``push`` may be
         repeated with the same report then: a report is taken in once.
"""

import secrets
from dataclasses import dataclass

import msgspec
import redis

from workers.contract import names
from workers.monitoring.recorder import Report

MOST_TAKEN = 500  # reports at once: some 2 MB
MOST_UNCOLLECTED = 500  # that wait where nobody collects
_USERS_WINDOW_MIN = 15
_USERS_TTL_S = 20 * 60

_KEYS = (names.REPORTS_KEY, names.REPORTS_DROPPED_KEY, names.REPORTS_COLLECTOR_KEY)
_encode = msgspec.msgpack.Encoder().encode

# KEYS: waiting, how many had to go, a collector's note.  ARGV: report, most that wait with a collector, and
# without, life in s.
_PUSH = """
local most = tonumber(redis.call('EXISTS', KEYS[3]) == 1 and ARGV[2] or ARGV[3])
local over = redis.call('RPUSH', KEYS[1], ARGV[1]) - most
redis.call('EXPIRE', KEYS[1], ARGV[4])
if over > 0 then
  redis.call('LTRIM', KEYS[1], over, -1)
  redis.call('INCRBY', KEYS[2], over)
  redis.call('EXPIRE', KEYS[2], ARGV[4])
end
"""

# KEYS: waiting, how many had to go, a collector's note, taken.  ARGV: token, most, life in s.  What was taken
# and not deleted comes again, with the token of its first taker.  Returns the time, how many had to go since
# it was last asked, how many still wait, and what is taken.
_TAKE = """#!lua flags=allow-oom
redis.call('SET', KEYS[3], '1', 'EX', ARGV[3])
if redis.call('EXISTS', KEYS[4]) == 0 then
  local moved = math.min(redis.call('LLEN', KEYS[1]), tonumber(ARGV[2]))
  if moved > 0 then redis.call('RPUSH', KEYS[4], ARGV[1]) end
  for _ = 1, moved do redis.call('LMOVE', KEYS[1], KEYS[4], 'LEFT', 'RIGHT') end
  if moved > 0 then redis.call('EXPIRE', KEYS[4], ARGV[3]) end
end
local dropped = redis.call('GET', KEYS[2]) or '0'
redis.call('DEL', KEYS[2])
return {redis.call('TIME'), dropped, redis.call('LLEN', KEYS[1]), redis.call('LRANGE', KEYS[4], 0, -1)}
"""

# KEYS: taken.  ARGV: token.  Another one's token: somebody else has deleted ours, and taken more.
_DELETE = """#!lua flags=allow-oom
if redis.call('LINDEX', KEYS[1], 0) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """Packed *reports*, the oldest first, taken under *token* at *now_s*.

    *waiting* others are still there; *dropped* ones had to go for younger ones since the last look.
    """

    token: bytes
    reports: tuple[bytes, ...]
    waiting: int
    dropped: int
    now_s: float


class ReportInbox:
    """The inbox on the server of *client*, which is closed with it."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client

    def push(self, report: Report) -> None:
        """Leave *report*.  Its *users* do not wait with it: they are counted at once."""
        waits = msgspec.structs.replace(report, users=[]) if report.users else report
        bounds = (names.MOST_REPORTS, MOST_UNCOLLECTED, names.REPORTS_TTL_S)
        with self._client.pipeline(transaction=False) as pipe:
            pipe.eval(_PUSH, len(_KEYS), *_KEYS, _encode(waits), *bounds)
            if report.users:
                key = names.users_key(report.at_ms // 60_000)
                pipe.pfadd(key, *report.users)
                pipe.expire(key, _USERS_TTL_S)
            pipe.execute()

    def take(self) -> Taken:
        """Take the oldest reports that wait, or those that somebody took and did not delete."""
        keys = (*_KEYS, names.REPORTS_TAKEN_KEY)
        token = secrets.token_hex(8)
        (seconds, micros), dropped, waiting, taken = self._client.eval(
            _TAKE, len(keys), *keys, token, MOST_TAKEN, names.REPORTS_TTL_S
        )
        return Taken(
            token=taken[0] if taken else token.encode(),
            reports=tuple(taken[1:]),
            waiting=int(waiting),
            dropped=int(dropped),
            now_s=int(seconds) + int(micros) / 1e6,
        )

    def delete(self, taken: Taken) -> None:
        """Delete what was *taken*, for it is kept elsewhere."""
        self._client.eval(_DELETE, 1, names.REPORTS_TAKEN_KEY, taken.token)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def users_in(client: "redis.Redis", now_s: float) -> int:
    """Return about how many different users reports told of in the last fifteen minutes."""
    minute = int(now_s) // 60
    return int(client.pfcount(*(names.users_key(minute - back) for back in range(_USERS_WINDOW_MIN))))
