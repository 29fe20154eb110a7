"""Void answers in every process at once, by tags, or by patterns over the tags that are known.

A pattern is KIND:NAME, e.g. ``persona:Lua``, ``persona:*``, ``endpoint:process``, ``user:42``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from persona_system.cache.answers import ANSWERS
from persona_system.cache.keys import EVERYTHING, tag_ids
from persona_system.context import MAX_ID_CHARS
from persona_system.errors import InvalidInput, Unavailable, UnknownPersona, shorten
from persona_system.text import check_text
from producers.cache.place import Place

if TYPE_CHECKING:
    from persona_system.personas import Personas

_KINDS = "persona:NAME, endpoint:NAME, user:ID, session:ID or function:NAME"
_UNLISTED = {"user": MAX_ID_CHARS, "session": MAX_ID_CHARS, "function": 512}
"""Kinds whose names nobody lists, and how many characters such a name may have."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was invalidated, and how many processes heard of it at once."""

    tags: tuple[str, ...]
    listening: int

    def as_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        return {"tags": list(self.tags), "invalidated": len(self.tags), "listening": self.listening}

    def __str__(self) -> str:
        tags = "1 tag" if len(self.tags) == 1 else f"{len(self.tags):,} tags"
        return f"{tags} invalidated; {told(self.listening)}"


def told(listening: int) -> str:
    """Return that everybody knows."""
    who = {0: "none is", 1: "1 is"}.get(listening, f"{listening:,} are")
    return f"every process has been told ({who} connected)"


def invalidate(place: Place, tags: Sequence[str]) -> Told:
    """Void every answer with one of *tags*, everywhere; raise Unavailable when not everybody was told."""
    cache = place.cache
    listening = place.look.listeners()  # before this process is one of them
    if not (cache.wait_until_up(place.patience_s) and cache.invalidate(tag_ids(tuple(tags)))):
        raise Unavailable("the cache store", "it went away; try again")
    return Told(tuple(tags), listening)


def clear(place: Place) -> Told:
    """Void everything, everywhere."""
    return invalidate(place, (EVERYTHING,))


@dataclass(frozen=True, slots=True)
class Wording:
    """How errors about a pattern speak to whoever gave it; the hints follow what they are told to use."""

    field: str
    clear: str  # what voids everything
    other_kind: str = ""
    other_persona: str = ""


def expanded(patterns: Sequence[str], personas: "Personas", wording: Wording) -> tuple[str, ...]:
    """Return the tags that *patterns* stand for, as answers carry them, each once.

    Raises InvalidInput for one that no answer can carry: it would be invalidated in vain.
    """
    return tuple(dict.fromkeys(tag for one in patterns for tag in _expanded(one, personas, wording)))


def _expanded(pattern: str, personas: "Personas", wording: Wording) -> Iterator[str]:
    field = wording.field
    kind, colon, value = pattern.partition(":")
    if not colon or not value:
        raise InvalidInput(field, "is not KIND:NAME", f"use {_KINDS}")  # not quoted: it may name a person
    if kind == "persona":
        yield from (f"persona:{name}" for name in _personas(value, personas, wording))
    elif kind == "endpoint":
        yield from (f"endpoint:{name}" for name in _matching(value, ANSWERS, kind, field))
    elif kind not in _UNLISTED:
        raise InvalidInput(
            field, f"{shorten(kind)} is not a kind of tag", f"use {_KINDS}{wording.other_kind}"
        )
    elif value == "*":
        raise InvalidInput(
            field, f"{kind}:* has no list to expand to", f"name one, or use endpoint:* or {wording.clear}"
        )
    else:
        check_text(value, _UNLISTED[kind], field)
        yield pattern


def _personas(value: str, personas: "Personas", wording: Wording) -> Sequence[str]:
    if any(character in value for character in "*?["):
        return _matching(value, personas.names, "persona", wording.field)
    try:
        return [personas.find(value).name]
    except UnknownPersona as error:
        raise InvalidInput(wording.field, error.problem, f"{error.fix}{wording.other_persona}") from None


def _matching(value: str, known: Sequence[str], kind: str, field: str) -> Sequence[str]:
    found = [name for name in known if fnmatchcase(name, value)]
    if not found:
        raise InvalidInput(field, f"{shorten(value)} is not a known {kind}", f"use one of {', '.join(known)}")
    return found
