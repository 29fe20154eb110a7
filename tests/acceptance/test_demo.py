"""The demo, as `make demo` runs it: in an empty directory, with nothing set up."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.processes import left_of

ION = Path(sys.executable).with_name("ion")


def run_demo(directory: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if not name.startswith("ION_")}
    return subprocess.run(
        [ION, "demo", *options],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_the_demo_shows_what_it_did_and_leaves_nothing_running(tmp_path: Path) -> None:
    run = run_demo(tmp_path)

    assert run.returncode == 0, run.stderr
    for said in ("jobs/s", "p50", "p95", "p99", "Lua", "Elro", "Riri", "Nana", "Korean", "English", "ion up"):
        assert said in run.stdout
    assert run.stdout.count("╭") == 3  # sample prompts
    assert left_of(tmp_path / ".ion") == []


def test_the_demos_outcomes_reconcile(tmp_path: Path) -> None:
    run = run_demo(tmp_path, "--json")

    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["app"]["jobs"] == said["pipeline"]["jobs"] == 6000
    assert sum(said["personas"].values()) == sum(said["languages"].values()) == 6000
    lines = (tmp_path / said["pipeline"]["outcomes"]).read_text(encoding="utf-8").splitlines()
    outcomes = [json.loads(line) for line in lines]
    assert [outcome["line"] for outcome in outcomes] == list(range(1, 6001))
    assert {outcome["status"] for outcome in outcomes} == {"ok"}
    messages = (tmp_path / ".ion/demo/messages.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(json.loads(m)["user_input"] in o["content"] for m, o in zip(messages, outcomes, strict=True))
