"""Keys tell requests apart, and say nothing about them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.cache.keys import KEY_BYTES, TAG_BYTES, names_of, request_id, tag_id, tag_ids, version_id
from persona_system.errors import InvalidInput

PARTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(PARTS, PARTS)
def test_other_parts_have_another_id(one: object, other: object) -> None:
    """``repr`` tells 1 from True, which compare equal; the order of a dict's entries must not matter."""
    same = repr(one) == repr(other) or (type(one) is type(other) is dict and one == other)
    if request_id(one) == request_id(other):
        assert same or one == other
    elif repr(one) == repr(other):
        pytest.fail("equal parts, unequal ids")


@given(st.lists(st.text(max_size=3), max_size=4), st.lists(st.text(max_size=3), max_size=4))
def test_fields_do_not_run_together(one: list[str], other: list[str]) -> None:
    assert (request_id(*one) == request_id(*other)) == (one == other)


def test_a_dict_is_the_same_in_any_order() -> None:
    assert request_id({"a": 1, "b": 2}) == request_id({"b": 2, "a": 1})


def test_two_spellings_of_a_letter_are_two_texts() -> None:
    assert request_id("é") != request_id("e\u0301")


@pytest.mark.parametrize("wrong", [object(), "\ud800", 2**70, {1: 1, "a": 1}])
def test_what_cannot_be_packed_is_refused_without_being_quoted(wrong: object) -> None:
    with pytest.raises(InvalidInput, match="key cannot be made of these values"):
        request_id(wrong)


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(InvalidInput):
        request_id(endless)


def test_sizes() -> None:
    assert len(version_id("1") + request_id("x")) == KEY_BYTES
    assert [len(one) for one in tag_ids(("a", "persona:Lua", ""))] == [TAG_BYTES] * 3


def test_tags_and_versions_are_told_apart_and_stay_what_they_are() -> None:
    """Ids outlive processes: a changed one would empty every cache."""
    assert tag_id("persona:Lua").hex() == TAG_LUA
    assert version_id("1").hex() == VERSION_1
    assert request_id("process", None, "hi").hex() == REQUEST_HI
    assert len({tag_id(f"user:{n}") for n in range(10_000)}) == 10_000


def test_even_a_broken_user_id_makes_a_tag() -> None:
    assert tag_id("user:\ud800") != tag_id("user:\ud801")


def test_names_are_readable() -> None:
    assert names_of(b"e:", [b"\x01\xff", b""]) == [b"e:01ff", b"e:"]


TAG_LUA = "eff233af6542d716"
VERSION_1 = "fc942c07"
REQUEST_HI = "b7eff65ff6b7015152badf46a2b2c9d0"
