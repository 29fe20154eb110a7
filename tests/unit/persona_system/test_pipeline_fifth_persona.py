"""A fifth persona needs data files only, and files that do not fit together are named.

The steps are those of docs/adding-a-persona.md.
"""

import re
import shutil
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from persona_system.catalogue import LANGUAGES, load_catalogue
from persona_system.errors import InvalidCatalogue
from persona_system.pipeline import load_pipeline
from persona_system.ports import NullAnalyser
from persona_system.vocabulary import AXES

SORA = """\
name = "Sora"
korean_name = "소라"
role = "calm listener"
traits = ["patient"]
strengths = ["listening"]
prompt_style = "asks before it answers"
preferred_tones = ["calm"]
"""
TEMPLATE = """\
version: 2

=== system
You are Sora, who listens. 소라입니다.

=== compact
You are Sora.
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of the shipped data directory."""
    with as_file(files("persona_system") / "data") as shipped:
        return Path(shutil.copytree(shipped, tmp_path / "data"))


def add_column(data: Path) -> None:
    """Give Sora 1.0 for calm, 0.9 for everything else."""
    text = (data / "affinity.toml").read_text(encoding="utf-8").replace('"Nana"]', '"Nana", "Sora"]')
    rows = "|".join(value for values in AXES.values() for value in values)
    text = re.sub(rf"^((?:{rows}) .*)\]$", r"\1, 0.9]", text, flags=re.MULTILINE)
    text = re.sub(r"^(calm .*)0\.9\]$", r"\g<1>1.0]", text, flags=re.MULTILINE)
    (data / "affinity.toml").write_text(text, encoding="utf-8")


def add_sora(data: Path) -> None:
    add_column(data)
    (data / "personas" / "sora.toml").write_text(SORA, encoding="utf-8")
    for language in LANGUAGES:
        (data / "templates" / f"sora.{language}.txt").write_text(TEMPLATE, encoding="utf-8")


def test_sora_is_routed_to_and_prompted_without_a_line_of_code(data: Path) -> None:
    """calm-burst-planning: 0.5x1.0 + 0.3x0.9 + 0.2x0.9 = 0.95 for Sora; Riri, next, has 0.83."""
    add_sora(data)
    pipeline = load_pipeline(NullAnalyser(), data)

    response = pipeline.process("hello {name}", "calm-burst-planning")
    assert (response.persona_used, response.routing.secondary) == ("Sora", "Riri")
    assert response.routing.scores["Sora"] == pytest.approx(0.95)
    assert response.template == "sora.en@2"
    assert response.content.startswith("You are Sora, who listens.")
    assert "hello {name}" in response.content
    assert "Answer the message above as Sora" in response.content
    assert "멘토 소라답게" in pipeline.process("안녕하세요, 반갑습니다", "calm-burst-planning").content

    sora = pipeline.catalogue.personas.find("소라")
    assert sora.best_for_tones == AXES["tone"]
    assert pipeline.recommend("hello", "calm-burst-planning").capabilities == sora


def test_any_change_of_the_data_is_another_version(data: Path) -> None:
    before = load_catalogue(data)
    assert before.version == load_catalogue().version
    template = data / "templates" / "lua.ko.txt"
    template.write_text(template.read_text(encoding="utf-8").replace("오늘", "지금"), encoding="utf-8")
    assert load_catalogue(data).version != before.version


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [
        ("personas/sora.toml", r"affinity.toml: Sora has no file personas/sora\.toml"),
        ("templates/sora.ko.txt", r"templates/sora\.ko\.txt: is missing: Sora has no template in 'ko'"),
        ("templates/sora.en.txt", r"templates/sora\.en\.txt: is missing: Sora has no template in 'en'"),
        ("templates/lua.en.txt", r"templates/lua\.en\.txt: is missing: Lua has no template"),
        ("affinity.toml", r"affinity\.toml: is missing"),
        ("layout/ko.txt", r"layout/ko\.txt: is missing"),
        ("labels/en.toml", r"labels/en\.toml: is missing"),
    ],
)
def test_a_missing_file_is_named(data: Path, missing: str, complaint: str) -> None:
    add_sora(data)
    (data / missing).unlink()
    with pytest.raises(InvalidCatalogue, match=f"^{complaint}"):
        load_catalogue(data)


def test_a_persona_without_a_column_is_named(data: Path) -> None:
    (data / "personas" / "sora.toml").write_text(SORA, encoding="utf-8")
    with pytest.raises(InvalidCatalogue, match=r"^personas/sora\.toml: Sora has no column"):
        load_catalogue(data)


def test_a_template_that_belongs_to_nobody_is_named(data: Path) -> None:
    (data / "templates" / "lua.fr.txt").write_text(TEMPLATE, encoding="utf-8")
    with pytest.raises(
        InvalidCatalogue, match=r"^templates/lua\.fr\.txt: belongs to no persona and language"
    ):
        load_catalogue(data)


def test_a_file_is_called_after_its_persona(data: Path) -> None:
    (data / "personas" / "lua.toml").rename(data / "personas" / "lu.toml")
    with pytest.raises(InvalidCatalogue, match=r"^personas/lu\.toml: describes Lua; call it after"):
        load_catalogue(data)


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("labels/ko.toml", "calm  ", "serene  ", r"\[tone\] serene is not a known tone"),
        ("labels/ko.toml", 'assistant = "멘토"', "", r"\[role\] assistant must be one line"),
        ("labels/ko.toml", "[role]", "[roles]", "holds 'roles', which is no axis"),
        ("labels/ko.toml", "[role]", "[pace.role]", r"\[pace\] role is not a known pace"),
        ("layout/en.txt", "- {role}: {content}", "- {role}", r"part history lacks the slot \{content\}"),
        ("layout/en.txt", "- {role}: {content}", "{content} ({role})", "part history must end in one line"),
        (
            "layout/en.txt",
            "- User: {user_id}\n- Session:",
            "- {user_id}",
            "part context has a line with two slots",
        ),
        (
            "layout/en.txt",
            "{message}",
            "{message}\n{message}",
            r"part message has more than once the slot \{message\}",
        ),
        ("layout/en.txt", "=== brief", "=== short", "part short is not one of"),
        ("templates/lua.ko.txt", "version: 1", "", "has no line `version: N`"),
    ],
)
def test_files_of_the_wrong_form_are_named(data: Path, file: str, old: str, new: str, complaint: str) -> None:
    text = (data / file).read_text(encoding="utf-8")
    assert old in text
    (data / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InvalidCatalogue, match=f"^{file}: .*{complaint}"):
        load_catalogue(data)


def test_a_file_that_is_not_utf_8_is_named(data: Path) -> None:
    (data / "templates" / "lua.ko.txt").write_bytes("루아".encode("euc-kr"))
    with pytest.raises(InvalidCatalogue, match=r"^templates/lua\.ko\.txt: is not UTF-8"):
        load_catalogue(data)


def test_windows_line_ends_make_no_difference(data: Path) -> None:
    for file in data.rglob("*.txt"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert load_catalogue(data).version == load_catalogue().version


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidCatalogue, match=r"^affinity\.toml: is missing"):
        load_catalogue(tmp_path / "nowhere")
