"""The ideas of the product, one small test each.  Read this first."""

import pytest

from persona_system.errors import InvalidInput
from persona_system.pipeline import load_pipeline
from persona_system.vocabulary import ALL_KEYS, parse_key
from producers import PersonaClient, PersonaRequest


def test_a_message_sounds_like_something() -> None:
    """A resonance key says how: its tone, its pace and its intent.  There are 9 x 4 x 6 of them."""
    key = parse_key("frustrated-burst-problem_solving")

    assert (key.tone, key.pace, key.intent) == ("frustrated", "burst", "problem_solving")
    assert len(ALL_KEYS) == 216


def test_the_key_decides_who_answers() -> None:
    """Each mentor has an affinity to each tone, pace and intent; the highest weighted sum wins."""
    router = load_pipeline().catalogue.router

    assert router.route(parse_key("frustrated-burst-seek_advice")).primary == "Lua"
    assert router.route(parse_key("calm-medium-learning")).primary == "Elro"
    assert router.route(parse_key("analytical-contemplative-validation")).primary == "Riri"
    assert router.route(parse_key("urgent-medium-planning")).primary == "Nana"


def test_the_key_can_be_read_from_the_text() -> None:
    analysis = load_pipeline().analyser.analyse("이 함수가 어떻게 동작하는지 궁금해요")

    assert (analysis.key.tone, analysis.language) == ("curious", "ko")


def test_the_mentors_prompt_holds_the_message_word_for_word() -> None:
    response = load_pipeline().process("Why {does} it %s fail?", "calm-medium-learning")

    assert response.persona_used == "Elro"
    assert "Why {does} it %s fail?" in response.content


def test_a_wrong_value_names_its_field_and_the_fix() -> None:
    with pytest.raises(InvalidInput) as caught:
        load_pipeline().process("hi", "smug-medium-learning")

    assert caught.value.field == "resonance_key.tone"
    assert "frustrated" in caught.value.fix


def test_a_client_sends_it_through_the_fleet(client: PersonaClient) -> None:
    assert client.process("Why does it fail?", "calm-medium-learning").persona_used == "Elro"


def test_many_at_once_travel_as_one_message_and_a_bad_one_fails_alone(client: PersonaClient) -> None:
    outcomes = client.process_many([PersonaRequest("one"), PersonaRequest(""), PersonaRequest("three")])

    assert [outcome.status for outcome in outcomes] == ["ok", "rejected", "ok"]
