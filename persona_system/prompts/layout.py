"""How the parts of a prompt look in one language, whoever the persona is.

Limits:  history messages are cut at 100 characters (3 of them; compact mode: 120, and 2), the running
         summary at 1,000, identifiers at 128; each is made one line, so that none of them can begin a
         section of the prompt.
Source:  facts of the system, section 4; data/layout/*.txt and data/labels/*.toml.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import product

from persona_system.context import MAX_ID_CHARS, MAX_SUMMARY_CHARS, ROLES
from persona_system.errors import InvalidCatalogue
from persona_system.models import Context, Message
from persona_system.prompts.template import Template, TemplateFile
from persona_system.vocabulary import AXES, ResonanceKey

LAYOUT_SLOTS = {
    "situation": ("tone", "pace", "intent"),
    "context": ("user_id", "session_id", "preferred_persona"),
    "history": ("role", "content"),
    "summary": ("summary",),
    "message": ("open?", "message", "close?"),
    "answer": ("persona?",),
    "brief": ("persona?",),
}

FENCE_CHARS = 3  # the message stands between <<< and >>>, longer when the message holds >>> itself
_CLOSING = ">" * FENCE_CHARS
_RUNS = re.compile(">+")

Labels = Mapping[str, Mapping[str, str]]  # tone, pace, intent or role -> value -> what a prompt calls it


class Layout:
    """The compiled layout of one language.

    Each method returns a section with the blank line after it, or nothing.  *names* is how the language
    writes each persona's name.
    """

    def __init__(self, file: TemplateFile, labels: Labels, names: Mapping[str, str]) -> None:
        self.closings = {part: file.parts[part] for part in ("answer", "brief")}
        self.situations = dict(_situations(file.parts["situation"], labels))
        self._roles = labels["role"]
        self._names = names
        self._context = file.parts["context"].lines()
        if any(len(line.slots) > 1 for line in self._context):
            raise InvalidCatalogue(file.source, "part context has a line with two slots")
        *heading, self._history_item = file.parts["history"].lines()
        if self._history_item.slots != ("role", "content"):
            raise InvalidCatalogue(file.source, "part history must end in one line with {role} and {content}")
        self._history_heading = "".join(f"{line.fill({})}\n" for line in heading)
        self._summary = file.parts["summary"]
        self._message = file.parts["message"]
        self.fence = self._fence(FENCE_CHARS)

    def context(self, context: Context) -> str:
        """Return what is known about the person: a line for each value that was given."""
        preferred = context.preferred_persona
        values = {
            "user_id": context.user_id,
            "session_id": context.session_id,
            "preferred_persona": None if preferred is None else self._names.get(preferred, preferred),
        }
        known = {
            slot: single_line(value, MAX_ID_CHARS) for slot, value in values.items() if value is not None
        }
        if not known:
            return ""
        lines = [line.fill(known) for line in self._context if all(slot in known for slot in line.slots)]
        return "\n".join(lines) + "\n\n"

    def history(self, messages: Iterable[Message], cut: int) -> str:
        """Return *messages*, oldest first, each cut at *cut* characters."""
        before, _, between, _, after = self._history_item.pieces
        lines = [
            f"{before}{self._roles[message.role]}{between}{single_line(message.content, cut)}{after}\n"
            for message in messages
        ]
        return f"{self._history_heading}{''.join(lines)}\n" if lines else ""

    def summary(self, summary: str | None) -> str:
        """Return the running summary, if there is one."""
        if summary is None or not summary.strip():
            return ""
        return self._summary.fill({"summary": single_line(summary, MAX_SUMMARY_CHARS)}) + "\n\n"

    def fence_for(self, text: str) -> tuple[str, str]:
        """Return what goes before and after *text*, with a fence that *text* does not hold."""
        if _CLOSING not in text:
            return self.fence
        return self._fence(max(map(len, _RUNS.findall(text))) + 1)

    def _fence(self, length: int) -> tuple[str, str]:
        at = self._message.pieces.index("message", 1)
        marks = {"open": "<" * length, "close": ">" * length}
        before = Template(self._message.pieces[:at]).fill(marks)
        after = Template(self._message.pieces[at + 1 :]).fill(marks)
        return before, after + "\n\n"


def single_line(text: str, cut: int) -> str:
    """Return the first *cut* characters of *text*, with a space for each line break."""
    text = text[:cut]
    return text if text.isprintable() else " ".join(text.splitlines())


def check_labels(labels: Mapping[str, object], source: str) -> Labels:
    """Return *labels* if they name every tone, pace, intent and role in one line each."""
    wanted = {**AXES, "role": ROLES}
    for name in labels:
        if name not in wanted:
            raise InvalidCatalogue(source, f"holds {name!r}, which is no axis")
    checked: dict[str, dict[str, str]] = {}
    for axis, values in wanted.items():
        table = labels.get(axis)
        if not isinstance(table, Mapping):
            raise InvalidCatalogue(source, f"has no table [{axis}]")
        for value in table:
            if value not in values:
                raise InvalidCatalogue(source, f"[{axis}] {value} is not a known {axis}")
        for value in values:
            label = table.get(value)
            if not isinstance(label, str) or not label.strip() or not label.isprintable():
                raise InvalidCatalogue(source, f"[{axis}] {value} must be one line of text")
        checked[axis] = {value: table[value] for value in values}
    return checked


def _situations(template: Template, labels: Labels) -> Iterable[tuple[ResonanceKey, str]]:
    for values in product(*(labels[axis] for axis in AXES)):
        words = {axis: labels[axis][value] for axis, value in zip(AXES, values, strict=True)}
        yield ResonanceKey(*values), template.fill(words) + "\n\n"
