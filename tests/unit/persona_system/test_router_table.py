"""All 216 decisions, against a table and a second implementation that share nothing with the router."""

from collections import Counter
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest

from persona_system.catalogue import load_catalogue
from persona_system.router import Router
from persona_system.vocabulary import ALL_KEYS, parse_key

# The winner's initial for each key: a line per tone, a word per pace (burst, flowing, contemplative,
# medium), a letter per intent (seek_advice, problem_solving, learning, validation, planning, reflection).
WINNERS = {
    "frustrated": "LLLLLL LLLLLL LLLLLL LLLLLL",
    "playful": "LLLLLL LLLLLL LLLLLL LLLLNL",
    "anxious": "LLLLLL LLLLLL LLLLLL LLLLNL",
    "analytical": "RRRRRR RRRRRR RRRRRR REERRR",
    "calm": "LRRRRL RRRRRR RRRRRR REERRR",
    "curious": "LEELEL EEERER RRRRRR EEERER",
    "urgent": "NNNNNN NNNNNN NNNNNN NNNNNN",
    "confused": "LLLLNL NNNNNL NNNNNL NNNNNN",
    "collaborative": "NNNNNL NNNNNN NNNNNN NNNNNN",
}
PACES = ("burst", "flowing", "contemplative", "medium")
INTENTS = ("seek_advice", "problem_solving", "learning", "validation", "planning", "reflection")

# The matrix in tenths, Lua Elro Riri Nana, written out a second time.
TENTHS = {
    "frustrated": (10, 4, 6, 5), "playful": (10, 3, 4, 7), "anxious": (10, 5, 6, 7),
    "analytical": (3, 10, 10, 5), "calm": (6, 10, 10, 7), "curious": (7, 10, 9, 8),
    "urgent": (5, 8, 6, 10), "confused": (8, 6, 7, 10), "collaborative": (6, 5, 7, 10),
    "burst": (10, 4, 5, 6), "flowing": (10, 8, 9, 9), "contemplative": (9, 7, 10, 8),
    "medium": (8, 10, 10, 10),
    "seek_advice": (10, 6, 7, 8), "problem_solving": (7, 10, 9, 8), "learning": (6, 10, 9, 7),
    "validation": (8, 7, 10, 9), "planning": (5, 8, 9, 10), "reflection": (10, 4, 7, 6),
}  # fmt: skip
NAMES = ("Lua", "Elro", "Riri", "Nana")
GOLDEN = Path(__file__).with_name("golden") / "routing.tsv"


@pytest.fixture(scope="module")
def router() -> Router:
    return load_catalogue().router


def test_every_key_goes_to_the_persona_of_the_written_table(router: Router) -> None:
    for tone, line in WINNERS.items():
        for pace, letters in zip(PACES, line.split(), strict=True):
            for intent, letter in zip(INTENTS, letters, strict=True):
                assert router.route_text(f"{tone}-{pace}-{intent}").primary[0] == letter, (tone, pace, intent)


def test_every_key_agrees_with_exact_arithmetic(router: Router) -> None:
    """The rule once more, in fractions, where a tie is a tie."""
    for tone, pace, intent in product(WINNERS, PACES, INTENTS):
        scores = [
            Fraction(5 * TENTHS[tone][p] + 3 * TENTHS[pace][p] + 2 * TENTHS[intent][p], 100) for p in range(4)
        ]
        first, second, *_ = sorted(range(4), key=lambda p: (-scores[p], p))
        confidence = Fraction(3, 10) * (scores[first] - scores[second]) + Fraction(7, 10) * scores[first]

        decision = router.route_text(f"{tone}-{pace}-{intent}")
        assert (decision.primary, decision.secondary) == (NAMES[first], NAMES[second])
        assert decision.confidence == pytest.approx(float(confidence), abs=1e-12)
        assert list(decision.scores) == list(NAMES)
        assert list(decision.scores.values()) == pytest.approx([float(score) for score in scores], abs=1e-12)


def test_every_key_agrees_with_the_golden_file(router: Router) -> None:
    rows = [line.split("\t") for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]
    assert [row[0] for row in rows] == [str(key) for key in ALL_KEYS]
    for key, primary, secondary, confidence, scores in rows:
        decision = router.route(parse_key(key))
        assert [decision.primary, decision.secondary] == [primary, secondary]
        assert f"{decision.confidence:.3f}" == confidence
        assert " ".join(f"{score:.2f}" for score in decision.scores.values()) == scores


def test_the_winners_and_the_range_of_confidence_are_known(router: Router) -> None:
    assert len(router.decisions) == 216
    winners = Counter(decision.primary for decision in router.decisions.values())
    assert winners == {"Lua": 83, "Nana": 66, "Riri": 52, "Elro": 15}
    confidences = [decision.confidence for decision in router.decisions.values()]
    assert (round(min(confidences), 3), round(max(confidences), 3)) == (0.546, 0.823)


def test_each_reasoning_is_one_sentence_that_names_the_primary_and_what_decided(router: Router) -> None:
    for key, decision in router.decisions.items():
        reasoning = decision.reasoning
        assert reasoning.startswith(decision.primary)
        assert decision.secondary in reasoning
        assert reasoning.endswith(".")
        assert ". " not in reasoning
        assert " tie " in reasoning or any(word in reasoning for word in (key.tone, key.pace, key.intent))
