"""How well each persona suits each tone, pace and intent: the matrix that routing reads.

Units:   affinities and weights have no unit and lie in [0, 1]; the weights add up to 1.
Errors:  InvalidCatalogue, which names the file, the axis, the row and the persona of a wrong value.
Source:  data/affinity.toml (19 rows x 4 personas = 76 values).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from persona_system.catalogue_files import parse_toml
from persona_system.errors import InvalidCatalogue, shorten
from persona_system.vocabulary import AXES

BEST_FOR = 0.8  # a persona is good for the rows where its affinity is at least this
_NAME = re.compile("[A-Z][A-Za-z]{1,30}")
_WEIGHT_SUM_ERROR = 1e-9  # 0.5 + 0.3 + 0.2 is not exactly 1 in every order of adding


@dataclass(frozen=True, slots=True)
class Affinity:
    """A checked matrix.  Rows may be fewer than the vocabulary's; a file must hold them all.

    *source* is how errors call the matrix.
    """

    personas: tuple[str, ...]  # the columns; this order breaks ties
    weights: Mapping[str, float]  # axis -> weight
    rows: Mapping[str, Mapping[str, tuple[float, ...]]]  # axis -> value -> one affinity per persona
    source: str = "affinity matrix"

    def __post_init__(self) -> None:
        self._check_personas()
        self._check_weights()
        for axis in AXES:
            if not self.rows.get(axis):
                raise InvalidCatalogue(self.source, f"has no rows for the {axis}")
            for value, row in self.rows[axis].items():
                self._check_row(axis, value, row)

    def best_for(self, persona: str, axis: str) -> tuple[str, ...]:
        """Return the values of *axis* for which *persona*'s affinity is at least 0.8."""
        column = self.personas.index(persona)
        return tuple(value for value, row in self.rows[axis].items() if row[column] >= BEST_FOR)

    def _check_personas(self) -> None:
        if len(self.personas) < 2:
            raise InvalidCatalogue(self.source, "needs at least two personas, one to lead and one to follow")
        for persona in self.personas:
            if not _NAME.fullmatch(str(persona)):  # names become file names, tags and labels
                raise InvalidCatalogue(
                    self.source,
                    f"personas holds {shorten(persona)}; a name is a capital and up to 30 letters",
                )
        folded = [persona.casefold() for persona in self.personas]
        for position, persona in enumerate(self.personas):
            if persona.casefold() in folded[:position]:
                raise InvalidCatalogue(self.source, f"personas names {persona} twice")

    def _check_weights(self) -> None:
        if set(self.weights) != set(AXES):
            wanted = ", ".join(AXES)
            raise InvalidCatalogue(
                self.source, f"[weights] must hold {wanted} and nothing else, not {', '.join(self.weights)}"
            )
        for axis, weight in self.weights.items():
            if not _is_share(weight):
                raise InvalidCatalogue(self.source, f"[weights] {axis} = {weight!r} is not in [0, 1]")
        total = sum(self.weights.values())
        if abs(total - 1) > _WEIGHT_SUM_ERROR:
            raise InvalidCatalogue(self.source, f"[weights] add up to {total:g}, not to 1")

    def _check_row(self, axis: str, value: str, row: Sequence[float]) -> None:
        if len(row) != len(self.personas):
            raise InvalidCatalogue(
                self.source,
                f"[{axis}] {value} has {len(row)} values for {len(self.personas)} personas"
                f" ({', '.join(self.personas)})",
            )
        for persona, number in zip(self.personas, row, strict=True):
            if not _is_share(number):
                raise InvalidCatalogue(
                    self.source, f"[{axis}] {value}: {persona}'s affinity {shorten(number)} is not in [0, 1]"
                )


def parse_affinity(text: str, source: str = "affinity.toml") -> Affinity:
    """Return the matrix written as TOML, with exactly the vocabulary's rows, in the vocabulary's order."""
    document = parse_toml(text, source)
    for name in document:
        if name not in {"personas", "weights", *AXES}:
            raise InvalidCatalogue(source, f"holds {name!r}, which is no axis")
    personas = document.get("personas")
    if not isinstance(personas, list):
        raise InvalidCatalogue(source, "has no list `personas` to name its columns")
    rows = {axis: _rows(_table(document, axis, source), axis, source) for axis in AXES}
    return Affinity(tuple(personas), _table(document, "weights", source), rows, source)


def _table(document: dict[str, Any], name: str, source: str) -> dict[str, Any]:
    table = document.get(name)
    if not isinstance(table, dict):
        raise InvalidCatalogue(source, f"has no table [{name}]")
    return table


def _rows(table: dict[str, Any], axis: str, source: str) -> dict[str, tuple[float, ...]]:
    for value in table:
        if value not in AXES[axis]:
            raise InvalidCatalogue(source, f"[{axis}] {value} is not a known {axis}")
    for value in AXES[axis]:
        if value not in table:
            raise InvalidCatalogue(source, f"[{axis}] has no row {value}")
        if not isinstance(table[value], list):
            raise InvalidCatalogue(
                source, f"[{axis}] {value} is {shorten(table[value])}, not a row of affinities"
            )
    return {value: tuple(table[value]) for value in AXES[axis]}


def _is_share(number: object) -> bool:
    """Tell whether *number* lies in [0, 1]; NaN, booleans and text do not."""
    return isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= 1
