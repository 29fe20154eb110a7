"""The commands that need no fleet, run in process."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from persona_system.vocabulary import ALL_KEYS
from producers.cli.app import new_app, run
from producers.cli.collaborators import Check, Collaborators, ConfiguredFleet, Section, Tell
from producers.cli.config import masked, rows_of
from producers.cli.doctor import guarded
from producers.cli.doctor_fleet import clock_check, queue_checks
from producers.cli.doctor_installation import encoding_check, fits, python_check
from producers.errors import Unavailable
from producers.settings import ClientSettings


class Ion:
    """Runs command lines and gives exit code, stdout and stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str], given: Collaborators) -> None:
        self._capsys, self._given = capsys, given

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = run(new_app(), self._given, words)
        out, err = self._capsys.readouterr()
        return code, out, err

    def json(self, *words: str) -> Any:
        code, out, err = self(*words, "--json")
        assert (code, err) == (0, ""), err
        return json.loads(out)


@pytest.fixture
def ion(capsys: pytest.CaptureFixture[str]) -> Ion:
    return Ion(capsys, Collaborators(ConfiguredFleet()))


def test_route_all_gives_216_decisions(ion: Ion) -> None:
    rows = ion.json("route", "--all")
    assert [row["key"] for row in rows] == [str(key) for key in ALL_KEYS]
    assert {"key", "primary", "secondary", "confidence", "scores"} <= set(rows[0])
    assert Counter(row["primary"] for row in rows) == {"Lua": 83, "Nana": 66, "Riri": 52, "Elro": 15}


def test_route_all_for_people_counts_the_winners(ion: Ion) -> None:
    code, out, _ = ion("route", "--all")
    assert code == 0
    for words in ("Lua  83", "Elro  15", "Riri  52", "Nana  66", "collaborat"):
        assert words in out


def test_route_takes_several_keys_and_resolves_aliases(ion: Ion) -> None:
    rows = ion.json("route", "calm-medium-plan", "calm-medium-problem-solving")
    assert [row["key"] for row in rows] == ["calm-medium-planning", "calm-medium-problem_solving"]
    assert ion.json("route", "calm-medium-learning")["primary"] == "Elro"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["route"], "KEY is missing"),
        (["route", "--all", "calm-medium-learning"], "exclude each other"),
        (["route", "calm"], "is not tone-pace-intent"),
        (["route", "smug-medium-learning"], "is not a known tone; use one of frustrated"),
        (["analyze", "  "], "is empty"),
        (["analyze", "a\x00b"], "control character"),
        (["analyze", "a\udcff"], "lone surrogate"),
        (["personas", "nobody"], "is not a known persona; use one of Lua"),
        (["process", "hi", "--key", "x"], "is not tone-pace-intent"),
        (["process", "hi", "--deadline", "0"], "deadline"),
        (["recommend", ""], "is empty"),
        (["bulk", "run", "in.txt", "-o", "out"], "--format"),
        (["bulk", "run", "absent.jsonl", "-o", "out"], "cannot be read"),
        (["bulk", "run", "in.jsonl", "-o", "-"], "--rejects is missing"),
        (["bulk", "run", "in.jsonl"], "--output"),
        (["nonsense"], "nonsense"),
        (["route", "--nonsense"], "see ion route --help"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(ion: Ion, words: list[str], said: str) -> None:
    code, out, err = ion(*words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


def test_an_error_is_an_object_with_json(ion: Ion) -> None:
    code, out, _ = ion("route", "calm", "--json")
    assert code == 2
    assert json.loads(out)["error"]["field"] == "resonance_key"


@pytest.mark.parametrize(
    "words", [[], ["bulk"], *([name] for name in ("route", "process", "analyze", "config", "doctor"))]
)
def test_help_is_there_with_an_example(ion: Ion, words: list[str]) -> None:
    code, out, _ = ion(*words, "--help")
    assert code == 0
    if words and words != ["bulk"]:
        assert f"Examples:\n    ion {words[0]}" in out


def test_no_command_shows_the_commands(ion: Ion) -> None:
    code, _, err = ion()
    assert code == 2
    assert "Commands:" in err


def test_analyze_tells_key_and_confidences(ion: Ion) -> None:
    found = ion.json("analyze", "배포가 또 실패했어요. 어떻게 해야 하죠?")
    assert found["resonance_key"] in {str(key) for key in ALL_KEYS}
    assert found["language"] == "ko"
    assert 0 <= found["tone_confidence"] <= 1
    assert found["tone_runner_up"] != found["resonance_key"].split("-")[0]


def test_analyze_reads_standard_input(ion: Ion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"How do I plan this?\n")))
    assert ion.json("analyze", "-")["language"] == "en"


