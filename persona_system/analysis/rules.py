"""The rule-based analyser: rhythm gives the pace, the lexicon of the text's language tone and intent.

How scores become an answer: the class with the highest score wins, ties going to the earlier one of
the vocabulary, and the confidence is ``1 - exp(-margin)`` of its lead over the next.  ``other`` is a
class without a name in the vocabulary (warm or sad words, small talk); where it wins, the answer is
what holds in the absence of evidence, and its confidence stays under UNSURE:

- tone: calm,
- intent: seek_advice for a troubled message (frustrated, anxious, urgent, confused) that asks nothing,
  else learning.

Cost:   a text over 2,000 characters is read by its first and last thousand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import exp

from persona_system.analysis.lexicon import CLASSES, INTENT_CLASSES, OTHER, TONE_CLASSES, Lexicon
from persona_system.analysis.rhythm import decide_pace, measure
from persona_system.analysis.tokens import excerpt, normalise, tokenise
from persona_system.language import detect_language
from persona_system.models import Analysis, Language
from persona_system.vocabulary import TONES, ResonanceKey

UNSURE = 0.2  # the most confidence an answer has that was chosen for want of evidence
DEFAULT_TONE = "calm"
DEFAULT_INTENT = "learning"
TROUBLED = frozenset({"frustrated", "anxious", "urgent", "confused"})


@dataclass(frozen=True, slots=True)
class RuleAnalyser:
    """Analyses a text with one lexicon per language; holds no other state."""

    version: str
    lexicons: Mapping[Language, Lexicon]

    def analyse(self, text: str, *, since_last: timedelta | None = None) -> Analysis:
        """Return what *text* sounds like.

        *since_last* is the time since the same person's last message, where the caller knows it.
        """
        language = detect_language(text)
        text = normalise(excerpt(text))
        tokens = tokenise(text)
        rhythm = measure(text, language)
        pace, pace_confidence = decide_pace(rhythm, since_last)
        scores = self.lexicons[language].scores(tokens)
        tone, tone_confidence, runner_up = _tone(scores[: len(TONE_CLASSES)])
        wants_help = tone in TROUBLED and rhythm.question_ratio == 0
        default = "seek_advice" if wants_help else DEFAULT_INTENT
        intent, intent_confidence = _intent(scores[len(TONE_CLASSES) :], default)
        key = ResonanceKey(tone, pace, intent)
        return Analysis(key, language, tone_confidence, runner_up, pace_confidence, intent_confidence)

    def class_scores(self, text: str) -> dict[str, float]:
        """Return the score of every class, ``other`` included, e.g. ``{"tone.calm": 0.4, ...}``.

        For evaluation, and for a learned model that starts from the rules.  In logits.
        """
        scores = self.lexicons[detect_language(text)].scores(tokenise(normalise(excerpt(text))))
        return dict(zip(CLASSES, scores, strict=True))


def _tone(scores: Sequence[float]) -> tuple[str, float, str]:
    """Return the tone, its confidence and the runner-up among the nine."""
    name, confidence = _winner(TONE_CLASSES, scores)
    ranked = sorted(range(len(TONES)), key=lambda slot: -scores[slot])  # stable: ties keep their order
    if name == OTHER:
        name, confidence = DEFAULT_TONE, min(confidence, UNSURE)
    return name, confidence, next(TONES[slot] for slot in ranked if TONES[slot] != name)


def _intent(scores: Sequence[float], default: str) -> tuple[str, float]:
    name, confidence = _winner(INTENT_CLASSES, scores)
    return (default, min(confidence, UNSURE)) if name == OTHER else (name, confidence)


def _winner(names: Sequence[str], scores: Sequence[float]) -> tuple[str, float]:
    """Return the name with the highest score and how sure its lead makes us, in [0, 1)."""
    first, second = sorted(scores, reverse=True)[:2]
    return names[scores.index(first)], 1 - exp(second - first)
