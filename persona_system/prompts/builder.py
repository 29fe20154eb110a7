"""Turn a message into the prompt for a persona.

A prompt holds the persona's system part, the situation, the context, the last 3 messages of the history
and the message; a compact one holds a one-line system part, the running summary, the last 2 messages,
the message and an instruction to be brief.  The message is always there verbatim, inside a fence that it
cannot close.

Source:  facts of the system, section 4.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from persona_system.models import NO_CONTEXT, Context, Language, Message
from persona_system.prompts.layout import FENCE_CHARS, Layout
from persona_system.prompts.template import TemplateFile
from persona_system.vocabulary import ResonanceKey

PERSONA_SLOTS: Mapping[str, tuple[str, ...]] = {"system": (), "compact": ()}

NORMAL_HISTORY = (3, 100)  # messages, characters of each
COMPACT_HISTORY = (2, 120)

_CLOSING = ">" * FENCE_CHARS


def used_context(context: Context) -> tuple[object, ...]:
    """Return the parts of *context* that a prompt depends on: contexts that agree in them share a prompt.

    Whose conversation it is counts wherever anything of it is used, so that no two people share an answer
    that was made from what one of them said.
    """
    if context.mode == "compact":
        history = context.history[-COMPACT_HISTORY[0] :]
        if not history and context.summary is None:
            return ("compact",)
        return ("compact", context.user_id, context.session_id, context.summary, _turns(history))
    history = context.history[-NORMAL_HISTORY[0] :]
    return ("normal", context.user_id, context.session_id, context.preferred_persona, _turns(history))


def _turns(history: Sequence[Message]) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in history]


class PromptBuilder(Protocol):
    """Builds one persona's prompts.  Pure: the same arguments give the same prompt.

    Of a context it uses what ``used_context`` names and nothing else, since answers are cached by that.
    """

    def template(self, language: Language) -> str:
        """Name the template and its version, e.g. ``lua.ko@1``; a change of wording changes it."""

    def build(self, text: str, key: ResonanceKey, language: Language, context: Context = NO_CONTEXT) -> str:
        """Return the prompt for *text*, a checked message, which it holds verbatim."""


class TemplatePromptBuilder:
    """Builds a persona's prompts from its template file and the layout of each language.

    *names* is what the persona is called in each language.
    """

    def __init__(
        self,
        names: Mapping[Language, str],
        files: Mapping[Language, TemplateFile],
        layouts: Mapping[Language, Layout],
    ) -> None:
        self._frames = {
            language: _Frame(names[language], file, layouts[language]) for language, file in files.items()
        }

    def template(self, language: Language) -> str:
        """Name the template and its version, e.g. ``lua.ko@1``."""
        return self._frames[language].template

    def build(self, text: str, key: ResonanceKey, language: Language, context: Context = NO_CONTEXT) -> str:
        """Return the prompt for *text* in *language* and in the mode that *context* asks for."""
        frame = self._frames[language]
        layout = frame.layout
        before, after = layout.fence if _CLOSING not in text else layout.fence_for(text)
        if context is NO_CONTEXT:  # by far the most frequent
            return "".join((frame.system, layout.situations[key], before, text, after, frame.answer))
        history = context.history
        if context.mode == "compact":
            count, cut = COMPACT_HISTORY
            recent = layout.history(history[-count:], cut) if history else ""
            summary = layout.summary(context.summary)
            return f"{frame.compact}{summary}{recent}{before}{text}{after}{frame.brief}"
        count, cut = NORMAL_HISTORY
        recent = layout.history(history[-count:], cut) if history else ""
        known = layout.context(context)
        situation = layout.situations[key]
        return f"{frame.system}{situation}{known}{recent}{before}{text}{after}{frame.answer}"


class _Frame:
    """What does not change between the prompts of one persona in one language."""

    __slots__ = ("answer", "brief", "compact", "layout", "system", "template")

    def __init__(self, name: str, file: TemplateFile, layout: Layout) -> None:
        self.template = f"{file.source.removesuffix('.txt').rpartition('/')[2]}@{file.version}"
        self.layout = layout
        self.system = file.parts["system"].fill({}) + "\n\n"
        self.compact = file.parts["compact"].fill({}) + "\n\n"
        self.answer = layout.closings["answer"].fill({"persona": name})
        self.brief = layout.closings["brief"].fill({"persona": name})
