"""What counts as a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.errors import InvalidInput
from persona_system.text import MAX_TEXT_CHARS, check_text


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "배포가 또 실패했어요. 어떻게 해야 하죠?",
        "two\nlines\r\nand a\ttab",
        "{user_input} $x %s {{ jinja }} <b>&amp;</b> \\n",
        "👩‍👩‍👧 family",  # joined by zero-width joiners
        "  padded  ",
        "a" * MAX_TEXT_CHARS,
    ],
    ids=range(7),
)
def test_a_message_comes_back_as_it_is(text: str) -> None:
    assert check_text(text) is text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        (" \t\n\u3000 ", "is empty"),
        ("\u200b\u200d\ufeff", "has no visible character"),
        ("\u200b \u200b", "has no visible character"),
        ("a" * (MAX_TEXT_CHARS + 1), "32,769 characters, over the limit of 32,768"),
        ("ab\x00c", r"a control character \(U\+0000\) at position 2"),
        ("\x1b[31mred", r"a control character \(U\+001B\) at position 0"),
        ("c1\x85", r"a control character \(U\+0085\) at position 2"),
        ("del\x7f", r"a control character \(U\+007F\) at position 3"),
        ("lone \ud83d", r"a lone surrogate \(U\+D83D\) at position 5"),
    ],
    ids=range(10),
)
def test_what_cannot_be_read_is_refused_with_its_reason(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=f"^user_input .*{problem}"):
        check_text(text)


@pytest.mark.parametrize("value", [None, 7, b"bytes", ["list"], {"a": 1}])
def test_only_text_is_text(value: object) -> None:
    with pytest.raises(InvalidInput, match=f"is {type(value).__name__}, not text"):
        check_text(value)


def test_the_limit_and_the_field_are_the_callers() -> None:
    with pytest.raises(InvalidInput, match=r"^scenario has 4 characters, over the limit of 3"):
        check_text("four", 3, "scenario")


def refusal(text: str) -> InvalidInput | None:
    try:
        check_text(text)
    except InvalidInput as error:
        return error
    return None


@given(st.text(st.characters(exclude_categories=()), min_size=8))
def test_whatever_is_accepted_can_be_stored_and_whatever_is_refused_is_not_quoted(text: str) -> None:
    """At least 8 characters, since a shorter text may well stand in the message by chance."""
    error = refusal(text)
    if error is None:
        assert text.encode("utf-8").decode("utf-8") == text
        assert "\x00" not in text
    else:
        assert text not in str(error)
