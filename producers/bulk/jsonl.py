"""Step 2 for JSONL: each line becomes an accepted request, a reject or a blank.

Checked here is the shape: JSON, UTF-8, known fields, types.  What a message or a key may hold is the
client's rule, applied once, on submission.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from persona_system.errors import InvalidInput
from persona_system.models import Context, Message
from persona_system.vocabulary import make_key
from producers.bulk.records import Accepted, Blank, CallersId, Item, Reject, reject, too_long
from producers.bulk.sources import MAX_LINE_BYTES, Line
from producers.requests import PersonaRequest


class _KeyParts(msgspec.Struct, forbid_unknown_fields=True):
    tone: str
    pace: str
    intent: str


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["user", "assistant"]
    content: str


class _Context(msgspec.Struct, forbid_unknown_fields=True):
    user_id: str | None = None
    session_id: str | None = None
    preferred_persona: str | None = None
    history: tuple[_Turn, ...] = ()
    summary: str | None = None
    mode: Literal["normal", "compact"] = "normal"


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    user_input: str | None = None
    text: str | None = None
    resonance_key: str | _KeyParts | None = None
    id: CallersId = None
    context: _Context | None = None
    metadata: dict[str, Any] | None = None


_FIX = "see the fields of a record in docs/bulk.md"
_UNKNOWN = re.compile(r"unknown field `([A-Za-z_][\w-]{0,39})`", re.ASCII)  # anything else could be a message
_MISSING = re.compile(r"missing required field `(\w+)`")
_TYPES = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_PATH = re.compile(r" - at `\$\.?([\w.\[\]]*)", re.ASCII)


def read_jsonl(lines: Iterator[Line], max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Item]:
    """Yield one item for each line, in order."""
    decode = msgspec.json.Decoder(_Record).decode
    for number, raw in lines:
        if raw is None:
            yield too_long(number, max_line_bytes)
            continue
        try:
            record = decode(raw)
            request = _request(record)
        except InvalidInput as error:
            yield reject(number, error)
        except msgspec.ValidationError as error:
            yield _explain(number, str(error))
        except (ValueError, RecursionError) as error:
            yield _unreadable(number, raw, error) if raw.strip() else Blank(number)
        else:
            yield Accepted(number, number, len(raw), record.id, request)


def _request(record: _Record) -> PersonaRequest:
    text = record.user_input
    if text is None:
        text = record.text
        if text is None:
            raise InvalidInput("user_input", "is missing", 'send {"user_input": "..."}, with text in it')
    elif record.text is not None:
        raise InvalidInput("text", "is given beside user_input", "send one of them; they mean the same")
    key = record.resonance_key
    return PersonaRequest(
        text,
        make_key(key.tone, key.pace, key.intent) if isinstance(key, _KeyParts) else key,
        None if record.context is None else _context(record.context),
        record.metadata,
    )


def _context(given: _Context) -> Context:
    return Context(
        given.user_id,
        given.session_id,
        given.preferred_persona,
        tuple(Message(turn.role, turn.content) for turn in given.history),
        given.summary,
        given.mode,
    )


def _unreadable(number: int, raw: bytes, error: Exception) -> Reject:
    if isinstance(error, UnicodeDecodeError):
        return not_utf8(number)
    if isinstance(error, RecursionError):
        return Reject(number, "line", "is nested too deeply", "send a flat object")
    if not raw.lstrip().startswith(b"{"):
        return Reject(number, "line", "is not a JSON object", 'send {"user_input": "..."}, one a line')
    return Reject(number, "line", "is not valid JSON", "write it with a JSON library, one object a line")


def not_utf8(number: int) -> Reject:
    """Return the reject of a line whose bytes are not UTF-8."""
    return Reject(number, "line", "is not valid UTF-8", "convert the file to UTF-8")


def _explain(number: int, message: str) -> Reject:
    """Say what msgspec found wrong, without the value it may quote."""
    path = _PATH.search(message)
    field = path[1] if path and path[1] else "line"
    if unknown := _UNKNOWN.search(message):
        name = unknown[1] if field == "line" else f"{field}.{unknown[1]}"
        return Reject(number, name, "is not a known field", f"remove it; {_FIX}")
    if missing := _MISSING.search(message):
        return Reject(number, f"{field}.{missing[1]}", "is missing", _FIX)
    if types := _TYPES.search(message):
        wanted = types[1].replace("`", "").replace(" | null", "")
        return Reject(number, field, f"is {types[2]}, not {wanted}", _FIX)
    if "enum value" in message:
        allowed = "user or assistant" if field.endswith("role") else "normal or compact"
        return Reject(number, field, "is outside its domain", f"use {allowed}")
    if "unknown field" in message:
        return Reject(number, field, "has a field that is not known", f"remove it; {_FIX}")
    return Reject(number, field, "is not valid", _FIX)
