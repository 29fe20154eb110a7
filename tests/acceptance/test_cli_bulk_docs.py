"""The shell blocks of docs/bulk.md do what the page says."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "bulk.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r'^\{"line":\d+,"field".*\}$', re.MULTILINE)


def test_the_examples_run_in_order(stack_env: Mapping[str, str], tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ION_")}

    done = subprocess.run(
        ["/bin/sh", "-e", "-c", "".join(BLOCK.findall(page))],
        cwd=tmp_path,
        env={**clean, **stack_env, "PATH": path},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr.decode()
    rejects = (tmp_path / "answers.rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert SHOWN.findall(page) == rejects
