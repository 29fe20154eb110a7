"""``ion config``: the settings in effect, and where each comes from."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from producers.cli.collaborators import Section, collaborators
from producers.cli.report import console, print_json

MASK = "***"
_WIDTH_FOR_HELP = 120  # columns; a narrower table would be mostly broken words


CONFIG_EXAMPLES = (
    "ion config",
    "ION_LINGER_MS=5 ion config --json",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One setting of one part of the system."""

    section: str
    name: str
    variable: str
    value: Any
    source: str  # environment, default, or embedded stack
    help: str


def config(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the settings in effect; each is set by an environment variable ION_...  Secrets are masked."""
    rows = [row for section in collaborators(context).sections() for row in rows_of(section)]
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    out = console()
    headings = ["", "variable", "value", "from"]
    if out.width >= _WIDTH_FOR_HELP:
        headings.append("what it is")
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading == "variable")
    before = ""
    for row in rows:
        style = "" if row.source == "default" else "bold"
        cells = (
            Text("" if row.section == before else row.section, "bold"),
            Text(row.variable),
            Text("" if row.value is None else str(row.value), style),
            Text(row.source, style),
            Text(row.help, "dim"),
        )
        table.add_row(*cells[: len(headings)])
        before = row.section
    out.print(table)


def rows_of(section: Section) -> Iterator[Row]:
    """Yield the settings of *section*, with secrets masked."""
    settings = section.settings
    prefix = str(settings.model_config.get("env_prefix", ""))
    for name, field in type(settings).model_fields.items():
        given = name in settings.model_fields_set
        source = "embedded stack" if name in section.assumed else "environment" if given else "default"
        yield Row(
            section.name,
            name,
            (prefix + name).upper(),
            shown(getattr(settings, name)),
            source,
            field.description or "",
        )


def shown(value: Any) -> Any:
    """Return *value* as it may be printed: JSON-like, and of a secret only what is none."""
    from pydantic import SecretStr  # noqa: PLC0415

    from workers.contract.settings import SecretAddress  # noqa: PLC0415

    if isinstance(value, SecretAddress):
        return MASK
    if isinstance(value, SecretStr):
        return masked(value.get_secret_value())
    if isinstance(value, Path):
        return str(value)
    try:
        json.dumps(value)
    except TypeError:
        return str(value)
    return value


def masked(secret: str) -> str:
    """Return a URL without its credentials and query; anything else is masked whole, and nothing is none."""
    if not secret:
        return "(none)"
    try:
        parts = urlsplit(secret)
        host = parts.hostname or ""
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return MASK
    if "://" not in secret or not (host or parts.path):
        return MASK
    credentials = f"{MASK}@" if "@" in parts.netloc else ""
    query = MASK if "password" in parts.query.lower() else parts.query
    return f"{parts.scheme}://{credentials}{host}{port}{parts.path}{'?' if query else ''}{query}"
