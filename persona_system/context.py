"""What a context must look like: the one rule, for clients that send it and pipelines that use it.

Limits:  128 characters for an identifier, 1,000 for the running summary, 1,000 history messages of at
         most 32,768 characters each.
Errors:  InvalidInput, which names the field (``context.history[2].role``) and never quotes what people
         wrote.
"""

from typing import TYPE_CHECKING

from persona_system.errors import InvalidInput, UnknownPersona, shorten
from persona_system.models import Context, Message
from persona_system.text import MAX_TEXT_CHARS, check_text

if TYPE_CHECKING:
    from persona_system.personas import Personas  # a client checks without a catalogue

MAX_ID_CHARS = 128
MAX_SUMMARY_CHARS = 1_000
MAX_HISTORY_MESSAGES = 1_000
MODES = ("normal", "compact")
ROLES = ("user", "assistant")


def check_context(context: object) -> Context:
    """Return *context* if it can be used; which personas there are is not asked here."""
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
    return context


def with_known_persona(context: Context, personas: "Personas") -> Context:
    """Return *context* with its preferred persona's name as *personas* write it; raise InvalidInput."""
    if context.preferred_persona is None:
        return context
    try:
        name = personas.find(context.preferred_persona).name
    except UnknownPersona as error:  # here it is a field of the request, not the thing that is asked for
        raise InvalidInput("context.preferred_persona", error.problem, error.fix) from None
    if name == context.preferred_persona:
        return context
    return Context(context.user_id, context.session_id, name, context.history, context.summary, context.mode)


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
