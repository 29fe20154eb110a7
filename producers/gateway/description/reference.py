"""docs/api.md: the OpenAPI document as a page to read, with the guide before it and programs to copy.

`make api-docs` writes it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from persona_system.vocabulary import INTENTS, PACES, TONES
from producers.gateway.description.described import ref
from producers.gateway.description.fields import INTENT_SPELLINGS
from producers.gateway.description.openapi import TAGS, guide

Json = dict[str, Any]

_LONGEST_SHOWN = 120  # characters of a text in an example; prompts are longer
_WIDTH = 100  # characters of a line of an example
_LANGUAGES = {"sh": ("curl", "sh"), "py": ("Python", "python"), "mjs": ("JavaScript", "js")}
_VOCABULARY = ((TONES, "a tone"), (PACES, "a pace"), (INTENTS, "an intent"), (INTENT_SPELLINGS, "an intent"))
_COMMON = ("X-Request-ID", "X-API-Version")

_HEAD = """# The HTTP API

A running gateway serves this, too: `/docs` to try things out, `/redoc` to read, `/openapi.json` for programs.
`ion up` starts one on http://127.0.0.1:8000 beside its fleet, `ion gateway` one in front of any fleet.

<!-- Written by `make api-docs`, from producers/gateway/ and docs/examples/. -->
"""


def reference(document: Json, programs: Mapping[str, str]) -> str:
    """Return the page on *document*; *programs* are the files of docs/examples, by name, as text."""
    chapters = [
        _HEAD,
        re.sub(r"^#", "##", guide(), flags=re.MULTILINE),
        "## Programs to copy\n",
        *_programs(programs),
        "## Addresses\n",
        "Each also takes `X-Request-ID` and `X-API-Version`; each response has both.\n",
    ]
    for name, told in TAGS.items():
        chapters.append(f"### {name}: {told}\n" if "\n" not in told else f"### {name}\n\n{told}")
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if operation["tags"] == [name]:
                    chapters += _operation(f"{method.upper()} {path}", operation, document)
    return "\n".join(chapter for chapter in chapters if chapter)


def _programs(programs: Mapping[str, str]) -> Iterator[str]:
    """Yield each topic with its program in every language; the first line of a program says what it does."""
    yield (
        "They read the gateway's address from `ION_URL` and the key from `ION_API_KEY`. "
        "`docs/examples/` has them as files.\n"
    )
    topics = dict.fromkeys(name.rpartition(".")[0] for name in programs)
    for topic in topics:
        yield f"### {topic.partition('-')[2].replace('-', ' ').capitalize()}\n"
        for ending, (language, fence) in _LANGUAGES.items():
            text = programs[f"{topic}.{ending}"].removeprefix("#!/usr/bin/env bash\n")
            yield f"{language}:\n\n```{fence}\n{text}```\n"


def _operation(title: str, operation: Json, document: Json) -> Iterator[str]:
    yield f"#### {title}\n"
    yield f"{operation['summary']}.{' **Deprecated.**' * operation.get('deprecated', False)}\n"
    if operation.get("description"):
        yield f"{operation['description']}\n"
    given = [_resolved(one, document) for one in operation["parameters"]]
    yield _table(
        ("parameter", "in", "what it is"),
        (
            (
                f"`{one['name']}`{'' if one['required'] else ', optional'}",
                one["in"],
                one.get("description", ""),
            )
            for one in given
            if one["name"] not in _COMMON
        ),
    )
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        yield "Request:\n"
        yield _fields_table(content["schema"], document)
        yield from _shown_examples(content)
    for status, response in operation["responses"].items():
        if not _is_refusal(response):
            yield from _answer(status, response, document)
    yield f"Errors: {', '.join(_codes(operation, document))}\n"


def _answer(status: str, response: Json, document: Json) -> Iterator[str]:
    yield f"Response {status}: {response['description']}\n"
    content = response.get("content", {})
    if "application/json" in content:
        if status == "200":
            yield _fields_table(content["application/json"]["schema"], document)
        yield from _shown_examples(content["application/json"])
    for kind in content.keys() - {"application/json"}:
        events = re.sub(r"^(data: .{80}).*$", r"\1…", content[kind]["example"], flags=re.MULTILINE)
        yield f"```text\n{events.strip()}\n```\n"


def _is_refusal(response: Json) -> bool:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    return bool(schema == ref("schemas", "ErrorResponse"))


def _codes(operation: Json, document: Json) -> Iterator[str]:
    for status, response in operation["responses"].items():
        if _is_refusal(response):
            examples = response["content"]["application/json"]["examples"].values()
            codes = (_resolved(one, document)["value"]["error"]["code"] for one in examples)
            yield f"{status} {', '.join(f'`{code}`' for code in codes)}"


def _shown_examples(content: Json) -> Iterator[str]:
    shown: list[Any] = []
    for example in content.get("examples", {}).values():
        if example["value"] not in shown:
            yield f"{example['summary']}:\n\n```json\n{_pretty(_shortened(example['value']))}\n```\n"
            shown.append(example["value"])


def _pretty(value: Any, indent: str = "") -> str:
    """Return *value* as JSON, with what fits into a line on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= _WIDTH or not isinstance(value, dict | list):
        return line
    inner = indent + "  "
    if isinstance(value, list):
        parts, ends = [_pretty(each, inner) for each in value], "[]"
    else:
        parts, ends = [f'"{name}": {_pretty(each, inner)}' for name, each in value.items()], "{}"
    return f"{ends[0]}\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}{ends[1]}"


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_shortened(each) for each in value]
    if isinstance(value, str) and len(value) > _LONGEST_SHOWN:
        return f"{value[:_LONGEST_SHOWN]}…"
    return value


