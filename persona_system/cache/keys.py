"""What an answer depends on, as keys; and what it can be invalidated by, as tags.

A key is the version of whatever computes (4 bytes), then BLAKE2b-128 over everything the answer depends
on and nothing else.  So another catalogue or analyser has other keys, while the second part, the
request's own, stays the same across versions: popularity is counted by it.

The digest is taken over a MessagePack array, whose lengths keep fields apart: no two requests share an
encoding.  Text is taken as it is, since prompts quote it verbatim; two spellings of one letter are two texts.

Source:  RFC 7693 (BLAKE2).  128 bits: among 10^12 keys, one collision is to be expected in 10^14 runs.
"""

from functools import lru_cache
from hashlib import blake2b

import msgspec

from persona_system.errors import InvalidInput

VERSION_BYTES = 4
REQUEST_BYTES = 16
KEY_BYTES = VERSION_BYTES + REQUEST_BYTES
TAG_BYTES = 8

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def request_id(*parts: object) -> bytes:
    """Return the digest of *parts*, values that MessagePack can hold; raise InvalidInput for others."""
    try:
        return blake2b(_encode(parts), digest_size=REQUEST_BYTES).digest()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(
            "key", f"cannot be made of these values ({type(error).__name__})", "use JSON-like values"
        ) from None


@lru_cache(maxsize=64)
def version_id(version: str) -> bytes:
    """Return the first part of every key whose answers *version* computes."""
    return blake2b(version.encode(), digest_size=VERSION_BYTES).digest()


@lru_cache(maxsize=8192)
def tag_id(tag: str) -> bytes:
    """Return *tag*, e.g. ``persona:Lua``, as it is stored: a digest, since it may name a person.

    Two tags that share 64 bits would be invalidated together, which costs misses and nothing else.
    """
    return blake2b(tag.encode("utf-8", "surrogatepass"), digest_size=TAG_BYTES).digest()


def tag_ids(tags: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return each of *tags* as it is stored."""
    return tuple([tag_id(tag) for tag in tags])


def names_of(keyspace: bytes, keys: list[bytes]) -> list[bytes]:
    """Return how *keys* are called in the shared store: hexadecimal, which people can type and read."""
    return [keyspace + key.hex().encode() for key in keys]


EVERYTHING = "everything"  # a tag of every answer: invalidating it clears the cache
EVERYTHING_ID = tag_id(EVERYTHING)
