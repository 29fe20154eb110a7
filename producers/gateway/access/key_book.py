"""The API keys that this process knows: a copy of the database's, so that a request costs no query.

A key that is revoked is refused within 2 s: the copy is read anew every 1.5 s, and one reading takes less
than half a second as long as the database is well.  A new key is never refused: one that is not known waits
for the copy to be read, which happens at most once a second for all who wait.  So guessing costs the database
next to nothing, and whoever guesses up to a second.  While the database is away the last copy counts, for 10
minutes; a key's own expiry counts always.
"""

import hmac
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from producers.gateway.caller import Caller
from producers.gateway.snapshot import Rhythm, Snapshot
from producers.roles import is_role, is_subject
from workers.store.api_keys import ApiKey, digest_of, split_key

WHAT = "the list of API keys"
RHYTHM = Rhythm(every_s=1.5, asked_s=1.0, good_s=600.0)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """A key as it is looked up; *expires_s* is a time of the wall clock."""

    digest: bytes
    expires_s: float
    caller: Caller | None


Keys = Mapping[str, Known]
"""Keys by their ids."""

_NOBODY = Known(secrets.token_bytes(32), float("-inf"), None)  # what an unknown id is compared with


class KeyReader:
    """Makes of the keys that *usable* returns, which may block, what a KeyBook looks up."""

    def __init__(self, usable: Callable[[], Iterable[ApiKey]]) -> None:
        self._usable = usable
        self._told: set[str] = set()

    def read(self) -> Keys:
        """Return the keys by their ids, without those that this version has no role or subject for."""
        known = {}
        for key in self._usable():
            if is_role(key.role) and is_subject(key.subject):
                expires_s = float("inf") if key.expires_ms is None else key.expires_ms / 1000
                known[key.id] = Known(key.digest, expires_s, Caller(key.subject, key.role, "key"))
            elif key.id not in self._told:
                self._told.add(key.id)
                logger.warning("the key %s has a role or subject that is not known here: refused", key.id)
        return known


class KeyBook:
    """Looks keys up in the copy *keys*, which belongs to whoever made it."""

    def __init__(self, keys: Snapshot[Keys], now: Callable[[], float] = time.time) -> None:
        self._keys, self._now = keys, now

    async def caller(self, text: str) -> Caller | None:
        """Return who has the key *text*; None: nobody.  Raises Unavailable while no key can be checked."""
        parts = split_key(text)
        if parts is None:
            return None
        key_id, digest = parts[0], digest_of(parts[1])
        found = self._found(key_id, digest)
        if found is None:
            await self._keys.next()
            found = self._found(key_id, digest)
        return found

    def _found(self, key_id: str, digest: bytes) -> Caller | None:
        """Return whose key this is.  An unknown id takes the same way as a wrong secret."""
        known = self._keys.value.get(key_id, _NOBODY)
        same = hmac.compare_digest(digest, known.digest)
        return known.caller if same and self._now() < known.expires_s else None
