"""A job that ends its workers: kept, sent again in vain, sent again once that is mended."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.local.commands import WorkerCommand, worker_command
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack, ignore_line
from producers import PersonaClient, PersonaRequest
from tests.support.stack import client_settings_for
from tests.support.wait import wait_until

ION = Path(sys.executable).with_name("ion")
PATIENT_S = 120.0
TEXT = "poison exit"

pytestmark = pytest.mark.timeout(400)


def poisonous_command(settings: LocalSettings, index: int) -> tuple[str, ...]:
    return tuple(
        "tests.support.poisonous_worker" if word == "workers.entry" else word
        for word in worker_command(settings, index)
    )


def a_stack(directory: Path, command: WorkerCommand) -> LocalStack:
    """Return a stack whose pool's processes may end without the workers, which is quick to mend."""
    given = {"state_dir": directory / "ion", "beat": False, "workers": 1, "cache": False}
    settings = LocalSettings.model_validate({**given, "worker_pool": "prefork", "worker_concurrency": 1})
    return LocalStack(settings, ignore_line, command)


def ion(stack: LocalStack, *words: str) -> Any:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ION_")}
    env: Mapping[str, str] = {
        **clean,
        **stack.urls.environment(),
        "ION_STATE_DIR": str(stack.settings.state_dir),
    }
    done = subprocess.run(
        [ION, "dead", *words, "--json"], capture_output=True, env=env, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)


def test_it_is_one_letter_from_its_first_death_to_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ION_TEST_RUNS", str(tmp_path / "runs"))
    with a_stack(tmp_path, poisonous_command) as stack, PersonaClient(client_settings_for(stack)) as client:
        deadline = timedelta(seconds=PATIENT_S)
        requests = [PersonaRequest(text, deadline=deadline) for text in ("fine", TEXT)]
        fine, poison = client.submit_batch(requests).result(PATIENT_S)
        assert (fine.status, poison.status) == ("ok", "dead")
        # its caller is told before the letter is kept, which makes the database if it is the first
        wait_until((stack.settings.state_dir / "ion.db").exists, PATIENT_S, "the database is there")
        wait_until(lambda: ion(stack, "list")["total"] == 1, PATIENT_S, "its letter is kept")
        [letter] = ion(stack, "list", "--reason", "crashed")["letters"]
        assert letter["job_ids"] == [poison.job_id]

        ion(stack, "retry", letter["id"])
        wait_until(lambda: ion(stack, "show", letter["id"])["deaths"] == 2, PATIENT_S, "it is dead again")
        again = ion(stack, "show", letter["id"])
        assert ion(stack, "list")["total"] == 1
        assert (again["state"], again["retries"]) == ("kept", 1)
        assert len(again["story"]) > len(letter["story"])
        assert "sent again" in [seen["what"] for seen in again["story"]]

    with a_stack(tmp_path, worker_command) as stack, PersonaClient(client_settings_for(stack)) as client:
        ion(stack, "retry", letter["id"])

        def answered() -> bool:
            outcome = client.outcome(poison.job_id)
            return outcome is not None and outcome.status == "ok"

        wait_until(answered, PATIENT_S, "the job is answered")
        assert ion(stack, "show", letter["id"])["state"] == "retried"
