"""The affinity matrix is checked when it is read, and a wrong one is named to the value."""

import math
from importlib.resources import files

import pytest

from persona_system.affinity import Affinity, parse_affinity
from persona_system.errors import InvalidCatalogue
from persona_system.vocabulary import AXES

SHIPPED = (files("persona_system") / "data" / "affinity.toml").read_text(encoding="utf-8")


def test_the_shipped_matrix_has_76_values() -> None:
    affinity = parse_affinity(SHIPPED)
    assert affinity.personas == ("Lua", "Elro", "Riri", "Nana")
    assert sum(len(row) for axis in AXES for row in affinity.rows[axis].values()) == 76
    assert dict(affinity.weights) == {"tone": 0.5, "pace": 0.3, "intent": 0.2}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("calm          = [0.6, 1.0, 1.0, 0.7]\n", "", r"\[tone\] has no row calm"),
        ("calm   ", "serene ", r"\[tone\] serene is not a known tone"),
        ("learning        =", "gossip =", r"\[intent\] gossip is not a known intent"),
        ("[0.6, 1.0, 1.0, 0.7]", "[0.6, 1.0, 1.0]", r"\[tone\] calm has 3 values for 4 personas"),
        ("[0.6, 1.0, 1.0, 0.7]", "[0.6, 1.0, 1.0, 0.7, 0.1]", r"\[tone\] calm has 5 values for 4"),
        ("[0.6, 1.0, 1.0, 0.7]", "0.6", r"\[tone\] calm is 0\.6, not a row"),
        (
            "[0.6, 1.0, 1.0, 0.7]",
            "[0.6, 1.1, 1.0, 0.7]",
            r"\[tone\] calm: Elro's affinity 1\.1 is not in \[0, 1\]",
        ),
        ("[0.8, 1.0, 1.0, 1.0]", "[0.8, 1.0, -0.1, 1.0]", r"\[pace\] medium: Riri's affinity -0\.1"),
        ("[0.8, 1.0, 1.0, 1.0]", "[nan, 1.0, 1.0, 1.0]", r"\[pace\] medium: Lua's affinity nan"),
        ("[0.8, 1.0, 1.0, 1.0]", "[0.8, 1.0, 1.0, inf]", r"\[pace\] medium: Nana's affinity inf"),
        ("[0.8, 1.0, 1.0, 1.0]", '["0.8", 1.0, 1.0, 1.0]', r"\[pace\] medium: Lua's affinity '0\.8'"),
        ("[0.8, 1.0, 1.0, 1.0]", "[true, 1.0, 1.0, 1.0]", r"\[pace\] medium: Lua's affinity True"),
        ("tone = 0.5", "tone = 0.6", r"\[weights\] add up to 1\.1, not to 1"),
        ("tone = 0.5", "tone = -0.5", r"\[weights\] tone = -0\.5 is not in \[0, 1\]"),
        ("tone = 0.5", "tone = nan", r"\[weights\] tone = nan"),
        ("intent = 0.2", "", r"\[weights\] must hold tone, pace, intent"),
        ("intent = 0.2", "intent = 0.2\nmood = 0.0", r"\[weights\] must hold tone, pace, intent"),
        ("[weights]", "[tone]\n[weights]", "not valid TOML"),
        ("[pace]", "[speed]", "'speed', which is no axis"),
        (
            '["Lua", "Elro", "Riri", "Nana"]',
            '["Lua", "Elro", "Riri", "lua"]',
            "names lua|personas holds 'lua'",
        ),
        ('["Lua", "Elro", "Riri", "Nana"]', '["Lua", "Elro", "Riri", "LUA"]', "names LUA twice"),
        ('["Lua", "Elro", "Riri", "Nana"]', '["Lua", "Elro", "Riri", "../x"]', "personas holds '../x'"),
        ('["Lua", "Elro", "Riri", "Nana"]', '["Lua"]', "at least two personas"),
        ('personas = ["Lua", "Elro", "Riri", "Nana"]', "", "no list `personas`"),
    ],
)
def test_a_wrong_matrix_names_file_axis_row_and_persona(old: str, new: str, complaint: str) -> None:
    assert SHIPPED.count(old) >= 1
    with pytest.raises(InvalidCatalogue, match=f"^mine/affinity.toml: .*({complaint})"):
        parse_affinity(SHIPPED.replace(old, new, 1), "mine/affinity.toml")


def test_a_row_that_is_there_twice_is_named_with_its_line() -> None:
    twice = SHIPPED.replace("[pace]", "calm = [0.6, 1.0, 1.0, 0.7]\n\n[pace]", 1)
    with pytest.raises(InvalidCatalogue, match=r"at line \d+.*, in \[tone\]: 'calm = "):
        parse_affinity(twice)


def test_text_that_is_not_toml_is_an_invalid_catalogue() -> None:
    with pytest.raises(InvalidCatalogue, match="not valid TOML"):
        parse_affinity("personas = [")


def test_a_matrix_made_in_code_is_checked_as_well() -> None:
    rows = {"tone": {"calm": (1.0, math.nan)}, "pace": {"medium": (1.0, 1.0)}, "intent": {"plan": (1.0, 1.0)}}
    with pytest.raises(InvalidCatalogue, match=r"\[tone\] calm: Elro's affinity nan"):
        Affinity(("Lua", "Elro"), {"tone": 0.5, "pace": 0.3, "intent": 0.2}, rows)


def test_best_for_means_an_affinity_of_at_least_four_fifths() -> None:
    """Nana's tones: curious 0.8, urgent, confused and collaborative 1.0; calm with 0.7 is not among them."""
    affinity = parse_affinity(SHIPPED)
    assert affinity.best_for("Nana", "tone") == ("curious", "urgent", "confused", "collaborative")
