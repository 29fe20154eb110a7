"""Messages as bytes: MessagePack, compressed when that pays.

The prompts of a batch share most of their words, so Zstandard makes a reply of 500 about twenty times
smaller for 1 us a job; the server copies, logs and keeps that much less.  A short message stays as it is:
a lone job must not wait for a compressor.  The two are told apart by Zstandard's magic number, which no
MessagePack map begins with.

Source: RFC 8878 section 3.1.1 (magic number).
"""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_JOB_BYTES = 1024 * 1024
MAX_MESSAGE_BYTES = 8 * 1024 * 1024  # of packed jobs in one batch
MAX_MESSAGE_JOBS = 5_000  # their prompts, of some 3 kB each, come back as one reply
MAX_UNPACKED_BYTES = 64 * 1024 * 1024  # of a batch or a reply; the limits above keep well below it

_MAGIC = b"\x28\xb5\x2f\xfd"
_WORTH_IT_BYTES = 8_192
_LEVEL = -1  # negative levels trade size for speed; 1 takes a fifth longer and saves a tenth


class Unreadable(ValueError):
    """The bytes are no compressed message, or unpack to more than MAX_UNPACKED_BYTES."""


def compress(packed: bytes) -> bytes:
    """Return *packed*, smaller if it is long enough to be worth the time."""
    return packed if len(packed) < _WORTH_IT_BYTES else zstd.compress(packed, _LEVEL)


def decompress(data: bytes) -> bytes:
    """Return what was given to ``compress``; raise Unreadable for anything else that looks like it."""
    if not data.startswith(_MAGIC):
        return data
    unpacker = zstd.ZstdDecompressor()
    try:
        packed = unpacker.decompress(data, MAX_UNPACKED_BYTES)
    except zstd.ZstdError as error:
        raise Unreadable(f"not a Zstandard frame ({error})") from None
    if not unpacker.eof:
        raise Unreadable(f"cut short, or over {MAX_UNPACKED_BYTES:,} bytes when unpacked")
    return packed
