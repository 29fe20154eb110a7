"""The routing rule, on matrices small enough to check by hand."""

import pytest

from persona_system.affinity import Affinity
from persona_system.errors import MalformedKey, UnknownResonance
from persona_system.router import Router
from persona_system.vocabulary import ResonanceKey

CALM = ResonanceKey("calm", "medium", "learning")
WEIGHTS = {"tone": 0.5, "pace": 0.3, "intent": 0.2}


def router(personas: tuple[str, ...], *rows: tuple[float, ...]) -> Router:
    """Return a router that knows one key, calm-medium-learning, with the three *rows* given."""
    tone, pace, intent = rows
    return Router(
        Affinity(
            personas,
            WEIGHTS,
            {"tone": {"calm": tone}, "pace": {"medium": pace}, "intent": {"learning": intent}},
        )
    )


def test_the_highest_weighted_score_answers() -> None:
    """0.5x1.0 + 0.3x0.5 + 0.2x0.5 = 0.75 beats 0.60; confidence is 0.3x0.15 + 0.7x0.75."""
    decision = router(("Lua", "Elro"), (1.0, 0.4), (0.5, 1.0), (0.5, 0.5)).route(CALM)

    assert (decision.primary, decision.secondary) == ("Lua", "Elro")
    assert decision.scores == pytest.approx({"Lua": 0.75, "Elro": 0.60})
    assert decision.confidence == pytest.approx(0.57)


def test_scores_keep_the_order_of_the_matrix() -> None:
    decision = router(("Nana", "Elro", "Lua"), (0.1, 0.2, 0.9), (0.1, 0.2, 0.9), (0.1, 0.2, 0.9)).route(CALM)
    assert list(decision.scores) == ["Nana", "Elro", "Lua"]
    assert (decision.primary, decision.secondary) == ("Lua", "Elro")


def test_a_tie_goes_to_the_earlier_persona() -> None:
    """0.1 + 0.2 is a hair above 0.3 in binary, and still ties with it."""
    late = 0.1 + 0.2
    decision = router(("Lua", "Elro"), (0.3, late), (0.3, late), (0.3, late)).route(CALM)
    assert late > 0.3
    assert decision.scores == {"Lua": 0.3, "Elro": 0.3}  # shown without what binary fractions add
    assert (decision.primary, decision.secondary) == ("Lua", "Elro")


def test_a_tie_for_the_second_place_goes_to_the_earlier_persona_too() -> None:
    late = 0.1 + 0.2
    row = (0.3, 0.9, late)
    decision = router(("Lua", "Elro", "Riri"), row, row, row).route(CALM)
    assert (decision.primary, decision.secondary) == ("Elro", "Lua")


def test_a_lead_of_more_than_a_billionth_is_a_lead() -> None:
    row = (0.3, 0.3 + 3e-9)
    assert router(("Lua", "Elro"), row, row, row).route(CALM).primary == "Elro"


def test_the_reasoning_names_the_axis_that_made_the_difference() -> None:
    """Tone gives Lua 0.5x0.1 = 0.05 over Elro, pace 0.3x0.6 = 0.18: the pace decided."""
    decision = router(("Lua", "Elro"), (0.9, 0.8), (1.0, 0.4), (0.5, 0.5)).route(CALM)
    assert decision.reasoning == (
        "Lua scores 0.85 and leads Elro by 0.23, mostly through the pace medium (affinity 1 against 0.4)."
    )


def test_the_reasoning_of_a_tie_says_so() -> None:
    decision = router(("Lua", "Elro"), (0.5, 0.5), (0.5, 0.5), (0.5, 0.5)).route(CALM)
    assert decision.reasoning == (
        "Lua and Elro tie at 0.50 for calm-medium-learning, and Lua comes first in the matrix."
    )


def test_an_alias_and_a_key_object_reach_the_same_decision() -> None:
    rows = {"tone": {"calm": (1.0, 0.4)}, "pace": {"medium": (0.5, 1.0)}, "intent": {"planning": (0.5, 0.5)}}
    small = Router(Affinity(("Lua", "Elro"), WEIGHTS, rows))
    decision = small.route(ResonanceKey("calm", "medium", "planning"))
    assert small.route_text("calm-medium-plan") is decision
    assert small.route(ResonanceKey("calm", "medium", "plan")) is decision
    assert small.resolve("calm-medium-plan")[0] == ResonanceKey("calm", "medium", "planning")


def test_a_word_without_a_row_names_its_field_and_what_to_send() -> None:
    small = router(("Lua", "Elro"), (1.0, 0.4), (0.5, 1.0), (0.5, 0.5))
    with pytest.raises(UnknownResonance) as caught:
        small.route(ResonanceKey("calm", "burst", "learning"))
    assert caught.value.field == "resonance_key.pace"
    assert caught.value.fix == "use one of medium"


@pytest.mark.parametrize("key", [None, 7, b"calm-medium-learning", ("calm", "medium", "learning")])
def test_what_is_no_key_at_all_is_malformed(key: object) -> None:
    small = router(("Lua", "Elro"), (1.0, 0.4), (0.5, 1.0), (0.5, 0.5))
    with pytest.raises(MalformedKey, match=f"is {type(key).__name__}, not a resonance key"):
        small.resolve(key)  # type: ignore[arg-type]


def test_a_key_object_with_a_foreign_value_is_unknown_not_a_crash() -> None:
    small = router(("Lua", "Elro"), (1.0, 0.4), (0.5, 1.0), (0.5, 0.5))
    with pytest.raises(UnknownResonance, match=r"resonance_key\.tone"):
        small.route(ResonanceKey(["calm"], "medium", "learning"))  # type: ignore[arg-type]


def test_more_personas_may_be_routed_to() -> None:
    names = ("Lua", "Elro", "Riri", "Nana", "Sora")
    row = (0.1, 0.2, 0.3, 0.4, 0.5)
    assert router(names, row, row, row).route(CALM).primary == "Sora"


def test_a_route_is_looked_up_not_computed_again() -> None:
    small = router(("Lua", "Elro"), (1.0, 0.4), (0.5, 1.0), (0.5, 0.5))
    assert small.route_text("calm-medium-learning") is small.route(CALM) is small.decisions[CALM]


def test_routers_of_two_matrices_do_not_meet() -> None:
    one = router(("Lua", "Elro"), (1.0, 0.4), (0.5, 1.0), (0.5, 0.5))
    other = router(("Elro", "Lua"), (1.0, 0.4), (0.5, 1.0), (0.5, 0.5))
    assert (one.route(CALM).primary, other.route(CALM).primary) == ("Lua", "Elro")
