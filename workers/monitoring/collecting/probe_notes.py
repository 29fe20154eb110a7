"""What those who look at a fleet leave each other on the reply store.

Keys:    workers/contract/names.py; each lapses, but the two counts of others that are read here.
Units:   seconds since the Unix epoch, by the server's clock.
Errors:  redis.RedisError or OSError from every method, when the store is away or full.
"""

from collections.abc import Sequence

import redis

from workers.contract import names
from workers.monitoring.collecting.inbox import users_in
from workers.monitoring.collecting.probing import EVERY_S

LOST_S = 3_600  # how long a worker that is not there any more is told of
_SEEN_TTL_S = 2 * LOST_S
_DUPLICATES_TTL_S = 3 * 24 * 3_600
_WRITTEN_TTL_S, _MOST_WRITTEN = 2 * 3_600, 720  # a note each ten seconds
_EARLY_MS = 500  # ticks come a second apart, give or take
_LATELY_S = 30.0


class ProbeNotes:
    """The notes on the server of *client*, which belongs to whoever opened it."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client

    def due(self, region: str) -> bool:
        """Say whether nobody has looked at *region* for ten seconds; if so, nobody else is told so."""
        lasts_ms = EVERY_S * 1_000 - _EARLY_MS
        return bool(self._client.set(names.probing_key(region), b"1", nx=True, px=lasts_ms))

    def lost(self, there: Sequence[str], now_s: float) -> Sequence[str]:
        """Note which workers are *there*; return those that were within the last hour and are not."""
        key = names.WORKERS_SEEN_KEY
        with self._client.pipeline(transaction=False) as pipe:
            if there:
                pipe.zadd(key, dict.fromkeys(there, now_s))
            pipe.zremrangebyscore(key, "-inf", now_s - LOST_S)
            pipe.expire(key, _SEEN_TTL_S)
            pipe.zrange(key, 0, -1)
            known = pipe.execute()[-1]
        return sorted({name.decode() for name in known}.difference(there))

    def duplicates(self) -> int:
        """Return how many more repeated deliveries there were since the last time; none at the first."""
        present = int(self._client.get(names.DUPLICATES_KEY) or 0)
        key = names.DUPLICATES_SEEN_KEY
        seen = self._client.set(key, present, ex=_DUPLICATES_TTL_S, get=True)
        return max(0, present - int(seen)) if seen is not None else 0

    def users(self, now_s: float) -> int:
        """Return about how many people used the fleet in the last fifteen minutes."""
        return users_in(self._client, now_s)

    def beat_lag_s(self, now_s: float) -> float | None:
        """Return how late the latest tick of the collection was sent; None: there was none lately.

        It is due each second.  The first tick of an entry with a long period tells when a beat was started.
        """
        note = self._client.hget(names.BEAT_SLOTS, names.MONITORING_COLLECT)
        if note is None:
            return None
        begun_ms, sent_ms = (int(moment) for moment in note.split())
        return max(0, sent_ms - begun_ms) / 1000 if abs(now_s - sent_ms / 1000) <= _LATELY_S else None

    def behind_s(self, written: int, replayed: Sequence[int], now_s: float) -> list[float]:
        """Note how much a database has *written*; return how far copies that *replayed* so much are behind.

        That is how long ago it was first noted that there was more: 0 for one that has all, or nearly.
        """
        key = names.WRITTEN_KEY
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zadd(key, {f"{now_s:.3f}": written})
            pipe.zremrangebyrank(key, 0, -_MOST_WRITTEN - 1)
            pipe.expire(key, _WRITTEN_TTL_S)
            for position in replayed:
                pipe.zrangebyscore(key, f"({position}", "+inf", 0, 1)
            first_beyond = pipe.execute()[3:]
        return [max(0.0, now_s - float(found[0])) if found else 0.0 for found in first_beyond]
