"""What a context must look like before a prompt is built from it.

Limits:  128 characters for an identifier, 1,000 for the running summary, 1,000 history messages of at
         most 32,768 characters each.
Errors:  InvalidInput, which names the field (``context.history[2].role``) and never quotes what people
         wrote.
"""

from persona_system.errors import InvalidInput, UnknownPersona, shorten
from persona_system.models import Context, Message
from persona_system.personas import Personas
from persona_system.prompts.layout import MAX_ID_CHARS, MAX_SUMMARY_CHARS, ROLES
from persona_system.text import MAX_TEXT_CHARS, check_text

MAX_HISTORY_MESSAGES = 1_000
MODES = ("normal", "compact")


def check_context(context: object, personas: Personas) -> Context:
    """Return *context* if it can be used, with the preferred persona's name as the catalogue writes it."""
    if not isinstance(context, Context):
        raise InvalidInput(
            "context", f"is {type(context).__name__}, not a context", "send a Context or nothing"
        )
    if context.mode not in MODES:
        raise InvalidInput("context.mode", f"{shorten(context.mode)} is not a mode", "use normal or compact")
    if context.user_id is not None:
        check_text(context.user_id, MAX_ID_CHARS, "context.user_id")
    if context.session_id is not None:
        check_text(context.session_id, MAX_ID_CHARS, "context.session_id")
    if context.summary is not None:
        _check_optional_text(context.summary, MAX_SUMMARY_CHARS, "context.summary")
    if context.history:
        _check_history(context.history)
    if context.preferred_persona is not None:
        name = _preferred(context.preferred_persona, personas)
        if name != context.preferred_persona:
            return Context(
                context.user_id, context.session_id, name, context.history, context.summary, context.mode
            )
    return context


def _preferred(name: str, personas: Personas) -> str:
    try:
        return personas.find(name).name
    except UnknownPersona as error:  # here it is a field of the request, not the thing that is asked for
        raise InvalidInput("context.preferred_persona", error.problem, error.fix) from None


def _check_history(history: object) -> None:
    if not isinstance(history, tuple | list):
        raise InvalidInput(
            "context.history", f"is {type(history).__name__}, not a list", "send a list of messages"
        )
    if len(history) > MAX_HISTORY_MESSAGES:
        raise InvalidInput(
            "context.history",
            f"has {len(history):,} messages, over the limit of {MAX_HISTORY_MESSAGES:,}",
            "send the latest ones",
        )
    for position, message in enumerate(history):
        if not isinstance(message, Message):
            raise InvalidInput(
                f"context.history[{position}]",
                f"is {type(message).__name__}, not a message",
                "send role and content",
            )
        if message.role not in ROLES:
            raise InvalidInput(
                f"context.history[{position}].role",
                f"{shorten(message.role)} is not a role",
                f"use one of {', '.join(ROLES)}",
            )
        content = message.content
        # Short of a full check, this accepts nearly every message.
        if not (type(content) is str and len(content) <= MAX_TEXT_CHARS and content.isprintable()):
            _check_optional_text(content, MAX_TEXT_CHARS, f"context.history[{position}].content")


def _check_optional_text(text: object, max_chars: int, field: str) -> None:
    """Check *text* as a message, but let it be empty or blank: an empty reply is a fact, not a fault."""
    if text != "" and not (isinstance(text, str) and text.isspace() and len(text) <= max_chars):
        check_text(text, max_chars, field)