def test_text_that_is_not_utf_8_is_refused(ion: Ion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"caf\xe9")))
    code, _, err = ion("analyze", "-")
    assert (code, err) == (2, "error: TEXT is not valid UTF-8 (byte 3); send UTF-8 text\n")


@pytest.mark.parametrize("name", ["lua", "LUA", "루아"])
def test_a_persona_is_found_in_any_spelling(ion: Ion, name: str) -> None:
    assert ion.json("personas", name)["name"] == "Lua"


def test_personas_lists_all(ion: Ion) -> None:
    assert [persona["name"] for persona in ion.json("personas")] == ["Lua", "Elro", "Riri", "Nana"]
    assert "루아" in ion("personas")[1]


def test_config_tells_where_a_value_comes_from(ion: Ion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ION_LINGER_MS", "5")
    rows = {row["name"]: row for row in ion.json("config")}
    assert (rows["linger_ms"]["value"], rows["linger_ms"]["source"]) == (5.0, "environment")
    assert rows["max_batch_jobs"]["source"] == "default"
    assert "ION_LINGER_MS" in ion("config")[1]


def test_config_masks_secrets(ion: Ion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ION_BROKER_URL", "redis://me:hunter2@host:6379/0")
    assert "hunter2" not in ion("config", "--json")[1]
    assert "hunter2" not in ion("config")[1]


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("", "(none)"),  # as in ION_CACHE_URL=, which means no cache
        ("redis://me:hunter2@host:6379/0", "redis://***@host:6379/0"),
        ("redis://:p%40ss@host/1", "redis://***@host/1"),
        ("redis+socket:///a/b.sock?virtual_host=0", "redis+socket:///a/b.sock?virtual_host=0"),
        ("redis://host/0?password=hunter2", "redis://host/0?***"),
        ("https://key@sentry.example/1", "https://***@sentry.example/1"),
        ("hunter2", "***"),
        ("redis://host:notaport/0", "***"),
    ],
)
def test_of_a_secret_only_the_place_is_shown(secret: str, shown: str) -> None:
    assert masked(secret) == shown


def test_assumed_settings_are_told_apart() -> None:
    section = Section("client", ClientSettings(state_dir="x"), frozenset({"state_dir"}))
    sources = {row.name: row.source for row in rows_of(section)}
    assert (sources["state_dir"], sources["linger_ms"]) == ("embedded stack", "default")


class NoFleet:
    """A fleet that cannot be reached."""

    @contextmanager
    def reach(self, tell: Tell) -> Iterator[ClientSettings]:
        tell("looking for a fleet")
        raise Unavailable("the fleet", "nothing runs here")
        yield ClientSettings()  # unreachable, and makes this a generator

    def find(self) -> ClientSettings | None:
        return None


def test_an_absent_fleet_is_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    ion = Ion(capsys, Collaborators(NoFleet()))
    code, out, err = ion("process", "hello")
    assert (code, out) == (3, "")
    assert err.startswith("looking for a fleet\nerror: the fleet is not available: nothing runs here; start")


def test_doctor_reports_every_check_and_fails_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    def checks() -> Iterator[Check]:
        yield Check("disk", "ok", "9 GB free")
        yield Check("socket", "fail", "is too long", "set ION_STATE_DIR")

    ion = Ion(capsys, Collaborators(NoFleet(), checks=checks))
    code, out, _ = ion("doctor", "--json")
    found = {check["name"]: check for check in json.loads(out)["checks"]}
    assert (code, json.loads(out)["healthy"]) == (1, False)
    assert {"python", "packages", "catalogue", "disk", "socket", "fleet"} <= set(found)
    assert found["fleet"]["status"] == "warn"

    code, out, _ = ion("doctor")
    assert code == 1
    assert "-> set ION_STATE_DIR" in out


def test_a_check_that_breaks_is_a_failed_check() -> None:
    def checks() -> Iterator[Check]:
        yield Check("a", "ok", "fine")
        raise Unavailable("the broker", "refused")

    first, second = guarded("fleet", checks())
    assert first.status == "ok"
    assert (second.name, second.status) == ("fleet", "fail")
    assert second.fix


def test_the_doctors_rules() -> None:
    assert python_check((3, 10)).status == "fail"
    assert python_check((3, 11)).status == "ok"
    assert fits("5.7.0", "<5.8,>=5.7")
    assert not fits("5.8.1", "<5.8,>=5.7")
    assert encoding_check("UTF-8").status == "ok"
    assert encoding_check("ascii").status == "warn"
    assert clock_check(0.2).status == "ok"
    assert "behind" in clock_check(-90.0).found
    assert [check.status for check in queue_checks({"bulk": 3, "dead": 0})] == ["ok"]
    assert [check.name for check in queue_checks({"bulk": 3000, "dead": 2})] == ["queues", "queue dead"]
