"""The mentors: who they are, found by name in any letter case and by their Korean name.

Errors:  UnknownPersona, for a name that is not in the catalogue; InvalidCatalogue, for a wrong file.
Source:  data/personas/*.toml; what a persona is best for is derived from the affinity matrix.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from persona_system.affinity import Affinity
from persona_system.catalogue_files import parse_toml
from persona_system.errors import InvalidCatalogue, UnknownPersona, shorten
from persona_system.models import Persona
from persona_system.vocabulary import TONES

_TEXTS = ("name", "korean_name", "role", "prompt_style")
_LISTS = ("traits", "strengths", "preferred_tones")


class Personas:
    """The personas of a catalogue, in the matrix's order."""

    def __init__(self, personas: Iterable[Persona]) -> None:
        self._all = tuple(personas)
        self._by_name: dict[str, Persona] = {}
        for persona in self._all:
            for name in {_folded(persona.name), _folded(persona.korean_name)}:
                other = self._by_name.setdefault(name, persona)
                if other is not persona:
                    raise InvalidCatalogue(
                        "personas", f"{other.name} and {persona.name} share the name {name}"
                    )

    def __iter__(self) -> Iterator[Persona]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, as ``Response.persona_used`` gives them."""
        return tuple(persona.name for persona in self._all)

    def find(self, name: object, field: str = "persona") -> Persona:
        """Return the persona called *name*; raise UnknownPersona for *field* when there is none."""
        found = self._by_name.get(_folded(name)) if isinstance(name, str) else None
        if found is None:
            raise UnknownPersona(
                field, f"{shorten(name)} is not a known persona", f"use one of {', '.join(self.names)}"
            )
        return found


def parse_persona(text: str, source: str, affinity: Affinity) -> Persona:
    """Return the persona written as TOML in *source*; it must have a column in *affinity*."""
    document = parse_toml(text, source)
    for field in document:
        if field not in _TEXTS + _LISTS:
            raise InvalidCatalogue(source, f"{field} is not a field of a persona")
    texts = {field: _text(document, field, source) for field in _TEXTS}
    lists = {field: _list(document, field, source) for field in _LISTS}
    name = texts["name"]
    if name not in affinity.personas:
        raise InvalidCatalogue(source, f"{name} has no column in the {affinity.source}")
    for tone in lists["preferred_tones"]:
        if tone not in TONES:
            raise InvalidCatalogue(source, f"preferred_tones: {tone} is not a known tone")
    return Persona(
        name=name,
        korean_name=texts["korean_name"],
        role=texts["role"],
        traits=lists["traits"],
        strengths=lists["strengths"],
        prompt_style=texts["prompt_style"],
        preferred_tones=lists["preferred_tones"],
        best_for_tones=affinity.best_for(name, "tone"),
        best_for_paces=affinity.best_for(name, "pace"),
        best_for_intents=affinity.best_for(name, "intent"),
    )


def _text(document: dict[str, Any], field: str, source: str) -> str:
    value = document.get(field)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InvalidCatalogue(source, f"{field} must be one line of text")
    return value


def _list(document: dict[str, Any], field: str, source: str) -> tuple[str, ...]:
    values = document.get(field)
    if not isinstance(values, list) or not values or not all(isinstance(v, str) and v for v in values):
        raise InvalidCatalogue(source, f"{field} must be a list of texts with at least one entry")
    return tuple(values)


def _folded(name: str) -> str:
    """Return *name* as it is compared: in one letter case, and in one of Unicode's spellings of Hangul."""
    return unicodedata.normalize("NFC", name).strip().casefold()
