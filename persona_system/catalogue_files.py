"""Read the catalogue's data files, so that a broken one is named with its line.

Errors: InvalidCatalogue, for a file that is missing, not UTF-8 or not TOML (duplicated keys included).
"""

import re
import tomllib
from importlib.resources.abc import Traversable
from typing import Any

from persona_system.errors import InvalidCatalogue, shorten

_LINE = re.compile(r"at line (\d+)")


def read_text(file: Traversable, source: str) -> str:
    """Return the text of *file*, which errors call *source*."""
    try:
        return file.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        raise InvalidCatalogue(source, "is missing") from None
    except UnicodeDecodeError as error:
        raise InvalidCatalogue(source, f"is not UTF-8 text (byte {error.start})") from None


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """Return the TOML document *text*; the error names the table and the line that is wrong."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidCatalogue(source, f"is not valid TOML: {error}{_place(text, str(error))}") from None


def _place(text: str, error: str) -> str:
    """Quote the line that *error* points at, and name the table it stands in."""
    found = _LINE.search(error)
    if found is None:
        return ""
    lines = text.splitlines()[: int(found[1])]
    if not lines:
        return ""
    table = next((line.strip() for line in reversed(lines) if line.startswith("[")), "the top level")
    return f", in {table}: {shorten(lines[-1].strip(), 60)}"
