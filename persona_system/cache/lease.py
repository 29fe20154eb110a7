"""Who computes an answer that many want: one of the fleet, while the others wait to be woken.

A lease is a key with an owner's token and half a second to live.  Its owner's process renews it while the
computation lasts, so a killed owner delays the others by half a second and no more.  Whoever finds it
taken subscribes to the answer's channel and asks again, since the answer may have come in between.

Units:   milliseconds where a name ends in ``_ms``.
Source:  the pattern of the Redis documentation, "Distributed locks", for a single instance.
"""

import os
import time
from collections.abc import Mapping, Sequence
from enum import Enum

from persona_system.cache.keys import names_of
from persona_system.cache.redis_store import Command, RedisStore, Watch

LEASE_MS = 500
_TOKEN_BYTES = 8
_RELEASE = "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('UNLINK',KEYS[1]) end return 0"


class Waited(Enum):
    """How a wait without an answer ended; *value* is how the owner says so, too short for an answer."""

    FAILED = b"failed"  # the owner could not compute it, or takes too long
    ABANDONED = b"abandoned"  # its lease is over: the answer may be there, or somebody else may take it


_ENDS: Mapping[bytes, Waited] = {how.value: how for how in Waited}


class Taken(Enum):
    """How an attempt to take a lease ended."""

    BY_ANOTHER = "by another"
    NOTHING_THERE = "nothing there"  # taken, and no answer has come before it was
    LOOK_AGAIN = "look again"  # taken, but there is an answer: the last owner may just have finished


class Leases:
    """The leases of one process over one store."""

    def __init__(self, store: RedisStore, namespace: str) -> None:
        self._store = store
        self._lease, self._refresh = f"{namespace}l:".encode(), f"{namespace}r:".encode()
        self._answers, self._filled = f"{namespace}e:".encode(), f"{namespace}f:"
        self._held: dict[bytes, bytes] = {}

    def take(self, key: bytes) -> Taken:
        """Try to get the right to compute *key*; raise Unavailable.

        A server that takes no leases (out of memory, read-only) leaves the computation to everybody.
        """
        token = os.urandom(_TOKEN_BYTES)
        (name,), (answer_name,) = names_of(self._lease, [key]), names_of(self._answers, [key])
        answer, stored = self._store.run(("SET", name, token, "NX", "PX", LEASE_MS), ("EXISTS", answer_name))
        if answer is None:
            return Taken.BY_ANOTHER
        if not isinstance(answer, Exception):
            self._held[key] = token
        return Taken.NOTHING_THERE if stored == 0 else Taken.LOOK_AGAIN

    def holds(self, key: bytes) -> bool:
        """Tell whether this process has the lease on *key*."""
        return key in self._held

    def fulfil(self, key: bytes, sealed: bytes, dead_ms: int) -> bool:
        """Wake who waits for *key* with the answer, store it, and end the lease, in one round trip.

        Tell whether the store took it.
        """
        (name,) = names_of(self._answers, [key])
        return self._end(key, sealed, ("SET", name, sealed, "PX", dead_ms))

    def release(self, key: bytes, why: Waited) -> bool:
        """End the lease, if it is held, and tell the others why there is no answer; always True."""
        return key not in self._held or self._end(key, why.value)

    def _end(self, key: bytes, payload: bytes, *between: Command) -> bool:
        token = self._held.pop(key, b"")
        (name,) = names_of(self._lease, [key])
        _, *taken, _ = self._store.run(
            ("PUBLISH", f"{self._filled}{key.hex()}", payload), *between, ("EVAL", _RELEASE, 1, name, token)
        )
        return not any(isinstance(answer, Exception) for answer in taken)

    def watch(self, key: bytes) -> Watch:
        """Subscribe to the end of *key*'s computation; the caller closes it."""
        return self._store.watch(f"{self._filled}{key.hex()}")

    def wait(self, key: bytes, watch: Watch, patience_s: float) -> bytes | Waited:
        """Wait for the sealed answer while somebody holds the lease, as was so just now.

        FAILED after *patience_s*: an owner that hangs goes on renewing its lease.  Raises Unavailable.
        """
        (name,) = names_of(self._lease, [key])
        until = time.monotonic() + patience_s
        left_ms = LEASE_MS
        while (patience_s := until - time.monotonic()) > 0:
            payload = watch.next(min(max(left_ms, 0) / 1000, patience_s))
            if payload is not None:
                return _ENDS.get(payload, payload)
            if left_ms <= 0:
                return Waited.ABANDONED
            (answer,) = self._store.run(("PTTL", name))
            left_ms = answer if isinstance(answer, int) else 0
        return Waited.FAILED

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
