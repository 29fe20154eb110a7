"""Write YAML for people to read: mappings, lists, texts, whole numbers, truth.

Source: yaml.org/spec/1.2.2; what could be read as anything else is quoted.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

Value = str | int | bool | Mapping[str, "Value"] | Sequence["Value"]

_PLAIN = re.compile(r"[0-9]+[a-z]{1,2}|[A-Za-z_/][A-Za-z0-9_./-]*( [A-Za-z0-9_./(-][A-Za-z0-9_./()-]*)*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NOT_TEXT = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def yaml_text(value: Mapping[str, Value]) -> str:
    """Return *value* as a document that ends in a line feed."""
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Mapping[str, Value] | Sequence[Value]) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _entry(f"{_key(key)}:", inner)
    else:
        for inner in value:
            if isinstance(inner, Mapping | Sequence) and not isinstance(inner, str) and inner:
                first, *rest = _lines(inner)
                yield f"- {first}"
                yield from (f"  {line}" for line in rest)
            else:
                yield f"- {_scalar(inner)}"


def _entry(head: str, value: Value) -> Iterator[str]:
    if isinstance(value, str) or not isinstance(value, Mapping | Sequence) or not value:
        if isinstance(value, str) and _in_lines(value):
            yield f"{head} |-"
            yield from (f"  {line}" for line in value.split("\n"))
        else:
            yield f"{head} {_scalar(value)}"
        return
    yield head
    yield from (f"  {line}" for line in _lines(value))


def _in_lines(text: str) -> bool:
    """Whether *text* is several lines that may stand as they are."""
    printable = all(line.isprintable() and line == line.strip() and line for line in text.split("\n"))
    return "\n" in text and printable


def _key(text: str) -> str:
    return text if _KEY.fullmatch(text) and text.lower() not in _NOT_TEXT else _quoted(text)


def _scalar(value: Value) -> str:
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT
        return value if plain else _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{}"
    return "[]" if isinstance(value, Sequence) else str(value)


def _quoted(text: str) -> str:
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    escaped = "".join(char if char.isprintable() else _escape(char) for char in text.replace("\\", "\\\\"))
    return '"' + escaped.replace('"', '\\"') + '"'


def _escape(char: str) -> str:
    return f"\\U{ord(char):08X}"
