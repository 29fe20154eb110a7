"""``ion cache invalidate`` and ``ion cache clear``: void answers in every process at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from persona_system.cache.answers import ANSWERS
from persona_system.cache.keys import EVERYTHING, tag_ids
from persona_system.errors import InvalidInput, UnknownPersona, shorten
from producers.cli.cache_place import Place
from producers.errors import Unavailable

if TYPE_CHECKING:
    from persona_system.personas import Personas

_FIELD = "TAG"
_KINDS = "persona:NAME, endpoint:NAME, user:ID, session:ID or function:NAME"
_LITERAL_KINDS = ("user", "session", "function")  # nobody knows which ones there are


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
    listening = place.look.listeners()  # before this command is one of them
    if not (cache.wait_until_up(place.patience_s) and cache.invalidate(tag_ids(tuple(tags)))):
        raise Unavailable("the cache store", "it went away; try again, or see `ion up` and ION_CACHE_URL")
    return Told(tuple(tags), listening)


def clear(place: Place) -> Told:
    """Void everything, everywhere."""
    return invalidate(place, (EVERYTHING,))


def expanded(tags: Sequence[str], personas: "Personas") -> tuple[str, ...]:
    """Return *tags* as answers carry them, each once, with patterns over personas and endpoints resolved.

    Raises InvalidInput for one that no answer can carry: it would be invalidated in vain.
    """
    return tuple(dict.fromkeys(name for tag in tags for name in _expanded(tag, personas)))


def _expanded(tag: str, personas: "Personas") -> Iterator[str]:
    kind, colon, value = tag.partition(":")
    if not colon or not value:
        raise InvalidInput(_FIELD, "is not KIND:NAME", f"use {_KINDS}")  # not quoted: it may name a person
    if kind == "persona":
        yield from (f"persona:{name}" for name in _personas(value, personas))
    elif kind == "endpoint":
        yield from (f"endpoint:{name}" for name in _matching(value, ANSWERS, "endpoint"))
    elif kind not in _LITERAL_KINDS:
        raise InvalidInput(
            _FIELD,
            f"{shorten(kind)} is not a kind of tag",
            f"use {_KINDS}, or --as-is for a tag of your own functions",
        )
    elif value == "*":
        raise InvalidInput(
            _FIELD, f"{kind}:* has no list to expand to", "name one, or use endpoint:* or ion cache clear"
        )
    else:
        yield tag


def _personas(value: str, personas: "Personas") -> Sequence[str]:
    if _is_pattern(value):
        return _matching(value, personas.names, "persona")
    try:
        return [personas.find(value).name]
    except UnknownPersona as error:
        raise InvalidInput(_FIELD, error.problem, f"{error.fix}, or --catalogue for your own") from None


def _matching(value: str, known: Sequence[str], kind: str) -> Sequence[str]:
    found = [name for name in known if fnmatchcase(name, value)]
    if not found:
        raise InvalidInput(
            _FIELD, f"{shorten(value)} is not a known {kind}", f"use one of {', '.join(known)}"
        )
    return found


def _is_pattern(value: str) -> bool:
    return any(character in value for character in "*?[")
