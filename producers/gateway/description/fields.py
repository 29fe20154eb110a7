"""The fields that requests and responses have in common, with what the OpenAPI document says of them.

What text counts as a message is decided by ``persona_system.text``, and what a key may hold by
``persona_system.vocabulary``; here stands only how that is told to others, as patterns and enumerations.
"""

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypeAliasType

from persona_system.text import MAX_TEXT_CHARS
from persona_system.vocabulary import INTENT_ALIASES, INTENTS, PACES, TONES

_CONTROL = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f"
_VISIBLE = r"\p{L}\p{M}\p{N}\p{P}\p{S}"

MESSAGE_PATTERN = rf"^[^{_CONTROL}]*[{_VISIBLE}][^{_CONTROL}]*$"
"""Text with something to read and no control characters (ECMA 262, with its flag u)."""

BLANK_OR_MESSAGE_PATTERN = rf"^(?:[ \t\r\n]*|[^{_CONTROL}]*[{_VISIBLE}][^{_CONTROL}]*)$"

KOREAN, ENGLISH = "배포가 또 실패했어요. 어떻게 해야 하죠?", "My build fails and I don't know why."


def text_schema(max_chars: int) -> dict[str, Any]:
    """Return what the document says of a text of 1 to *max_chars* characters."""
    return {"minLength": 1, "maxLength": max_chars, "pattern": MESSAGE_PATTERN}


def message_field(about: str, *examples: str) -> Any:
    """Return a required field that holds a message; *about* says what it is."""
    described = f"{about}: 1 to {MAX_TEXT_CHARS:,} characters, Korean or English, something visible in it"
    return Field(description=described, examples=[*examples], json_schema_extra=text_schema(MAX_TEXT_CHARS))


INTENT_SPELLINGS = tuple(
    dict.fromkeys(
        [*INTENTS, *INTENT_ALIASES, *(name.replace("_", "-") for name in (*INTENTS, *INTENT_ALIASES))]
    )
)
"""What is taken for intents: their names, and other spellings of them."""


def _one_of(names: tuple[str, ...], example: str) -> Any:
    return Field(json_schema_extra={"enum": [*names]}, examples=[example])


ToneName = Annotated[str, _one_of(TONES, "frustrated")]
PaceName = Annotated[str, _one_of(PACES, "medium")]
IntentName = Annotated[str, _one_of(INTENTS, "seek_advice")]
IntentSpelling = Annotated[
    str,
    Field(
        description="an intent, or another spelling of one: "
        f"{', '.join(f'`{alias}` means {name}' for alias, name in INTENT_ALIASES.items())}; "
        "dashes count as underscores",
        json_schema_extra={"enum": [*INTENT_SPELLINGS]},
        examples=["seek_advice"],
    ),
]

JsonValue = TypeAliasType("JsonValue", "bool | float | str | list[JsonValue] | dict[str, JsonValue] | None")

PersonaName = Annotated[str, Field(description="a mentor's name", examples=["Lua"])]
Score = Annotated[float, Field(ge=0, le=1)]
Timestamp = Annotated[
    str,
    Field(
        description="ISO 8601, UTC",
        json_schema_extra={"format": "date-time"},
        examples=["2026-03-01T09:30:00.000Z"],
    ),
]
RequestId = Annotated[
    str, Field(description="also in `X-Request-ID`", examples=["0f8fad5bd9cb469fa16570867728950e"])
]
