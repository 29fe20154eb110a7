"""The API, tried by its own description: a thousand good and bad requests that schemathesis makes of it.

Whatever is sent, no answer is a fault of ours, is one that the document does not know, or has another form
than it says; what the document allows is taken, what it forbids is refused, and an address says which methods
it takes.  Jobs are made and followed by the links in the document.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.guarded import guarded_gateway

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("api.toml")


@pytest.mark.timeout(240)  # on a busy machine; a quiet one takes half a minute
def test_the_api_does_what_its_document_says(stack_env: dict[str, str], tmp_path: Path) -> None:
    with guarded_gateway(stack_env, tmp_path) as (running, key):
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)]
        run = subprocess.run(
            [*command, "run", f"{running.url}/openapi.json"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "ION_API_KEY": key},
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=200,
            check=False,
        )
        log = running.log()
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
    assert "13 selected / 13 total" in run.stdout
    assert "ended in a fault" not in log
