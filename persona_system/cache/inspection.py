"""Look at what the shared store holds, and change nothing: why an answer would be served, or not.

Asks the store directly, without a process's own tier; so what it says of an answer is what a process
would find that has no copy of its own.

Units:   seconds, ages from when the answer was made; bytes.
Errors:  Unavailable, when the store does not answer.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from persona_system.cache.envelope import CLOCK_SLACK_MS, Envelope, unseal
from persona_system.cache.keys import KEY_BYTES, REQUEST_BYTES, VERSION_BYTES, names_of
from persona_system.cache.redis_cache import NAMESPACE
from persona_system.cache.redis_store import RedisStore
from persona_system.errors import Unavailable

SCAN_S = 1.0  # how long a walk through all keys may take, unless the caller has more patience
_SCANNED = 2_000  # keys in one step of a walk: about a millisecond of the server's time

_decode_list = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.msgpack.Decoder(str).decode


class State(StrEnum):
    """What a look-up makes of what the store holds under a key; the first two are served."""

    FRESH = "fresh"
    DUE = "due"  # served, while one elected caller computes it anew
    VOID = "void"  # a tag was invalidated since
    AGED = "aged"  # its time is up
    AHEAD = "ahead"  # made in the future: clocks differ
    UNREADABLE = "unreadable"  # corrupt, foreign, or another key's
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A tag's stamp as an answer carries it, and as it is *now*; None where there is none."""

    tag: bytes
    stamped: bytes | None
    now: bytes | None

    @property
    def current(self) -> bool:
        """Whether an answer with this stamp is not invalidated."""
        return self.stamped is not None and self.stamped == self.now


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store holds under *key*; the times are None where nothing readable is there."""

    key: bytes
    state: State
    size_bytes: int = 0  # header included
    age_s: float | None = None
    due_in_s: float | None = None
    dead_in_s: float | None = None
    stamps: tuple[Stamp, ...] = ()
    refreshing: bool = False  # somebody was elected within the last seconds to compute it anew

    @property
    def served(self) -> bool:
        """Whether a look-up would hit."""
        return self.state in {State.FRESH, State.DUE}


class Inspection:
    """Questions to a store about the cache in it."""

    def __init__(
        self, store: RedisStore, namespace: str = NAMESPACE, wall: Callable[[], float] = time.time
    ) -> None:
        self._store, self._namespace, self._wall = store, namespace, wall

    def note(self, name: str) -> bytes | None:
        """Return a shared note, such as the version of the present answers."""
        (value,) = self._store.get_many([f"{self._namespace}n:{name}".encode()])
        return value

    def answers(self, keys: Sequence[bytes]) -> list[Kept]:
        """Tell what is kept under each of *keys*."""
        count = len(keys)
        names = self._names("e", keys) + self._names("r", keys)
        found = self._store.get_many(names) if names else []
        now_ms = self._wall() * 1000
        opened = [
            None if one is None else unseal(key, one) for key, one in zip(keys, found[:count], strict=True)
        ]
        tags = list({tag: None for one in opened if one is not None for tag, _ in one.stamped})
        stamps = dict(zip(tags, self.stamps(tags), strict=True))
        return [
            _kept(key, one, envelope, stamps, now_ms, refreshing=refresher is not None)
            for key, one, envelope, refresher in zip(keys, found[:count], opened, found[count:], strict=True)
        ]

    def stamps(self, tags: Sequence[bytes]) -> list[bytes | None]:
        """Return the present stamp of each of *tags*."""
        return self._store.get_many(self._names("t", tags)) if tags else []

    def popular(self) -> list[tuple[bytes, float]]:
        """Return the requests that are asked most with their counts, the most frequent first."""
        (flat,) = self._asked(("ZREVRANGE", f"{self._namespace}popular", 0, -1, "WITHSCORES"))
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return [(one, float(count)) for one, count in pairs if len(one) == REQUEST_BYTES]

    def endpoints(self, requests: Sequence[bytes]) -> list[str | None]:
        """Return which endpoint each request asks, where its recipe is kept; nothing else of the recipe."""
        names = self._names("q", requests)
        return [_endpoint(one) for one in self._store.get_many(names)] if names else []

    def versions_of(self, request: bytes, patience_s: float = SCAN_S) -> tuple[list[bytes], bool]:
        """Return under which versions *request* has an answer, and whether that are all of them."""
        if len(request) != REQUEST_BYTES:
            raise ValueError("a request id has 16 bytes")
        found, complete = self._walk(f"{'?' * 2 * VERSION_BYTES}{request.hex()}", patience_s)
        return sorted({key[:VERSION_BYTES] for key in found}), complete

    def count_answers(self, patience_s: float = SCAN_S) -> tuple[int, bool]:
        """Return how many answers the store holds, and whether that are all of them: it takes a walk."""
        found, complete = self._walk("*", patience_s)
        return len(found), complete

    def server(self) -> dict[str, str]:
        """Return what the server says of itself (INFO); nothing where that is not allowed."""
        (said,) = self._store.run(("INFO",))
        if isinstance(said, Exception):
            return {}
        lines = (line.partition(":") for line in said.decode(errors="replace").splitlines())
        return {name: value for name, colon, value in lines if colon and not name.startswith("#")}

    def listeners(self) -> int:
        """Return how many processes hear the news of what is invalidated."""
        (answer,) = self._asked(("PUBSUB", "NUMSUB", f"{self._namespace}news"))
        return int(answer[1])

    def _names(self, kind: str, ids: Sequence[bytes]) -> list[bytes]:
        return names_of(f"{self._namespace}{kind}:".encode(), list(ids))

    def _asked(self, *commands: tuple[Any, ...]) -> list[Any]:
        answers = self._store.run(*commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise Unavailable("the cache store", str(answer))
        return answers

    def _walk(self, pattern: str, patience_s: float) -> tuple[set[bytes], bool]:
        """Return the keys of answers whose name fits *pattern*, and whether the walk came to its end."""
        prefix = f"{self._namespace}e:"
        until = time.monotonic() + patience_s
        found: set[bytes] = set()
        cursor = b"0"
        while True:
            ((cursor, names),) = self._asked(("SCAN", cursor, "MATCH", prefix + pattern, "COUNT", _SCANNED))
            found.update(key for name in names if (key := _key_of(name, len(prefix))) is not None)
            if cursor == b"0":
                return found, True
            if time.monotonic() >= until:
                return found, False


def _kept(
    key: bytes,
    stored: bytes | None,
    envelope: Envelope | None,
    now: dict[bytes, bytes | None],
    now_ms: float,
    *,
    refreshing: bool,
) -> Kept:
    if stored is None:
        return Kept(key, State.ABSENT, refreshing=refreshing)
    if envelope is None:
        return Kept(key, State.UNREADABLE, len(stored), refreshing=refreshing)
    age_ms = now_ms - envelope.created_ms
    stamps = tuple([Stamp(tag, stamp, now.get(tag)) for tag, stamp in envelope.stamped])
    return Kept(
        key,
        _state(age_ms, envelope, stamps),
        len(stored),
        age_ms / 1000,
        (envelope.due_ms - age_ms) / 1000,
        (envelope.dead_ms - age_ms) / 1000,
        stamps,
        refreshing,
    )


def _state(age_ms: float, envelope: Envelope, stamps: Sequence[Stamp]) -> State:
    """Judge in the order of a look-up: the time first, then the tags."""
    if age_ms < -CLOCK_SLACK_MS:
        return State.AHEAD
    if age_ms >= envelope.dead_ms:
        return State.AGED
    if not all(stamp.current for stamp in stamps):
        return State.VOID
    return State.DUE if age_ms >= envelope.due_ms else State.FRESH


def _key_of(name: bytes, start: int) -> bytes | None:
    """Return the key in an answer's *name*; None where something else is called so."""
    try:
        key = bytes.fromhex(name[start:].decode())
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES else None


def _endpoint(recipe: bytes | None) -> str | None:
    if recipe is None:
        return None
    try:
        return _decode_text(_decode_list(recipe)[0])
    except (msgspec.MsgspecError, IndexError):
        return None
