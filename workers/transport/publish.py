"""Put a message on its queue and ring the bell, in one write and without a script.

A script would copy a large message twice.  The stamp in front of a message is the server's time, asked now
and then and carried on by our own clock.
"""

from collections.abc import Callable
from time import monotonic

import redis

from workers.transport.scripts import BELL_TOKENS, BELL_TTL_MS, Keys

_ASK_AGAIN_S = 60.0


def publish(client: redis.Redis, keys: Keys, queue: str, item: str, expires_ms: int | None) -> None:
    """Put *item* on the left of *queue*, whose life is *expires_ms* from now if it is limited.

    What counts is the first command: when only the bell failed, as on a server that has just become full,
    the message is published, and somebody will find it within a second.
    """
    key, bell = keys.queue(queue), keys.bell(queue)
    with client.pipeline(transaction=False) as pipe:
        pipe.lpush(key, item)
        if expires_ms is not None:
            pipe.pexpire(key, expires_ms)
        pipe.lpush(bell, 1)
        pipe.ltrim(bell, 0, BELL_TOKENS - 1)
        pipe.pexpire(bell, BELL_TTL_MS)
        published = pipe.execute(raise_on_error=False)[0]
    if isinstance(published, Exception):
        raise published


class ServerClock:
    """Tells the server's time; *ask* returns it as (seconds, microseconds)."""

    def __init__(self, ask: Callable[[], tuple[int, int]], now_s: Callable[[], float] = monotonic) -> None:
        self._ask, self._now_s = ask, now_s
        self._ahead_s, self._until_s = 0.0, float("-inf")

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch; raises what *ask* raises."""
        now_s = self._now_s()
        if now_s >= self._until_s:
            seconds, microseconds = self._ask()
            now_s = self._now_s()
            self._ahead_s, self._until_s = seconds + microseconds / 1e6 - now_s, now_s + _ASK_AGAIN_S
        return int((now_s + self._ahead_s) * 1000)
