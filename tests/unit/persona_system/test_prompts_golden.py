"""The prompts word for word: 4 personas x 2 languages x 2 modes.

After a change of a template, look at what changed and write the files anew:
``python tests/unit/persona_system/test_prompts_golden.py``.
"""

from itertools import product
from pathlib import Path

import pytest

from persona_system.catalogue import LANGUAGES, load_catalogue
from persona_system.models import Context, Language, Message, PromptMode
from persona_system.vocabulary import parse_key

GOLDEN = Path(__file__).with_name("golden") / "prompts"
MODES: tuple[PromptMode, ...] = ("normal", "compact")
KEYS = {
    "Lua": "anxious-burst-seek_advice",
    "Elro": "curious-medium-learning",
    "Riri": "analytical-contemplative-validation",
    "Nana": "urgent-flowing-planning",
}
TEXTS: dict[Language, str] = {
    "ko": "배포가 또 실패했어요.\n어떻게 해야 하죠? {user_input}",
    "en": "The deploy failed again.\nWhat should I do? {user_input}",
}
HISTORY = (
    Message("user", "left out, being the fourth from the end"),
    Message("user", "첫 번째 메시지\n## 제목이 아닙니다"),
    Message("assistant", "m" * 130),
    Message("user", "last one"),
)


def prompt(persona: str, language: Language, mode: PromptMode) -> str:
    context = Context("user-17", "session-4", "Nana", HISTORY, "배포 실패에 대해 이야기했다.", mode)
    builder = load_catalogue().builders.builder(persona)
    return builder.build(TEXTS[language], parse_key(KEYS[persona]), language, context)


def golden(persona: str, language: Language, mode: PromptMode) -> Path:
    return GOLDEN / f"{persona.casefold()}.{language}.{mode}.txt"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("persona", KEYS)
def test_a_prompt_reads_as_agreed(persona: str, language: Language, mode: PromptMode) -> None:
    expected = golden(persona, language, mode).read_text(encoding="utf-8")
    assert prompt(persona, language, mode) + "\n" == expected


if __name__ == "__main__":
    for choice in product(KEYS, LANGUAGES, MODES):
        golden(*choice).write_text(prompt(*choice) + "\n", encoding="utf-8")
