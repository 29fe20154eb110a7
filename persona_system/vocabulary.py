"""The closed vocabulary: 9 tones x 4 paces x 6 intents = 216 resonance keys, and what clients call them.

Source: facts of the system, section 1 (values, order, aliases).
"""

from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

from persona_system.errors import MalformedKey, UnknownResonance, shorten

TONES = (
    "frustrated",
    "playful",
    "anxious",
    "analytical",
    "calm",
    "curious",
    "urgent",
    "confused",
    "collaborative",
)
PACES = ("burst", "flowing", "contemplative", "medium")
INTENTS = ("seek_advice", "problem_solving", "learning", "validation", "planning", "reflection")

AXES = MappingProxyType({"tone": TONES, "pace": PACES, "intent": INTENTS})

INTENT_ALIASES = MappingProxyType(
    {
        "seeking_advice": "seek_advice",
        "validate": "validation",
        "plan": "planning",
        "reflect": "reflection",
    }
)


@dataclass(frozen=True, slots=True)
class ResonanceKey:
    """What a message sounds like; ``str(key)`` is its canonical form, e.g. ``calm-medium-learning``."""

    tone: str
    pace: str
    intent: str

    def __str__(self) -> str:
        return f"{self.tone}-{self.pace}-{self.intent}"


ALL_KEYS = tuple(ResonanceKey(*values) for values in product(TONES, PACES, INTENTS))
_CANONICAL = MappingProxyType({str(key): key for key in ALL_KEYS})


def parse_key(text: str) -> ResonanceKey:
    """Return the key written as *text*, with aliases resolved.

    Everything after the second dash is the intent, so ``calm-medium-problem-solving`` is a valid
    spelling of ``calm-medium-problem_solving``.  Raises MalformedKey when there are fewer than three
    parts, UnknownResonance when a part is outside the vocabulary.
    """
    known = _CANONICAL.get(text)
    if known is not None:
        return known
    parts = text.split("-", 2)
    if len(parts) != 3 or not all(parts):
        raise MalformedKey(
            "resonance_key",
            f"{shorten(text)} is not tone-pace-intent",
            "send three parts joined by dashes, e.g. calm-medium-learning",
        )
    return make_key(*parts)


def make_key(tone: str, pace: str, intent: str) -> ResonanceKey:
    """Return the key of three values; raise UnknownResonance for one outside the vocabulary."""
    intent = intent.replace("-", "_")
    key = ResonanceKey(tone, pace, INTENT_ALIASES.get(intent, intent))
    for axis, values in AXES.items():
        value = getattr(key, axis)
        if value not in values:
            raise UnknownResonance(
                f"resonance_key.{axis}",
                f"{shorten(value)} is not a known {axis}",
                f"use one of {', '.join(values)}",
            )
    return key
