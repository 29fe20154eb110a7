"""Korean or everything else."""

import unicodedata

import pytest

from persona_system.language import READ_CHARS, detect_language


@pytest.mark.parametrize(
    "text",
    [
        "안녕하세요",
        "Redis timeout 났어요",  # technical Korean is full of Latin words
        "Kubernetes Deployment rollout이 왜 실패하죠?",
        "ㅋㅋㅋ",
        "ㅠㅠ 😭",
        unicodedata.normalize("NFD", "배포가 실패했어요"),  # as macOS file names are written
        "123 테스트",
    ],
)
def test_text_with_a_fair_share_of_hangul_is_korean(text: str) -> None:
    assert detect_language(text) == "ko"


@pytest.mark.parametrize(
    "text",
    [
        "Why does the build fail?",
        "What does 눈치 mean, and how is it used in Korean offices?",  # one word quoted
        "Où est la bibliothèque ?",
        "これは日本語です",
        "这是中文",
        "😀😀",
        "1234 !!",
    ],
)
def test_everything_else_is_english(text: str) -> None:
    assert detect_language(text) == "en"


def test_a_sixth_of_the_letters_is_enough() -> None:
    """One syllable of six letters is a sixth, one of seven is less."""
    assert detect_language("가abcde") == "ko"
    assert detect_language("가abcdef") == "en"


def test_a_long_text_is_judged_by_its_beginning() -> None:
    assert detect_language("가" * READ_CHARS + "word " * 6_000) == "ko"
