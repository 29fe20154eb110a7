"""What a user sees of an error: one line or one object, and an exit code."""

import json

import pytest

from persona_system.errors import InvalidCatalogue, InvalidInput, UnknownPersona
from producers.bulk.errors import UnusableInput
from producers.cli.report import Trouble, explain, print_json
from producers.errors import ClientClosed, DeadlineExceeded, JobDead, JobFailed, Overloaded, Unavailable
from producers.settings import ClientSettings


@pytest.mark.parametrize(
    ("error", "exit_code", "code"),
    [
        (InvalidInput("TEXT", "is empty", "send some"), 2, "INVALID_INPUT"),
        (UnknownPersona("persona", "'x' is not a known persona", "use Lua"), 2, "UNKNOWN_PERSONA"),
        (UnusableInput("in.jsonl", "cannot be read", "check the path"), 2, "UNUSABLE_FILE"),
        (Unavailable("the broker", "refused"), 3, "UNAVAILABLE"),
        (Overloaded("full", 2.0), 3, "OVERLOADED"),
        (ClientClosed("closed"), 3, "CLIENT_CLOSED"),
        (DeadlineExceeded("j"), 3, "DEADLINE_EXCEEDED"),
        (JobFailed("j", "CRASHED", "broke"), 1, "CRASHED"),
        (JobDead("j", "POISON", "broke"), 1, "POISON"),
        (InvalidCatalogue("affinity.toml", "lacks a row"), 1, "INVALID_CATALOGUE"),
        (KeyboardInterrupt(), 130, "INTERRUPTED"),
        (ZeroDivisionError("x"), 1, "INTERNAL"),
    ],
)
def test_every_error_has_an_exit_code_and_a_line(error: BaseException, exit_code: int, code: str) -> None:
    trouble = explain(error)
    assert (trouble.exit_code, trouble.code) == (exit_code, code)
    assert str(trouble).startswith("error: ")
    assert "\n" not in str(trouble)


def test_the_line_names_field_problem_and_fix() -> None:
    line = str(explain(InvalidInput("TEXT", "is empty", "send some")))
    assert line == "error: TEXT is empty; send some"


def test_advice_is_given_once() -> None:
    advised = explain(Unavailable("the fleet", "no stack runs here; start one with `ion up`"))
    assert advised.fix == "`ion doctor` looks for the cause"
    assert "`ion up`" in explain(Unavailable("the broker", "refused")).fix


def test_a_bug_is_told_by_its_type_and_place_and_never_quoted() -> None:
    """The message of an unexpected error may hold what a person wrote."""
    try:
        raise RuntimeError("제 마음은 아무도 몰라요")  # noqa: TRY301
    except RuntimeError as error:
        line = str(explain(error))
    assert "RuntimeError at test_cli_report.py:" in line
    assert "마음" not in line


def test_a_wrong_setting_is_told_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ION_MAX_BATCH_JOBS", "none at all")
    with pytest.raises(ValueError, match="max_batch_jobs") as caught:
        ClientSettings()
    trouble = explain(caught.value)
    assert (trouble.exit_code, trouble.field) == (2, "ION_MAX_BATCH_JOBS")
    assert "none at all" not in str(trouble)


def test_json_is_utf_8_and_readable(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    print_json({"a": "안녕"})
    out = capsysbinary.readouterr().out
    assert "안녕".encode() in out
    assert json.loads(out) == {"a": "안녕"}


def test_the_json_of_an_error_has_its_four_parts() -> None:
    assert Trouble(2, "C", "f", "p", "x").as_json() == {
        "error": {"code": "C", "field": "f", "problem": "p", "fix": "x"}
    }
