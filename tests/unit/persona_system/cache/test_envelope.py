"""What is sealed under a key comes back under that key, and nothing else ever does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.cache.envelope import MAX_TAGS, Envelope, Stamped, seal, unseal
from persona_system.cache.keys import KEY_BYTES

KEYS = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)
EIGHT = st.binary(min_size=8, max_size=8)
STAMPED = st.lists(st.tuples(EIGHT, EIGHT), max_size=5).map(tuple)
AGES = st.integers(0, 2**32 - 1)
TIMES = st.integers(-(2**40), 2**50)


@given(KEYS, st.binary(max_size=300), TIMES, AGES, AGES, STAMPED)
def test_everything_comes_back(
    key: bytes, value: bytes, created_ms: int, due_ms: int, dead_ms: int, stamped: Stamped
) -> None:
    sealed = seal(key, value, created_ms, due_ms, dead_ms, stamped)
    assert unseal(key, sealed) == Envelope(value, created_ms, due_ms, dead_ms, stamped)


@given(KEYS, KEYS, st.binary(max_size=50), STAMPED)
def test_another_key_does_not_open_it(key: bytes, other: bytes, value: bytes, stamped: Stamped) -> None:
    sealed = seal(key, value, 1, 2, 3, stamped)
    assert (unseal(other, sealed) is None) == (key != other)


@given(KEYS, st.binary(max_size=50), STAMPED, st.data())
def test_one_changed_bit_is_noticed(key: bytes, value: bytes, stamped: Stamped, data: st.DataObject) -> None:
    """A CRC finds every single changed bit; the bytes it does not cover are compared."""
    sealed = bytearray(seal(key, value, 1, 2, 3, stamped))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    assert unseal(key, bytes(sealed)) is None


@given(KEYS, st.binary(max_size=80))
def test_foreign_bytes_are_nothing(key: bytes, foreign: bytes) -> None:
    assert unseal(key, foreign) is None
    assert unseal(key, b"\xf1\x0e\x01" + foreign) is None


@given(KEYS, st.binary(max_size=20), STAMPED, st.integers(1, 20))
def test_a_cut_or_lengthened_one_is_nothing(key: bytes, value: bytes, stamped: Stamped, by: int) -> None:
    sealed = seal(key, value, 1, 2, 3, stamped)
    assert unseal(key, sealed[:-by]) is None
    assert unseal(key, sealed + bytes(by)) is None


def test_ages_beyond_49_days_are_cut() -> None:
    sealed = seal(b"k", b"v", 0, 2**40, 2**40, ())
    opened = unseal(b"k", sealed)
    assert opened is not None
    assert (opened.due_ms, opened.dead_ms) == (2**32 - 1, 2**32 - 1)


def test_too_many_tags_are_refused() -> None:
    pair = (b"tagtagta", b"stampsta")
    assert unseal(b"k", seal(b"k", b"v", 0, 1, 2, (pair,) * MAX_TAGS)) is not None
    with pytest.raises(ValueError, match="at most 255 tags"):
        seal(b"k", b"v", 0, 1, 2, (pair,) * (MAX_TAGS + 1))
