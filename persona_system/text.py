"""The one rule for what counts as a message, used wherever text enters the system.

Limits: 1..32,768 characters by default.  A message is data: braces, markup and template syntax are
welcome in it; what is refused is text that cannot be stored or shown (control characters other than
tab and line ends, lone surrogates) and text with nothing to read.
Errors: InvalidInput, which names the field and the position but never quotes the text.
"""

import re

from persona_system.errors import InvalidInput

MAX_TEXT_CHARS = 32_768

_BLANK = " \t\r\n\u115f\u1160\u2800\u3164\uffa0"  # the last five are letters and symbols that show nothing
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def check_text(text: object, max_chars: int = MAX_TEXT_CHARS, field: str = "user_input") -> str:
    """Return *text* unchanged if it is a message; raise InvalidInput for *field* otherwise."""
    if not isinstance(text, str):
        raise InvalidInput(field, f"is {type(text).__name__}, not text", "send a string")
    if len(text) > max_chars:
        raise InvalidInput(
            field,
            f"has {len(text):,} characters, over the limit of {max_chars:,}",
            "shorten or split it",
        )
    if not text.strip(_BLANK) or text.isspace():
        raise InvalidInput(field, "is empty", f"send 1 to {max_chars:,} characters")
    if not text.isprintable():  # rare: line breaks and the like, or something to refuse
        _check_unusual(text, field)
    return text


def _check_unusual(text: str, field: str) -> None:
    unreadable = _UNREADABLE.search(text)
    if unreadable:
        code = ord(unreadable[0])
        kind = "a lone surrogate" if code >= 0xD800 else "a control character"
        raise InvalidInput(
            field,
            f"holds {kind} (U+{code:04X}) at position {unreadable.start()}",
            "remove it or send valid UTF-8 text",
        )
    if not any(char.isprintable() and not char.isspace() and char not in _BLANK for char in text):
        raise InvalidInput(field, "has no visible character", "send text that can be read")
