"""Template files: a version and named parts of plain text with ``{slots}``.

A part is compiled once into literals and slots that alternate, and filling joins them.  Values are
never scanned, so braces or markup in what a person wrote cannot reach the template.

Format:  ``# comment`` and ``version: N`` lines, then parts, each begun by a line ``=== name``;
         ``{{`` and ``}}`` write braces.
Errors:  InvalidCatalogue, which names the file, the part and the line or slot.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from persona_system.errors import InvalidCatalogue, shorten

_PART = re.compile(r"=== *(\w+) *")
_VERSION = re.compile(r"version: *([1-9][0-9]{0,5})")
_TOKEN = re.compile(r"\{\{|\}\}|\{(\w+)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Template:
    """Literals and slots in turn: ``pieces[0::2]`` are text, ``pieces[1::2]`` are slot names."""

    pieces: tuple[str, ...]

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots in the order in which they stand, repetitions included."""
        return self.pieces[1::2]

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text with each slot's value put in as it is."""
        filled = list(self.pieces)
        filled[1::2] = [values[slot] for slot in self.pieces[1::2]]
        return "".join(filled)

    def lines(self) -> list["Template"]:
        """Return the template line by line."""
        lines = [[""]]
        for position, piece in enumerate(self.pieces):
            if position % 2:
                lines[-1] += [piece, ""]
            else:
                rest, *more = piece.split("\n")
                lines[-1][-1] += rest
                lines += [[line] for line in more]
        return [Template(tuple(line)) for line in lines]


@dataclass(frozen=True, slots=True)
class TemplateFile:
    """One file: its version, and its parts by name."""

    source: str
    version: int
    parts: Mapping[str, Template]


def parse_template(text: str, source: str, slots: Mapping[str, tuple[str, ...]]) -> TemplateFile:
    """Return the file written as *text*; *slots* gives the parts it must hold, and the slots of each.

    A part must use each of its slots exactly once; one whose name ends in ``?``, any number of times.
    """
    version, raw = _split(text, source)
    for name in raw:
        if name not in slots:
            raise InvalidCatalogue(source, f"part {name} is not one of {', '.join(slots)}")
    parts: dict[str, Template] = {}
    for name, wanted in slots.items():
        if not raw.get(name):
            raise InvalidCatalogue(source, f"part {name} is missing or empty")
        parts[name] = template = compile_template(raw[name], f"{source}: part {name}")
        allowed = {slot.rstrip("?") for slot in wanted}
        for slot in template.slots:
            if slot not in allowed:
                raise InvalidCatalogue(source, f"part {name} has the unknown slot {{{slot}}}")
        for slot in wanted:
            if not slot.endswith("?") and template.slots.count(slot) != 1:
                fault = "has more than once" if slot in template.slots else "lacks"
                raise InvalidCatalogue(source, f"part {name} {fault} the slot {{{slot}}}")
    return TemplateFile(source, version, parts)


def compile_template(text: str, source: str) -> Template:
    """Split *text* into literals and slots; a brace that is neither is an error."""
    pieces, literal, position = list[str](), "", 0
    for token in _TOKEN.finditer(text):
        literal += text[position : token.start()]
        position = token.end()
        if token[1] is not None:
            pieces += [literal, token[1]]
            literal = ""
        elif len(token[0]) == 2:
            literal += token[0][0]
        else:
            line = text.count("\n", 0, token.start()) + 1
            raise InvalidCatalogue(source, f"line {line} has a stray brace; write it twice")
    return Template((*pieces, literal + text[position:]))


def _split(text: str, source: str) -> tuple[int, dict[str, str]]:
    """Return the version, and the text of each part without the blank lines around it."""
    version: int | None = None
    parts: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        part = _PART.fullmatch(line)
        if part is not None:
            if part[1] in parts:
                raise InvalidCatalogue(source, f"line {number}: part {part[1]} is there twice")
            lines = parts[part[1]] = []
        elif lines is not None:
            lines.append(line)
        elif found := _VERSION.fullmatch(line):
            version = int(found[1])
        elif line.strip() and not line.startswith("#"):
            raise InvalidCatalogue(source, f"line {number}: {shorten(line)} stands before the first part")
    if version is None:
        raise InvalidCatalogue(source, "has no line `version: N` before its first part")
    return version, {name: "\n".join(body).strip("\n") for name, body in parts.items()}