def _fields_table(schema: Json, document: Json) -> str:
    return _table(("field", "type", "what it is"), _fields(schema, document, ""))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [
        "| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in row) + " |" for row in rows
    ]
    if not lines:
        return ""
    names = list(head)
    return "\n".join([f"| {' | '.join(names)} |", "|---" * len(names) + "|", *lines, ""])


def _fields(schema: Json, document: Json, prefix: str) -> Iterator[tuple[str, str, str]]:
    """Yield a row for each field below *schema*, those of parts of parts included."""
    schema = _resolved(schema, document)
    for name, given in schema.get("properties", {}).items():
        field, nullable = _without_null(given, document)
        optional = "" if name in schema.get("required", ()) else ", optional"
        told = given.get("description", "") or field.get("description", "")
        kind = _type(field, document) + " or null" * nullable
        yield f"`{prefix}{name}`{optional}", kind, told
        inner, below = field, f"{prefix}{name}."
        if field.get("type") == "array":
            inner, below = _resolved(field.get("items", {}), document), f"{prefix}{name}[]."
        elif field.get("type") == "object" and isinstance(field.get("additionalProperties"), dict):
            inner, below = _resolved(field["additionalProperties"], document), f"{prefix}{name}.*."
        yield from _fields(inner, document, below)


def _type(schema: Json, document: Json) -> str:
    """Return in a few words what *schema* takes."""
    schema = _resolved(schema, document)
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    for names, words in _VOCABULARY:
        if schema.get("enum") == [*names]:
            return words
    if "enum" in schema:
        return ", ".join(f"`{name}`" for name in schema["enum"])
    if "anyOf" in schema:
        kinds = (
            one.get("$ref", "").rpartition("/")[2] or one.get("type", "anything") for one in schema["anyOf"]
        )
        return " or ".join(dict.fromkeys(kinds))
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}), document)}{_bounds(schema, 'Items')}"
    if schema.get("format"):
        return f"{schema['type']} ({schema['format']})"
    return f"{schema.get('type', 'anything')}{_bounds(schema, 'Length')}{_range(schema)}"


def _bounds(schema: Json, what: str) -> str:
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    unit = {"Length": " characters", "Items": ""}[what]
    return "" if most is None else f", {least or 0} to {most:,}{unit}"


def _range(schema: Json) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    return "" if least is None or most is None else f", {least:g} to {most:g}"


def _without_null(schema: Json, document: Json) -> tuple[Json, bool]:
    """Return what *schema* takes beside null, and whether it takes null."""
    kinds = schema.get("anyOf", [])
    others = [one for one in kinds if one.get("type") != "null"]
    if len(others) == len(kinds) or len(others) != 1:
        return _resolved(schema, document), False
    return _resolved(others[0], document), True


def _resolved(part: Json, document: Json) -> Json:
    """Return what *part* refers to, or *part* itself."""
    while "$ref" in part:
        _, kind, name = part["$ref"].removeprefix("#/").split("/")
        part = document["components"][kind][name]
    return part
