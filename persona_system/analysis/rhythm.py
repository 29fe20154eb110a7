"""Hear the pace of a message in how it is written, not in what it says.

``measure`` counts; ``decide_pace`` weighs the counts.  Each pace is a score in [0, 1], and the highest
wins (ties go to the earlier pace of the vocabulary):

- burst: up to five words in all, or three and more sentences of a few words each; exclamation marks
  add to it,
- flowing: long sentences that run on,
- contemplative: pauses, as ellipses and line breaks, or many unhurried sentences,
- medium: always half way, so it wins when none of the others is more than half sure.

Units:   lengths in English words; a Korean word counts as 1.4 of them, the ratio of the same 5,426
         sentences in both languages (GoEmotions and its translation).
Source:  five words separate best, of all limits, what people write within 5 s of their last message
         (66 % of it) from what they write after 20 s (22 %), over 6,577 IRC messages timed to the
         second (Kummerfeld et al., ACL 2019, CC BY 4.0).  The other limits are estimates by hand.
"""

from dataclasses import dataclass
from datetime import timedelta

from persona_system.models import Language
from persona_system.vocabulary import PACES

WORD_LENGTH = {"en": 1.0, "ko": 1.4}  # in English words
QUICK, SLOW = timedelta(seconds=5), timedelta(seconds=20)  # since the person's last message
PAUSE_WEIGHT = 0.2  # what a quick or a slow reply adds to the score of burst, or takes away

_MARKS = ".,!?;:~"
_SENTENCE_ENDS = (". ", "! ", "? ", "\n")


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a text is written.  Ratios and density have no unit; ratios lie in [0, 1]."""

    words: float  # in English words
    sentences: int  # at least 1; a line break ends one, too
    punctuation_density: float  # marks per word
    question_ratio: float  # question marks per sentence, at most 1
    exclamation_ratio: float  # exclamation marks per sentence, at most 1
    pause_ratio: float  # ellipses and line breaks per sentence, at most 1

    @property
    def words_per_sentence(self) -> float:
        """Average sentence length, in English words."""
        return self.words / self.sentences


def measure(text: str, language: Language) -> Rhythm:
    """Count what the pace is decided by, in a normalised text."""
    text = text.strip()
    words = max(1.0, len(text.split()) * WORD_LENGTH[language])
    sentences = 1 + sum(map(text.count, _SENTENCE_ENDS)) - text.count("\n\n")
    return Rhythm(
        words,
        sentences,
        sum(map(text.count, _MARKS)) / words,
        min(1.0, text.count("?") / sentences),
        min(1.0, text.count("!") / sentences),
        min(1.0, (text.count("..") + text.count("\n")) / sentences),
    )


def decide_pace(rhythm: Rhythm, since_last: timedelta | None = None) -> tuple[str, float]:
    """Return the pace and how sure of it we are, in [0, 1].

    *since_last* is the time since the same person's last message, None when it is not known.
    """
    scores = _pace_scores(rhythm, since_last)
    first, second = sorted(scores, reverse=True)[:2]
    return PACES[scores.index(first)], min(1.0, 2 * (first - second))


def _pace_scores(rhythm: Rhythm, since_last: timedelta | None) -> tuple[float, ...]:
    length = rhythm.words_per_sentence
    chopped = _rise(length, 6, 2) if rhythm.sentences > 2 else 0.0
    burst = max(_rise(rhythm.words, 8, 2), chopped) + 0.3 * rhythm.exclamation_ratio
    burst -= 0.6 * rhythm.pause_ratio
    if since_last is not None:
        burst += PAUSE_WEIGHT * ((since_last <= QUICK) - (since_last > SLOW))
    flowing = _rise(length, 10, 24) + 0.1 * (rhythm.punctuation_density < 0.1) - 0.3 * rhythm.pause_ratio
    unhurried = _rise(rhythm.words, 30, 90) * _rise(length, 4, 8) if rhythm.sentences > 3 else 0.0
    contemplative = max(_rise(rhythm.pause_ratio, 0.0, 0.7) * _rise(rhythm.words, 2, 6), unhurried)
    return tuple(min(1.0, max(0.0, score)) for score in (burst, flowing, contemplative, 0.5))


def _rise(value: float, nothing: float, everything: float) -> float:
    """Return 0 at *nothing*, 1 at *everything* and beyond, and a straight line in between."""
    return min(1.0, max(0.0, (value - nothing) / (everything - nothing)))
