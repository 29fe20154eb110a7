"""Template files: how they are read, and what is said of a broken one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.errors import InvalidCatalogue
from persona_system.prompts.template import compile_template, parse_template

GREETING = "# who is greeted\nversion: 3\n\n=== hello\n\nDear {name},\nwelcome.\n\n=== bye\nSo long.\n"
SLOTS: dict[str, tuple[str, ...]] = {"hello": ("name",), "bye": ("name?",)}


def test_a_file_has_a_version_and_parts() -> None:
    file = parse_template(GREETING, "greeting.txt", SLOTS)
    assert file.version == 3
    assert file.parts["hello"].fill({"name": "Min"}) == "Dear Min,\nwelcome."
    assert file.parts["bye"].fill({}) == "So long."


def test_two_braces_write_one() -> None:
    assert compile_template("{{{x}}} and {{x}}", "t").fill({"x": "1"}) == "{1} and {x}"


@given(st.text())
def test_a_value_is_put_in_as_it_is(value: str) -> None:
    assert compile_template("<{x}|{y}>", "t").fill({"x": value, "y": "{x}"}) == f"<{value}|{{x}}>"


def test_a_template_splits_into_lines_with_their_slots() -> None:
    lines = compile_template("one {a}\n\n{b}{c} two", "t").lines()
    assert [line.slots for line in lines] == [("a",), (), ("b", "c")]
    assert "\n".join(line.fill({"a": "1", "b": "2", "c": "3"}) for line in lines) == "one 1\n\n23 two"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("version: 3", "", "has no line `version: N`"),
        ("version: 3", "version: 0", "line 2: 'version: 0' stands before the first part"),
        ("version: 3", "version: three", "line 2: 'version: three' stands before the first part"),
        ("=== hello", "=== hallo", "part hallo is not one of hello, bye"),
        ("=== bye", "=== hello", "line 9: part hello is there twice"),
        ("So long.", "", "part bye is missing or empty"),
        ("=== bye\nSo long.\n", "", "part bye is missing or empty"),
        ("{name}", "you", r"part hello lacks the slot \{name\}"),
        ("{name}", "{name} {user_input}", r"part hello has the unknown slot \{user_input\}"),
        ("{name}", "{name} {", r"part hello: line 1 has a stray brace"),
        ("welcome.", "{ name }", "part hello: line 2 has a stray brace"),
    ],
)
def test_a_broken_file_names_the_part_and_the_line(old: str, new: str, complaint: str) -> None:
    assert old in GREETING
    with pytest.raises(InvalidCatalogue, match=f"^greeting.txt.*{complaint}"):
        parse_template(GREETING.replace(old, new, 1), "greeting.txt", SLOTS)
