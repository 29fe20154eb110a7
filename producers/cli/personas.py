"""``ion personas``: the mentors of the catalogue.  In process; needs no fleet."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from persona_system.models import Persona
from producers.cli.analyze import print_table
from producers.cli.report import CatalogueDir, console, print_json

PERSONAS_EXAMPLES = (
    "ion personas",
    "ion personas lua",
    "ion personas 루아 --json",
)


def personas(
    name: Annotated[str | None, typer.Argument(help="One of them, in any letter case or in Korean.")] = None,
    *,
    catalogue: CatalogueDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the mentors, or one of them."""
    from persona_system.catalogue import load_catalogue  # noqa: PLC0415

    known = load_catalogue(catalogue).personas
    if name is not None:
        persona = known.find(name)
        if as_json:
            print_json(asdict(persona))
        else:
            print_table([(label, _text(value)) for label, value in asdict(persona).items()])
    elif as_json:
        print_json([asdict(persona) for persona in known])
    else:
        _print_all(list(known))


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _print_all(catalogue: list[Persona]) -> None:
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "", "role", "traits", "preferred tones"):
        table.add_column(heading, overflow="fold")
    for persona in catalogue:
        table.add_row(
            persona.name,
            persona.korean_name,
            persona.role,
            ", ".join(persona.traits),
            ", ".join(persona.preferred_tones),
        )
    console().print(table)
