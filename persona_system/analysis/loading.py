"""Read lexicons from data files, one per language, and check every entry.

A file is TOML: ``[start]`` gives a class its score before anything is read (0 if absent),
``[negation]`` lists the negators, and ``[tone.NAME]`` and ``[intent.NAME]`` hold the entries of one
class in themes of one's own naming.  A theme is a text of ``entry weight`` items separated by commas::

    [tone.frustrated]
    anger = "hate 1.9, sick of 2.5"

Besides the tones and intents, ``other`` is a class: see ``persona_system.analysis.rules``.
Errors:  InvalidCatalogue, which names the file, the class and the entry.
"""

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from persona_system.analysis.lexicon import CLASSES, SHAPES, Lexicon, Node, Shape
from persona_system.analysis.tokens import START, normalise, tokenise
from persona_system.errors import InvalidCatalogue, shorten

# A contraction may be written without its apostrophe, unless that makes another word.
_OTHER_WORDS = frozenset({"were", "well", "ill", "id", "shell", "hell", "wed", "shed", "its", "lets"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a lexicon: its patterns, the slot of its class, and its weight in logits."""

    patterns: tuple[tuple[Shape, str], ...]
    slot: int
    weight: float


def read_lexicon(source: str, content: str) -> Lexicon:
    """Return the lexicon written as *content*; raise InvalidCatalogue, naming *source*, if it is wrong."""
    try:
        data = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise InvalidCatalogue(source, f"is not TOML: {error}") from None
    start = _table(source, data, "start")
    negation = _table(source, data, "negation")
    unknown = sorted(set(data) - {"start", "negation", "tone", "intent"})
    if unknown:
        raise InvalidCatalogue(source, f"[{unknown[0]}] is not a known section")
    entries = [entry for axis in ("tone", "intent") for entry in _axis(source, data, axis)]
    if not entries:
        raise InvalidCatalogue(source, "has no entries")
    return build(entries, _start_scores(source, start), _negators(source, negation))


def build(entries: Iterable[Entry], start: tuple[float, ...], negators: frozenset[str]) -> Lexicon:
    """Return the lexicon of *entries*, with the longest-stem rule worked out beforehand."""
    root = Node()
    for entry in entries:
        node = root
        for shape, text in entry.patterns:
            node = node.table(shape).setdefault(text, Node())
        node.adds[entry.slot] = entry.weight
    for text in sorted(root.stems, key=len):  # shorter stems first, so that what they got is passed on
        _inherit(root.stems, text, [text[:end] for end in range(len(text) - 1, 0, -1)])
    for text in sorted(root.endings, key=len):
        _inherit(root.endings, text, [text[begin:] for begin in range(1, len(text))])
    _mark(root)
    return Lexicon(
        start,
        negators,
        root,
        _lengths((text[0], len(text)) for text in root.stems),
        _lengths((text[-1], len(text)) for text in root.endings),
    )


def parse_patterns(entry: str) -> tuple[tuple[Shape, str], ...]:
    """Return the patterns of an entry as it is written; raise ValueError if no token can match it."""
    return tuple(_pattern(part) for part in entry.split())


def _pattern(part: str) -> tuple[Shape, str]:
    if part == START:
        return "word", START
    shape: Shape = "word"
    text = normalise(part)
    if len(text) > 1 and text.endswith("*") and text[:-1].isalnum():
        shape, text = "stem", text[:-1]
    elif len(text) > 1 and text.startswith("*") and text[1:].isalnum():
        shape, text = "ending", text[1:]
    if tokenise(text) != [text]:
        raise ValueError("is not a single word or sign")
    return shape, text


def _axis(source: str, data: Mapping[str, Any], axis: str) -> Iterator[Entry]:
    for name in _table(source, data, axis):
        label = f"{axis}.{name}"
        if label not in CLASSES:
            raise InvalidCatalogue(source, f"[{label}] is not a known {axis}")
        slot = CLASSES.index(label)
        seen: set[str] = set()
        for theme, items in _table(source, data[axis], name, f"{axis}.").items():
            if not isinstance(items, str):
                raise InvalidCatalogue(source, f"[{label}] {theme} is not a text of entries")
            for item in items.replace("\n", " ").split(","):
                if item.strip():
                    yield from _item(source, f"[{label}] {theme}", item.strip(), slot, seen)


def _item(source: str, place: str, item: str, slot: int, seen: set[str]) -> Iterator[Entry]:
    text, _, number = item.rpartition(" ")
    try:
        weight = float(number)
    except ValueError:
        raise InvalidCatalogue(source, f"{place}: {shorten(item)} does not end in a weight") from None
    if not 0 < weight <= 10:
        raise InvalidCatalogue(source, f"{place}: {shorten(item)} has a weight outside (0, 10]")
    if not text.strip():
        raise InvalidCatalogue(source, f"{place}: {shorten(item)} is a weight without an entry")
    if text in seen:
        raise InvalidCatalogue(source, f"{place}: {shorten(text)} is there twice")
    seen.add(text)
    for spelling in _spellings(text):
        try:
            yield Entry(parse_patterns(spelling), slot, weight)
        except ValueError as error:
            raise InvalidCatalogue(source, f"{place}: {shorten(text)} {error}") from None


def _spellings(entry: str) -> Iterator[str]:
    yield entry
    if "'" in entry:
        bare = [word.replace("'", "") if word[0].isalpha() else word for word in entry.split()]
        if not _OTHER_WORDS.intersection(bare):
            yield " ".join(bare)


def _start_scores(source: str, table: Mapping[str, Any]) -> tuple[float, ...]:
    for name, score in table.items():
        if name not in CLASSES:
            raise InvalidCatalogue(source, f"[start] {shorten(name)} is not a known class")
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise InvalidCatalogue(source, f"[start] {name} is {shorten(score)}, not a number")
    return tuple(float(table.get(name, 0.0)) for name in CLASSES)


def _negators(source: str, table: Mapping[str, Any]) -> frozenset[str]:
    words = table.get("words", "")
    if set(table) - {"words"} or not isinstance(words, str):
        raise InvalidCatalogue(source, "[negation] holds one text, words")
    return frozenset(spelling for word in words.split() for spelling in _spellings(word))


def _table(source: str, data: Mapping[str, Any], name: str, parent: str = "") -> Mapping[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise InvalidCatalogue(source, f"{parent}{name} is not a section")
    return table


def _inherit(nodes: Mapping[str, Node], text: str, shorter: Iterable[str]) -> None:
    """Give the node of *text* what the longest of its *shorter* forms has and it has not."""
    parent = next((nodes[form] for form in shorter if form in nodes), None)
    if parent is not None:
        _merge(nodes[text], parent)


def _merge(node: Node, parent: Node) -> None:
    node.adds = {**parent.adds, **node.adds}
    for shape in SHAPES:
        table = node.table(shape)
        for text, after in parent.table(shape).items():
            _merge(table.setdefault(text, Node()), after)


def _mark(node: Node) -> None:
    """Note on every node whether phrases lead on from it."""
    for shape in SHAPES:
        for after in node.table(shape).values():
            node.leads_on = True
            _mark(after)


def _lengths(pairs: Iterable[tuple[str, int]]) -> dict[str, tuple[int, ...]]:
    """Return, for the character that a token begins (or ends) with, which lengths to look up."""
    lengths = defaultdict(set)
    for letter, length in pairs:
        lengths[letter].add(length)
    return {letter: tuple(sorted(found, reverse=True)) for letter, found in lengths.items()}
