"""Who leads, and which slots have their tick: kept in Redis or Valkey, decided by its scripts and its clock.

The lead is a lease: one key that expires unless its holder renews it.  Each lead has a number of its own, its
epoch, one higher than the one before.  A slot is claimed by a script that looks at both at once: the claim of
a beat that has lost the lead without knowing it (it was stopped, or the network was) is refused by the
server, and so is a second claim of any slot.

Units:   milliseconds by the server's clock; the trust in the lead, in seconds by the monotonic clock.
Errors:  redis.RedisError when the server is away, full, or still loading.
Source:  River's leader election (riverqueue/river, internal/leadership/doc.go): terms, the server's time as
         the authority, and trust that counts from the start of an attempt and ends before the lease does.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.contract import names
from workers.contract.periodic import Periodic
from workers.transport.servers import open_redis

TTL_MS = 6_000  # how long a leader that died holds the lead
MARGIN_S = 1.0  # what is left of the lease when its holder stops trusting it
_TIMEOUT_S = 2.0

_NOW = """
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
"""

# Renew the lead if it is mine, take it if it is nobody's; return whose it is, the time, and the slots.  It is
# mine also when the answer to my taking it was lost, so what counts is the owner, whom no two beats share.
_HOLD = f"""{_NOW}
local lead = redis.call('GET', KEYS[1])
if not lead then
    lead = redis.call('INCR', KEYS[2]) .. ' ' .. ARGV[1]
    redis.call('SET', KEYS[1], lead, 'PX', ARGV[2])
elseif string.match(lead, '^%d+ (.*)$') == ARGV[1] then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return {{lead, now_ms, redis.call('HGETALL', KEYS[3])}}
"""

# Note a slot, by its beginning, as the entry's latest; return whether it was mine, is new and has begun.
_CLAIM = f"""{_NOW}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local last = string.match(redis.call('HGET', KEYS[2], ARGV[2]) or '', '^%d+')
local begins_ms = tonumber(ARGV[3])
if last and tonumber(last) >= begins_ms then return 0 end
if begins_ms > now_ms then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ' ' .. now_ms)
return 1
"""

_RELEASE = """
local lead = redis.call('GET', KEYS[1])
if lead and string.match(lead, '^%d+ (.*)$') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


@dataclass(frozen=True, slots=True)
class View:
    """What one look saw: who leads in which epoch, the time, and when each entry's latest slot began."""

    epoch: int
    leader: str
    now_ms: int
    last_ms: Mapping[str, int]


class Lease:
    """The lead as one beat sees it.  *owner* names the beat, and no other one ever; connects on first use."""

    def __init__(
        self, url: str, owner: str, ttl_ms: int = TTL_MS, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.owner = owner
        self._ttl_ms, self._monotonic = ttl_ms, monotonic
        self._client = open_redis(
            url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # once, for a connection that went stale; then beat's own next look
            client_name="ion-beat",
        )
        self._hold = self._client.register_script(_HOLD)
        self._claim = self._client.register_script(_CLAIM)
        self._release = self._client.register_script(_RELEASE)
        self._trusted_until = 0.0
        self._lead = b""  # epoch and owner, as the server has it; empty while another one leads

    @property
    def trusted(self) -> bool:
        """Whether this beat leads for all it knows; the server knows better, and ``claim`` asks it."""
        return self._monotonic() < self._trusted_until

    def look(self) -> View:
        """Take or renew the lead if possible, and return what the server knows."""
        begun = self._monotonic()
        lead, now_ms, notes = self._hold(
            keys=[names.BEAT_LEAD, names.BEAT_EPOCH, names.BEAT_SLOTS], args=[self.owner, self._ttl_ms]
        )
        epoch, _, leader = lead.decode().partition(" ")
        mine = leader == self.owner
        self._lead = lead if mine else b""
        self._trusted_until = begun + self._ttl_ms / 1000 - MARGIN_S if mine else 0.0
        slots = dict(zip(notes[::2], notes[1::2], strict=True))
        last_ms = {entry.decode(): int(note.partition(b" ")[0]) for entry, note in slots.items()}
        return View(int(epoch), leader, now_ms, last_ms)

    def claim(self, entry: Periodic, slot: int) -> bool:
        """Say whether the tick of *slot* is this beat's to send; it is nobody else's then, ever."""
        claimed = self._claim(
            keys=[names.BEAT_LEAD, names.BEAT_SLOTS], args=[self._lead, entry.name, slot * entry.period_ms]
        )
        return bool(claimed)

    def release(self) -> None:
        """Give the lead up if it is this beat's, so that another one need not wait for its end."""
        self._trusted_until = 0.0
        self._release(keys=[names.BEAT_LEAD], args=[self.owner])

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
