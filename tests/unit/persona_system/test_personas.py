"""The mentors, found by name."""

import unicodedata
from importlib.resources import files

import pytest

from persona_system.affinity import parse_affinity
from persona_system.catalogue import load_catalogue
from persona_system.errors import InvalidCatalogue, InvalidInput, UnknownPersona
from persona_system.personas import Personas, parse_persona

DATA = files("persona_system") / "data"
LUA = (DATA / "personas" / "lua.toml").read_text(encoding="utf-8")
AFFINITY = parse_affinity((DATA / "affinity.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def personas() -> Personas:
    return load_catalogue().personas


def test_there_are_four_in_the_order_that_breaks_ties(personas: Personas) -> None:
    assert personas.names == ("Lua", "Elro", "Riri", "Nana")
    assert [persona.korean_name for persona in personas] == ["루아", "엘로", "리리", "나나"]
    assert len(personas) == 4


@pytest.mark.parametrize(
    "name", ["Elro", "elro", "ELRO", "eLrO", " elro ", "엘로", unicodedata.normalize("NFD", "엘로")]
)
def test_a_persona_is_found_in_any_letter_case_and_by_its_korean_name(personas: Personas, name: str) -> None:
    assert personas.find(name).name == "Elro"


@pytest.mark.parametrize("name", ["Sora", "", "Lu", "루", None, 7, "\ud800"])
def test_an_unknown_persona_names_the_field_and_the_known_ones(personas: Personas, name: object) -> None:
    with pytest.raises(UnknownPersona) as caught:
        personas.find(name)
    assert isinstance(caught.value, InvalidInput)
    assert (caught.value.field, caught.value.fix) == ("persona", "use one of Lua, Elro, Riri, Nana")
    str(caught.value).encode()


def test_what_a_persona_is_best_for_comes_from_the_matrix(personas: Personas) -> None:
    lua = personas.find("lua")
    assert lua.best_for_tones == ("frustrated", "playful", "anxious", "confused")
    assert lua.best_for_paces == ("burst", "flowing", "contemplative", "medium")
    assert lua.best_for_intents == ("seek_advice", "validation", "reflection")


def test_a_persona_says_who_it_is(personas: Personas) -> None:
    riri = personas.find("Riri")
    assert riri.role == "data analyst"
    assert riri.traits == ("analytical", "balanced", "objective", "data-driven")
    assert riri.strengths == (
        "metric_analysis",
        "quality_verification",
        "data_interpretation",
        "pattern_recognition",
    )
    assert riri.prompt_style == "data -> insight -> recommendation; tables and numbers; neutral"
    assert riri.preferred_tones == ("analytical", "calm", "curious")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('name = "Lua"', 'name = "Sora"', "Sora has no column in the affinity.toml"),
        ('role = "empathetic, creative mentor"', "", "role must be one line of text"),
        ('role = "empathetic, creative mentor"', 'role = ""', "role must be one line of text"),
        ('role = "empathetic, creative mentor"', 'role = "two\\nlines"', "role must be one line of text"),
        ('["empathetic", "creative", "flexible"]', "[]", "traits must be a list"),
        ('["empathetic", "creative", "flexible"]', '"empathetic"', "traits must be a list"),
        ('["empathetic", "creative", "flexible"]', "[1]", "traits must be a list"),
        ('"playful"', '"smug"', "preferred_tones: smug is not a known tone"),
        (
            'korean_name = "루아"',
            'korean_name = "루아"\nbest_for_tones = ["calm"]',
            "best_for_tones is not a field",
        ),
        ('name = "Lua"', 'name = "Lua"\nname = "Lua"', "not valid TOML"),
    ],
)
def test_a_wrong_persona_file_names_its_field(old: str, new: str, complaint: str) -> None:
    assert old in LUA
    with pytest.raises(InvalidCatalogue, match=f"^personas/lua.toml: .*{complaint}"):
        parse_persona(LUA.replace(old, new, 1), "personas/lua.toml", AFFINITY)


def test_two_personas_may_not_share_a_name() -> None:
    lua = parse_persona(LUA, "personas/lua.toml", AFFINITY)
    elro = parse_persona(LUA.replace('"Lua"', '"Elro"'), "personas/elro.toml", AFFINITY)
    with pytest.raises(InvalidCatalogue, match="Lua and Elro share the name 루아"):
        Personas([lua, elro])
