"""What is written about the API is what it does: the page, its examples, and the programs to copy."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_docs import EXAMPLES, PAGE, PROGRAMS, page, record
from tests.support.api_pages import document
from tests.support.gateway import Running, gateway
from tests.support.guarded import guarded_gateway

OLD = "docs/api.md and its examples are out of date: run `make api-docs`"
RUNNERS = {".sh": "bash", ".py": sys.executable, ".mjs": "node"}
TOLD = {  # what each topic's programs print at least, in whichever language they are written
    "1-answer-a-message": ["Lua", "배포가 또 실패했어요. 어떻게 해야 하죠?"],
    "2-come-back-later": ["pending", "ok", "Nana"],
    "3-many-at-once": ["Lua", "INVALID_INPUT", "requests[2].user_input"],
    "4-which-mentor": ["Nana", "cross_team_collaboration"],
    "5-errors-and-retries": ["INVALID_INPUT", "resonance_key.tone", "Elro"],
}


@pytest.fixture(scope="module")
def guarded(
    stack_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, str]]:
    with guarded_gateway(stack_env, tmp_path_factory.mktemp("gateway")) as started:
        yield started


def test_the_page_is_up_to_date() -> None:
    assert page(document()) == PAGE.read_text(encoding="utf-8"), OLD


def test_the_examples_are_what_a_gateway_answers(guarded: tuple[Running, str]) -> None:
    """Each request in the document gets the response in the document, up to times, ids and luck."""
    written: dict[str, Any] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    running, key = guarded
    with running.client(headers={"X-API-Key": key}) as client:
        assert record(written, document(), client) == written, OLD


def test_every_topic_has_a_program_in_every_language() -> None:
    found = {file.name for file in PROGRAMS.glob("[0-9]-*")}
    assert found == {f"{topic}{ending}" for topic in TOLD for ending in RUNNERS}


@pytest.mark.parametrize("name", [f"{topic}{ending}" for topic in TOLD for ending in RUNNERS])
def test_a_program_runs_as_it_stands(name: str, guarded: tuple[Running, str], tmp_path: Path) -> None:
    running, key = guarded
    file = PROGRAMS / name
    runner = needed(RUNNERS[file.suffix])
    if file.suffix == ".sh":
        needed("curl")
    run = subprocess.run(
        [runner, str(file)],
        env={**os.environ, "ION_URL": running.url, "ION_API_KEY": key},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    for words in TOLD[file.stem]:
        assert words in run.stdout


def needed(program: str) -> str:
    """Return where *program* is; without it, CI fails, and elsewhere the test says what it did not test."""
    found = shutil.which(program)
    if found is None:
        told = f"NOT TESTED: the examples of docs/api.md for {program}, which is not on the path"
        if "CI" in os.environ:
            pytest.fail(told)
        pytest.skip(told)
    return found


def test_the_readmes_requests_are_answered(stack_env: dict[str, str], tmp_path: Path) -> None:
    """All of its shell session, with ``ion`` on the path; curl -f fails on a refusal."""
    needed("curl")
    readme = (PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    (session,) = [
        block for block in re.findall(r"^```sh\n(.*?)^```", readme, re.M | re.S) if "curl $API" in block
    ]
    with gateway(stack_env, tmp_path) as running:
        local = session.replace("http://127.0.0.1:8000", running.url).replace("curl ", "curl -fsS ")
        run = subprocess.run(
            [needed("bash"), "-euo", "pipefail", "-c", local],
            env={**os.environ, **stack_env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    assert '"persona_used":"Lua"' in run.stdout
    assert "event: ended" in run.stdout
