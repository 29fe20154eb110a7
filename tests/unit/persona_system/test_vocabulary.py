"""Resonance keys: their canonical form, and the spellings that clients really send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.errors import InvalidInput, MalformedKey, UnknownResonance
from persona_system.vocabulary import ALL_KEYS, ResonanceKey, make_key, parse_key


def test_nine_tones_four_paces_and_six_intents_make_216_keys() -> None:
    assert len(ALL_KEYS) == len({str(key) for key in ALL_KEYS}) == 9 * 4 * 6


def test_every_key_is_read_back_from_its_own_text() -> None:
    assert [parse_key(str(key)) for key in ALL_KEYS] == list(ALL_KEYS)


@pytest.mark.parametrize(
    ("written", "intent"),
    [
        ("calm-medium-problem_solving", "problem_solving"),
        ("calm-medium-problem-solving", "problem_solving"),  # all after the second dash is the intent
        ("calm-medium-seek-advice", "seek_advice"),
        ("calm-medium-seeking_advice", "seek_advice"),
        ("calm-medium-seeking-advice", "seek_advice"),
        ("calm-medium-validate", "validation"),
        ("calm-medium-plan", "planning"),
        ("calm-medium-reflect", "reflection"),
    ],
)
def test_an_intent_may_be_written_in_several_ways(written: str, intent: str) -> None:
    assert parse_key(written) == ResonanceKey("calm", "medium", intent)


@pytest.mark.parametrize(
    "written", ["", "-", "calm", "calm-medium", "calm-medium-", "-medium-learning", "--"]
)
def test_a_key_with_fewer_than_three_parts_is_malformed(written: str) -> None:
    with pytest.raises(MalformedKey, match="resonance_key"):
        parse_key(written)


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ("smug-medium-learning", "resonance_key.tone"),
        ("calm-glacial-learning", "resonance_key.pace"),
        ("calm-medium-gossip", "resonance_key.intent"),
        ("Calm-medium-learning", "resonance_key.tone"),  # strict: no letter case but the vocabulary's
        (" calm-medium-learning", "resonance_key.tone"),
        ("calm-medium-learning\n", "resonance_key.intent"),
        ("calm_medium-medium-learning", "resonance_key.tone"),
        ("calm-medium-learning-planning", "resonance_key.intent"),
    ],
)
def test_a_word_outside_the_vocabulary_is_named_with_what_to_send(written: str, field: str) -> None:
    with pytest.raises(UnknownResonance) as caught:
        parse_key(written)
    assert caught.value.field == field
    assert caught.value.fix.startswith("use one of ")


def test_an_alias_is_an_intent_and_nothing_else() -> None:
    with pytest.raises(UnknownResonance):
        make_key("plan", "medium", "learning")


def test_a_key_error_is_rebuilt_in_another_process_from_its_arguments() -> None:
    with pytest.raises(UnknownResonance) as caught:
        parse_key("smug-medium-learning")
    rebuilt = type(caught.value)(*caught.value.args)
    assert (rebuilt.field, rebuilt.problem, rebuilt.fix, str(rebuilt)) == (
        caught.value.field,
        caught.value.problem,
        caught.value.fix,
        str(caught.value),
    )


def read(text: str) -> ResonanceKey | InvalidInput:
    try:
        return parse_key(text)
    except InvalidInput as error:
        return error


@given(st.text() | st.lists(st.sampled_from(["calm", "medium", "plan", "learning", "", "x"])).map("-".join))
def test_any_text_is_a_key_of_the_vocabulary_or_an_input_error(text: str) -> None:
    result = read(text)
    if isinstance(result, InvalidInput):
        assert result.field.startswith("resonance_key")
        assert len(str(result)) < 300
    else:
        assert result in ALL_KEYS
