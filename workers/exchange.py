"""What each process has learnt about follow-ups, handed on to the others.

A stream in the store: every few seconds a process adds what it has learnt since, and reads what others
have added since it read last.  So each row is merged once in every other process, and never in its own.
A process that starts reads what is there, and begins with what the others know.

Keys:    ``ion:cache:follow``, a day after the last entry.
"""

import os
import time
from collections.abc import Callable, Sequence

import msgspec

from persona_system.cache.followups import Learnt
from persona_system.cache.prefetch import Prefetcher
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.redis_store import Command, RedisStore

EVERY_S = 10.0
ROWS = 128  # in one entry, 5 kB
ENTRIES = 500  # kept, about
LIFE_S = 24 * 3600
_AT_ONCE = 100  # entries read at a time; more are read a second later

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Learnt]).decode


class Exchange:
    """Shares what *prefetcher* learns with every process that has one over the same store.

    *tell* is given what this process hands on.
    """

    def __init__(
        self,
        cache: RedisCache,
        prefetcher: Prefetcher,
        tell: Callable[[Sequence[Learnt]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache, self._prefetcher, self._tell, self._clock = cache, prefetcher, tell, clock
        self._name = f"{cache.namespace}follow"
        self._me = os.urandom(8)
        self._read_until = b"-"
        self._next_at = 0.0
        cache.on_tick.append(self._tick)

    def share(self) -> bool:
        """Hand on and read at once; False while the store is away."""
        return self._cache.ask(self._share)

    def _tick(self, store: RedisStore) -> None:
        if self._clock() >= self._next_at:
            self._share(store)

    def _share(self, store: RedisStore) -> None:
        self._next_at = self._clock() + EVERY_S
        rows = self._prefetcher.export(ROWS)
        commands: list[Command] = []
        if rows:
            entry = ("by", self._me, "rows", _encode(rows))
            commands.append(("XADD", self._name, "MAXLEN", "~", ENTRIES, "*", *entry))
            commands.append(("EXPIRE", self._name, LIFE_S))
        since = self._read_until if self._read_until == b"-" else b"(" + self._read_until
        *_, entries = store.run(*commands, ("XRANGE", self._name, since, "+", "COUNT", _AT_ONCE))
        if isinstance(entries, list):
            self._take_in(entries)
        if rows:
            self._tell(rows)

    def _take_in(self, entries: list[tuple[bytes, list[bytes]]]) -> None:
        for _, fields in entries:
            entry = dict(zip(fields[::2], fields[1::2], strict=False))
            if entry.get(b"by") != self._me:
                try:
                    self._prefetcher.merge(_decode(entry.get(b"rows", b"")))
                except msgspec.MsgspecError:
                    continue  # another version's, or nobody's
        if entries:
            self._read_until = entries[-1][0]
        if len(entries) >= _AT_ONCE:
            self._next_at = 0.0
