"""How entries are matched and added up, on lexicons small enough to check by hand."""

from pathlib import Path

import pytest

from persona_system.analysis import load_analyser
from persona_system.analysis.lexicon import CLASSES
from persona_system.analysis.loading import read_lexicon
from persona_system.analysis.tokens import READ_CHARS, excerpt, normalise, tokenise
from persona_system.errors import InvalidCatalogue

SMALL = """
[start]
"tone.calm" = 0.5

[negation]
words = "not don't 안"

[tone.frustrated]
anger = "hate 2, sick of 3, 싫* 1, 싫어* 2, *쁜 1.5, 또 실패* 3"

[tone.confused]
lost = "not sure 2, sure 0.5, ^ why 1, 싫* 0.25"
"""


def score(text: str, name: str) -> float:
    scores = read_lexicon("small", SMALL).scores(tokenise(normalise(text)))
    return scores[CLASSES.index(name)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I hate it", 2),
        ("I HATE it, hate it", 2),  # an entry counts once
        ("I hate it, I'm sick of it", 5),  # entries add up
        ("sick and tired of it", 0),  # a phrase is not interrupted
        ("싫네요", 1),
        ("싫어요", 2),  # the longest stem of the class counts alone
        ("나쁜 일", 1.5),
        ("또 실패했어요", 3),
        ("또 이야기했어요", 0),
    ],
)
def test_entries_found_add_their_weight(text: str, expected: float) -> None:
    assert score(text, "tone.frustrated") == pytest.approx(expected)


def test_a_longer_stem_of_one_class_leaves_the_other_classes_theirs() -> None:
    assert score("싫어요", "tone.confused") == pytest.approx(0.25)


def test_after_a_negator_only_phrases_count() -> None:
    """ "don't" is found without its apostrophe, too."""
    assert score("I dont hate it", "tone.frustrated") == 0
    assert score("I'm not sure", "tone.confused") == 2  # the phrase, without "sure" itself


def test_a_caret_is_the_beginning_of_the_text() -> None:
    assert score("Why is that?", "tone.confused") == 1
    assert score("And why is that?", "tone.confused") == 0


def test_a_class_starts_from_its_own_score() -> None:
    assert score("nothing to see", "tone.calm") == 0.5


def test_stretched_letters_and_signs_are_one_spelling() -> None:
    assert tokenise(normalise("SOOOO good!!!! ㅋㅋㅋㅋㅋ…")) == ["soo", "good", "!!", "ㅋㅋ", ".."]


def test_a_long_text_is_read_at_both_ends() -> None:
    text = excerpt("a" * 20_000 + "z" * 10_000)

    assert len(text) == READ_CHARS + 1
    assert (text[0], text[-1]) == ("a", "z")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[tone.smug]\na = 'hate 1'", "tone.smug"),
        ("[intent.chat]\na = 'hi 1'", "intent.chat"),
        ("[mood.calm]\na = 'hi 1'", "mood"),
        ("[tone.calm]\nease = 'relaxed much'", "relaxed much"),
        ("[tone.calm]\nease = 'relaxed'", "relaxed"),
        ("[tone.calm]\nease = 'relaxed 0'", "relaxed 0"),
        ("[tone.calm]\nease = 'relaxed nan'", "relaxed nan"),
        ("[tone.calm]\nease = ' 2'", "'2'"),
        ("[tone.calm]\nease = 'relaxed 1'\nmore = 'calm 2, relaxed 2'", "relaxed"),
        ("[tone.calm]\nease = 'at-ease 1'", "at-ease"),
        ("[tone.calm]\nease = 1", "ease"),
        ("[tone]\ncalm = 1", "tone.calm"),
        ("[start]\n'tone.smug' = 1\n[tone.calm]\nease = 'relaxed 1'", "tone.smug"),
        ("[start]\n'tone.calm' = 'x'\n[tone.calm]\nease = 'relaxed 1'", "tone.calm"),
        ("[negation]\nwords = 1\n[tone.calm]\nease = 'relaxed 1'", "negation"),
        ("[tone.calm]\nease = 'relaxed 1'\nease = 'calm 1'", "TOML"),
        ("[tone.calm", "TOML"),
        ("", "no entries"),
    ],
)
def test_a_wrong_file_is_refused_by_name_class_and_entry(content: str, named: str) -> None:
    with pytest.raises(InvalidCatalogue) as caught:
        read_lexicon("en.toml", content)

    assert caught.value.source == "en.toml"
    assert named in caught.value.problem


def test_every_language_needs_its_file(tmp_path: Path) -> None:
    (tmp_path / "ko.toml").write_text(SMALL, encoding="utf-8")

    with pytest.raises(InvalidCatalogue, match=r"en\.toml: is missing"):
        load_analyser(tmp_path)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ko.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(InvalidCatalogue, match=r"ko\.toml: is not UTF-8"):
        load_analyser(tmp_path)


def test_an_edited_lexicon_is_a_new_version(tmp_path: Path) -> None:
    for name in ("ko.toml", "en.toml"):
        (tmp_path / name).write_text(SMALL, encoding="utf-8")
    before = load_analyser(tmp_path)
    (tmp_path / "en.toml").write_text(SMALL.replace("hate 2", "hate 2.5"), encoding="utf-8")

    assert load_analyser(tmp_path).version != before.version
    assert before.analyse("I hate it").key.tone == "frustrated"
