"""An answer as the shared store holds it: a small header, then the packed value as it is.

The header says when the answer was made, from when on it is due for a refresh, when it is dead, and with
which tags, each with the stamp it had then.  A checksum over key, times, tags and value, begun with the
number of tags, tells corrupt bytes, foreign ones, and those that belong to another key.

Units:   wall-clock milliseconds since the Unix epoch for *created*; ages in milliseconds.
Format:  big-endian ``magic u16, version u8, tags u8, crc32 u32, created_ms i64, due_ms u32, dead_ms u32``,
         then tag and stamp (8 bytes each) per tag, then the value.
"""

import struct
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from persona_system.cache.keys import TAG_BYTES

STAMP_BYTES = 8
FORMAT = 1
MAX_TAGS = 255
CLOCK_SLACK_MS = 5_000  # how far in the future an answer may come from: machines' clocks differ

_MAGIC = 0xF10E
_HEAD = struct.Struct(">HBBI")
_TIMES = struct.Struct(">qII")
_CHECKED_FROM = _HEAD.size
_TAGS_FROM = _HEAD.size + _TIMES.size
_PAIR = TAG_BYTES + STAMP_BYTES
_MAX_AGE_MS = 2**32 - 1

Stamped = tuple[tuple[bytes, bytes], ...]
"""Tags, each with the stamp it had when the answer was made."""


class Envelope(NamedTuple):
    """What was stored: *due_ms* and *dead_ms* are ages, counted from *created_ms*."""

    value: bytes
    created_ms: int
    due_ms: int
    dead_ms: int
    stamped: Stamped


def seal(key: bytes, value: bytes, created_ms: int, due_ms: int, dead_ms: int, stamped: Stamped) -> bytes:
    """Return the stored form; raise ValueError beyond 255 tags."""
    if len(stamped) > MAX_TAGS:
        raise ValueError(f"an answer has at most {MAX_TAGS} tags, not {len(stamped)}")
    times = _TIMES.pack(created_ms, min(due_ms, _MAX_AGE_MS), min(dead_ms, _MAX_AGE_MS))
    about = times + _packed(stamped)
    head = _HEAD.pack(_MAGIC, FORMAT, len(stamped), crc32(value, crc32(about, crc32(key, len(stamped)))))
    return b"".join((head, about, value))


def unseal(key: bytes, stored: bytes) -> Envelope | None:
    """Return what was sealed under *key*; None for anything else, whatever it is."""
    if len(stored) < _TAGS_FROM:
        return None
    magic, version, tags, checksum = _HEAD.unpack_from(stored)
    value_from = _TAGS_FROM + tags * _PAIR
    if magic != _MAGIC or version != FORMAT or len(stored) < value_from:
        return None
    if crc32(memoryview(stored)[_CHECKED_FROM:], crc32(key, tags)) != checksum:
        return None
    created_ms, due_ms, dead_ms = _TIMES.unpack_from(stored, _CHECKED_FROM)
    return Envelope(
        stored[value_from:], created_ms, due_ms, dead_ms, _unpacked(stored[_TAGS_FROM:value_from])
    )


# Answers of a few personas share their tags: each combination is packed and unpacked once.


@lru_cache(maxsize=1024)
def _packed(stamped: Stamped) -> bytes:
    return b"".join([half for pair in stamped for half in pair])


@lru_cache(maxsize=1024)
def _unpacked(pairs: bytes) -> Stamped:
    return tuple(
        [
            (pairs[at : at + TAG_BYTES], pairs[at + TAG_BYTES : at + _PAIR])
            for at in range(0, len(pairs), _PAIR)
        ]
    )
