"""Choose the persona that answers a message.

Each persona has an affinity to the message's tone, pace and intent; the weighted sum is its score, and
the highest score answers.  Every decision of a matrix (216 for the vocabulary's) is made once, when the
router is built; routing is a look-up.

Units:   scores and confidence have no unit and lie in [0, 1].
Errors:  UnknownResonance, for a tone, pace or intent without a row in the matrix; MalformedKey.
Source:  facts of the system, section 2 (the rule); data/affinity.toml (the values).
"""

from collections.abc import Mapping
from itertools import product
from types import MappingProxyType

from persona_system.affinity import Affinity
from persona_system.errors import MalformedKey, UnknownResonance, shorten
from persona_system.models import Decision
from persona_system.vocabulary import AXES, ResonanceKey, make_key, parse_key

SHOWN_DIGITS = 12  # what binary fractions add to sums of tenths lies beyond
TIE = 1e-9  # scores no further apart than this are equal, and the earlier persona wins
LEAD_SHARE, TOP_SHARE = 0.3, 0.7  # confidence = 0.3 x lead over the runner-up + 0.7 x top score


class Router:
    """The decisions of one affinity matrix.  Holds no other state and never changes."""

    def __init__(self, affinity: Affinity) -> None:
        self.affinity = affinity
        keys = [ResonanceKey(*values) for values in product(*(affinity.rows[axis] for axis in AXES))]
        self.decisions: Mapping[ResonanceKey, Decision] = MappingProxyType(
            {key: _decide(affinity, key) for key in keys}
        )
        # Keyed by text, since hashing a string is cheaper than hashing three fields.  Rows hold no dash,
        # so two keys never share a text.
        self._by_text = {str(key): (key, decision) for key, decision in self.decisions.items()}

    def route(self, key: ResonanceKey) -> Decision:
        """Return who answers *key*; aliases are resolved, anything else raises UnknownResonance."""
        return self.resolve(key)[1]

    def route_text(self, key: str) -> Decision:
        """Return who answers the key written as *key*, as ``parse_key`` reads it."""
        return self.resolve(key)[1]

    def resolve(self, key: ResonanceKey | str) -> tuple[ResonanceKey, Decision]:
        """Return the canonical key that *key* means, and its decision."""
        found = self._by_text.get(str(key))
        return found if found is not None else self._resolve_unusual(key)

    def _resolve_unusual(self, key: ResonanceKey | str) -> tuple[ResonanceKey, Decision]:
        """Resolve an alias, or say which axis of *key* is unknown."""
        if isinstance(key, ResonanceKey):
            canonical = make_key(str(key.tone), str(key.pace), str(key.intent))
        elif isinstance(key, str):
            canonical = parse_key(key)
        else:
            raise MalformedKey(
                "resonance_key",
                f"is {type(key).__name__}, not a resonance key",
                "send tone-pace-intent as text, e.g. calm-medium-learning",
            )
        found = self._by_text.get(str(canonical))
        if found is None:  # a word of the vocabulary that this matrix does not cover
            raise _without_row(self.affinity, canonical)
        return found


def _decide(affinity: Affinity, key: ResonanceKey) -> Decision:
    rows = [(affinity.weights[axis], affinity.rows[axis][getattr(key, axis)]) for axis in AXES]
    scores = {
        persona: sum(weight * row[column] for weight, row in rows)
        for column, persona in enumerate(affinity.personas)
    }
    primary = _leader(scores)
    secondary = _leader({persona: score for persona, score in scores.items() if persona != primary})
    lead = scores[primary] - scores[secondary]
    return Decision(
        primary=primary,
        secondary=secondary,
        confidence=round(LEAD_SHARE * lead + TOP_SHARE * scores[primary], SHOWN_DIGITS),
        # a plain dict, which serialises as it is
        scores={persona: round(score, SHOWN_DIGITS) for persona, score in scores.items()},
        reasoning=_reasoning(affinity, key, scores, primary, secondary),
    )


def _leader(scores: Mapping[str, float]) -> str:
    top = max(scores.values())
    return next(persona for persona, score in scores.items() if top - score <= TIE)


def _reasoning(
    affinity: Affinity, key: ResonanceKey, scores: Mapping[str, float], primary: str, secondary: str
) -> str:
    """Say in one sentence who leads, by how much, and which axis made the most of the difference."""
    lead = scores[primary] - scores[secondary]
    if abs(lead) <= TIE:
        return (
            f"{primary} and {secondary} tie at {scores[primary]:.2f} for {key},"
            f" and {primary} comes first in the matrix."
        )
    first, second = affinity.personas.index(primary), affinity.personas.index(secondary)

    def gain(axis: str) -> float:
        row = affinity.rows[axis][getattr(key, axis)]
        return affinity.weights[axis] * (row[first] - row[second])

    axis = max(AXES, key=lambda axis: round(gain(axis), 9))  # of equal gains, the earlier axis
    row = affinity.rows[axis][getattr(key, axis)]
    return (
        f"{primary} scores {scores[primary]:.2f} and leads {secondary} by {lead:.2f}, mostly through"
        f" the {axis} {getattr(key, axis)} (affinity {row[first]:g} against {row[second]:g})."
    )


def _without_row(affinity: Affinity, key: ResonanceKey) -> UnknownResonance:
    axis = next(axis for axis in AXES if getattr(key, axis) not in affinity.rows[axis])
    return UnknownResonance(
        f"resonance_key.{axis}",
        f"{shorten(getattr(key, axis))} has no row in the {affinity.source}",
        f"use one of {', '.join(affinity.rows[axis])}",
    )
