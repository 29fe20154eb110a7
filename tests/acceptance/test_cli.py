"""Each command as users run it: a process of its own, real servers, real workers.

``stack_env`` (tests/conftest.py) holds the environment variables that point to a running stack.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ION = Path(sys.executable).with_name("ion")
KOREAN = "배포가 또 실패했어요. 어떻게 해야 하죠?"
ENGLISH = "Our deployment failed again. What should I do?"


def ion(
    env: Mapping[str, str], *words: str, stdin: bytes = b"", cwd: Path | None = None
) -> "subprocess.CompletedProcess[bytes]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ION_")}
    return subprocess.run(
        [ION, *words],
        input=stdin,
        capture_output=True,
        env={**clean, **env},
        cwd=cwd,
        timeout=60,
        check=False,
    )


def ion_json(env: Mapping[str, str], *words: str, stdin: bytes = b"") -> Any:
    done = ion(env, *words, "--json", stdin=stdin)
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)


@pytest.mark.parametrize(("text", "language"), [(KOREAN, "ko"), (ENGLISH, "en")])
def test_process_gives_persona_key_and_prompt_in_the_language_of_the_text(
    stack_env: Mapping[str, str], text: str, language: str
) -> None:
    found = ion_json(stack_env, "process", text)

    assert found["persona_used"] in {"Lua", "Elro", "Riri", "Nana"}
    assert found["language"] == language
    assert text in found["content"]
    assert ("가" <= max(found["content"]) <= "힣") == (language == "ko")
    tone, _, rest = found["resonance_key"].partition("-")
    assert tone
    assert rest
    assert 0 <= found["confidence"] <= 1
    for axis in ("tone", "pace", "intent"):
        assert 0 <= found["analysis"][f"{axis}_confidence"] <= 1


def test_process_for_people_shows_who_answers_and_the_prompt(stack_env: Mapping[str, str]) -> None:
    done = ion(stack_env, "process", KOREAN, "--key", "calm-medium-learning", "--compact")
    out = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert "Elro" in out
    assert KOREAN in out


def test_process_reads_standard_input(stack_env: Mapping[str, str]) -> None:
    found = ion_json(stack_env, "process", "-", "--key", "calm-medium-plan", stdin=KOREAN.encode() + b"\n")
    assert found["resonance_key"] == "calm-medium-planning"
    assert KOREAN in found["content"]
    assert found["analysis"] is None


def test_a_preferred_persona_that_nobody_knows_is_refused(stack_env: Mapping[str, str]) -> None:
    done = ion(stack_env, "process", KOREAN, "--persona", "Nobody")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: ")
    assert KOREAN.encode() not in done.stderr


def test_recommend_names_a_mentor_and_what_it_is_good_at(stack_env: Mapping[str, str]) -> None:
    found = ion_json(stack_env, "recommend", "지표가 왜 떨어졌는지 모르겠어요")
    assert found["recommended_persona"] == found["capabilities"]["name"]
    assert set(found["scores"]) == {"Lua", "Elro", "Riri", "Nana"}
    assert ion(stack_env, "recommend", ENGLISH).returncode == 0


def test_doctor_finds_the_stack_well(stack_env: Mapping[str, str]) -> None:
    found = ion_json(stack_env, "doctor")
    assert found["healthy"]
    assert {"broker", "reply store", "queues", "workers"} <= {check["name"] for check in found["checks"]}


def test_an_absent_broker_is_exit_code_3_and_the_doctor_names_it(tmp_path: Path) -> None:
    env = {"ION_BROKER_URL": f"redis+socket://{tmp_path}/absent.sock", "ION_STATE_DIR": str(tmp_path)}

    done = ion(env, "process", KOREAN, "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["code"] == "UNAVAILABLE"
    assert b"Traceback" not in done.stderr

    seen = ion(env, "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(seen.stdout)["checks"]}
    assert seen.returncode == 1
    assert checks["broker"]["status"] == "fail"
    assert checks["broker"]["fix"]


def test_a_command_without_a_stack_starts_one_for_itself_and_leaves_nothing(tmp_path: Path) -> None:
    env = {"ION_STATE_DIR": str(tmp_path / "ion"), "ION_WORKERS": "1"}

    done = ion(env, "process", KOREAN, "--json", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "ok"
    assert done.stderr.decode().splitlines() == [
        "no stack is running here, starting one for this command; `ion up` keeps one running"
    ]
    assert not list(tmp_path.glob("ion/*.sock"))
    assert not (tmp_path / "ion" / "stack.json").exists()


def test_config_shows_all_parts_with_secrets_masked() -> None:
    env = {"ION_BROKER_URL": "redis://:hunter2@host:6379/0"}
    rows = ion_json(env, "config")
    parts = {"client", "gateway", "flower", "alerts", "rules", "stack", "worker"}
    assert {row["section"] for row in rows} == parts
    assert "hunter2" not in json.dumps(rows)
    assert b"hunter2" not in ion(env, "config").stdout


def test_commands_without_a_fleet_load_none_of_it() -> None:
    """So that they start within half a second; imports are counted since time depends on the machine."""
    program = (
        "import sys, infra.cli\n"
        "sys.argv = ['ion', *sys.argv[1:]]\n"
        "try: infra.cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'celery', 'kombu', 'redis', 'pydantic_settings', 'rich', 'psutil'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    for words in (["--help"], ["bulk", "run", "--help"], ["route", "--all", "--json"], ["route", "x"]):
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, check=True)
        assert done.stderr.splitlines()[-1] == b"[]", words


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [ION, "route", "--all", "--json"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_output_that_cannot_hold_korean_does_not_break_a_command() -> None:
    done = ion({"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}, "personas")
    assert done.returncode == 0
    assert b"Lua" in done.stdout
