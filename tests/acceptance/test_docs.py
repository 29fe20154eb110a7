"""The examples of the documentation are run as they stand there."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/client.md"]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks() -> list[Any]:
    found = []
    for page in PAGES:
        for number, block in enumerate(BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))):
            found.append(pytest.param(block, id=f"{page}-{number}"))
    return found


@pytest.mark.parametrize("block", blocks())
def test_an_example_runs(block: str, stack_env: dict[str, str]) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", block],
        env={**os.environ, **stack_env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_the_fastapi_example_answers(stack_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The app's own life cycle around a call of its route."""
    for name, value in stack_env.items():
        monkeypatch.setenv(name, value)
    (block,) = [b for b in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")) if "FastAPI" in b]
    example: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), example)  # noqa: S102 - our own documentation

    async def ask() -> dict[str, str]:
        async with example["app"].router.lifespan_context(example["app"]):
            answer: dict[str, str] = await example["ask"]("Why does my build fail?")
            return answer

    answer = asyncio.run(ask())
    assert answer["mentor"] in {"Lua", "Elro", "Riri", "Nana"}
    assert "Why does my build fail?" in answer["prompt"]


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
