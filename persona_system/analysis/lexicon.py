"""Weigh the words of a message: each lexicon entry found adds its weight to the score of its class.

An entry is one or more patterns separated by spaces: ``word`` is that token, ``짜증*`` a token that
begins so, ``*나요`` one that ends so; ``^`` stands for the beginning of the text.  Several patterns
are a phrase: its tokens follow each other.

How entries add up:
- an entry counts once per text, however often it occurs;
- all entries that match add up, but of the stems (``x*``) that one token begins with, only the
  longest of each class counts; likewise of the endings (``*x``);
- within two tokens after a negator ("not", "안", ...) a single word says nothing, while a phrase
  that begins at or before the negator ("not sure") counts as any other.

Units:  weights and scores are in logits (differences of 1 multiply the odds by e), without a limit.
Speed:  dictionary look-ups only, a few per token; nothing is tried entry by entry.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from persona_system.analysis.tokens import START
from persona_system.vocabulary import INTENTS, TONES

OTHER = "other"  # what none of our tones or intents covers, e.g. gratitude, or small talk
TONE_CLASSES = (*TONES, OTHER)
INTENT_CLASSES = (*INTENTS, OTHER)
CLASSES = (*(f"tone.{name}" for name in TONE_CLASSES), *(f"intent.{name}" for name in INTENT_CLASSES))
# the order of every list of scores; a slot is an index into it

REMEMBERED_TOKENS = 16_384  # about 3 MB
NEGATION_REACH = 2  # tokens after a negator whose own meaning is set aside

Shape = Literal["word", "stem", "ending"]
SHAPES: tuple[Shape, ...] = ("word", "stem", "ending")


@dataclass(slots=True, eq=False)
class Node:
    """One pattern of an entry: what it adds if the entry ends here, and which patterns may follow.

    Filled while the lexicon is built, and only read afterwards.
    """

    adds: dict[int, float] = field(default_factory=dict)  # slot -> weight
    words: dict[str, "Node"] = field(default_factory=dict)
    stems: dict[str, "Node"] = field(default_factory=dict)
    endings: dict[str, "Node"] = field(default_factory=dict)
    leads_on: bool = False  # whether a phrase may go on after this pattern

    def table(self, shape: Shape) -> dict[str, "Node"]:
        """Return the nodes that follow this one by a pattern of *shape*."""
        return self.words if shape == "word" else self.stems if shape == "stem" else self.endings


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The entries of one language, ready to be matched; *root* holds their first patterns."""

    start: tuple[float, ...]  # the score of each slot before anything is read
    negators: frozenset[str]
    root: Node
    stem_lengths: Mapping[str, tuple[int, ...]]  # first character -> lengths to try, longest first
    ending_lengths: Mapping[str, tuple[int, ...]]  # last character -> likewise
    _known_affixes: Callable[[str], tuple[Node | None, Node | None]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Remember the affixes of frequent tokens: most tokens of a text have been seen before."""
        object.__setattr__(self, "_known_affixes", lru_cache(REMEMBERED_TOKENS)(self._affixes))

    def scores(self, tokens: Sequence[str]) -> list[float]:
        """Return the score of every class, in the order of CLASSES, for the tokens of one text."""
        scores = list(self.start)
        for node in self.matches(tokens):
            for slot, weight in node.adds.items():
                scores[slot] += weight
        return scores

    def matches(self, tokens: Sequence[str]) -> dict[Node, None]:
        """Return the ends of the entries found, each once, in the order of the text."""
        words, negators, affixes = self.root.words, self.negators, self._known_affixes
        has_affixes = bool(self.stem_lengths or self.ending_lengths)
        found: dict[Node, None] = {}
        if START in words:
            _follow(words[START], tokens, 0, found)
        speaks_from = 0  # the first token that no negator sets aside
        for at, token in enumerate(tokens):
            word = words.get(token)
            for node in (*affixes(token), word) if has_affixes else (word,):
                if node is not None:
                    if at >= speaks_from:
                        found[node] = None
                    if node.leads_on:
                        _follow(node, tokens, at + 1, found)
            if token in negators:
                speaks_from = at + 1 + NEGATION_REACH
        return found

    def _affixes(self, token: str) -> tuple[Node | None, Node | None]:
        """Return the longest stem that *token* begins with and the longest ending it ends with."""
        stem = ending = None
        for length in self.stem_lengths.get(token[0], ()):  # a slice past the end finds the whole token
            if stem := self.root.stems.get(token[:length]):
                break
        for length in self.ending_lengths.get(token[-1], ()):
            if ending := self.root.endings.get(token[-length:]):
                break
        return stem, ending


def _follow(node: Node, tokens: Sequence[str], at: int, found: dict[Node, None]) -> None:
    """Add to *found* the phrases that go on from *node* with the token at *at*."""
    if at == len(tokens):
        return
    token = tokens[at]
    following = [node.words[token]] if token in node.words else []
    if node.stems:
        following += [after for stem, after in node.stems.items() if token.startswith(stem)]
    if node.endings:
        following += [after for ending, after in node.endings.items() if token.endswith(ending)]
    for after in following:
        found[after] = None
        if after.leads_on:
            _follow(after, tokens, at + 1, found)
