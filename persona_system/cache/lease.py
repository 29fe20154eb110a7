"""Who computes an answer that many want: one of the fleet, while the others wait to be woken.

A lease is a key with an owner's token and half a second to live.  Its owner's process renews it while the
computation lasts, so a killed owner delays the others by half a second and no more.  Whoever finds it
taken subscribes to the answer's channel and asks again, since the answer may have come in between.

Units:   milliseconds where a name ends in ``_ms``.
Source:  the pattern of the Redis documentation, "Distributed locks", for a single instance.
"""

import os
from collections.abc import Sequence
from enum import Enum

from persona_system.cache.keys import names_of
from persona_system.cache.redis_store import RedisStore, Subscription
from persona_system.errors import Unavailable

LEASE_MS = 500
_TOKEN_BYTES = 8
_RELEASE = "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('UNLINK',KEYS[1]) end return 0"
_FAILED = b""


class Waited(Enum):
    """How a wait without an answer ended."""

    FAILED = "failed"  # the owner could not compute it
    ABANDONED = "abandoned"  # its lease ran out: somebody else may take it


class Leases:
    """The leases of one process over one store."""

    def __init__(self, store: RedisStore, namespace: str) -> None:
        self._store = store
        self._lease, self._refresh = f"{namespace}l:".encode(), f"{namespace}r:".encode()
        self._filled = f"{namespace}f:"
        self._held: dict[bytes, bytes] = {}

    def take(self, key: bytes) -> bool:
        """Return whether this process now owns the computation of *key*; raise Unavailable."""
        token = os.urandom(_TOKEN_BYTES)
        (name,) = names_of(self._lease, [key])
        (answer,) = self._store.run(("SET", name, token, "NX", "PX", LEASE_MS))
        if isinstance(answer, Exception):
            raise Unavailable("the cache store", str(answer))
        if answer is None:
            return False
        self._held[key] = token
        return True

    def release(self, key: bytes, sealed: bytes | None) -> None:
        """End the lease and wake the others with the *sealed* answer; None: there is none."""
        token = self._held.pop(key, b"")
        (name,) = names_of(self._lease, [key])
        payload = _FAILED if sealed is None else sealed
        self._store.run(
            ("EVAL", _RELEASE, 1, name, token), ("PUBLISH", f"{self._filled}{key.hex()}", payload)
        )

    def watch(self, key: bytes) -> Subscription:
        """Subscribe to the end of *key*'s computation; the caller closes it."""
        return self._store.subscribe(f"{self._filled}{key.hex()}")

    def wait(self, key: bytes, watch: Subscription) -> bytes | Waited:
        """Wait for the sealed answer as long as somebody holds the lease; raise Unavailable."""
        (name,) = names_of(self._lease, [key])
        while True:
            (left_ms,) = self._store.run(("PTTL", name))
            if not isinstance(left_ms, int) or left_ms < 0:
                left_ms = 0
            for _, payload in watch.poll(left_ms / 1000):
                return payload or Waited.FAILED
            if left_ms == 0:
                return Waited.ABANDONED

    def elect(self, keys: Sequence[bytes], lease_ms: int) -> list[bool]:
        """Tell for each of *keys* whether this caller is to refresh it; nobody else is, for *lease_ms*."""
        answers = self._store.run(
            *[("SET", name, b"1", "NX", "PX", lease_ms) for name in names_of(self._refresh, list(keys))]
        )
        return [answer == b"OK" for answer in answers]

    def renew(self) -> None:
        """Prolong what this process holds."""
        held = list(self._held)
        if held:
            self._store.run(*[("PEXPIRE", name, LEASE_MS) for name in names_of(self._lease, held)])
