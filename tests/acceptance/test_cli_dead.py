"""``ion dead`` as users run it: a process of its own beside a real fleet and its database."""

import json
import os
import pty
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.local.stack import LocalStack
from producers import PersonaClient
from tests.support.dead_letters import letter, send
from tests.support.wait import wait_until
from workers.contract.dead_letters import DeadLetter, Reason, letter_id
from workers.contract.payloads import Batch, Job

ION = Path(sys.executable).with_name("ion")
PATIENT_S = 60.0
pack = msgspec.msgpack.encode


def environment(env: Mapping[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ION_")}
    return {**clean, **env}


def ion(env: Mapping[str, str], *words: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [ION, "dead", *words], capture_output=True, env=environment(env), timeout=60, check=False, **options
    )


def ion_json(env: Mapping[str, str], *words: str) -> Any:
    done = ion(env, *words, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)


@pytest.fixture
def job_id() -> str:
    """A job that nobody has sent yet: the stack and its database are shared with other tests."""
    return f"dead-{uuid.uuid4().hex}"


def dead_batch(job_id: str, **given: Any) -> DeadLetter:
    job = Job(id=job_id, text="Why does it fail?", key="calm-medium-learning", deadline_ms=1)
    payload = pack(Batch(id="old", reply_to="gone", sent_ms=1, jobs=[msgspec.Raw(pack(job))]))
    fields = {
        "id": letter_id(payload),
        "at_ms": int(time.time() * 1000),
        "reason": Reason.UNDELIVERABLE,
        "job_ids": [job_id],
        "payload": payload,
    }
    return letter(**{**fields, **given})


def kept(env: Mapping[str, str], stack: LocalStack, given: DeadLetter) -> str:
    """Send the letter as a worker does, and wait until the fleet has kept it; return its id."""
    send(stack.urls.broker_url, given)
    wait_until(lambda: ion(env, "show", given.id).returncode == 0, PATIENT_S, "it is kept")
    return given.id


def test_a_job_that_died_is_answered_after_all(
    stack: LocalStack, stack_env: Mapping[str, str], client: PersonaClient, job_id: str
) -> None:
    letter_id = kept(stack_env, stack, dead_batch(job_id))
    assert letter_id in {each["id"] for each in ion_json(stack_env, "list", "--limit", "10000")["letters"]}
    assert b"Why does it fail?" not in ion(stack_env, "show", letter_id).stdout

    assert ion_json(stack_env, "retry", letter_id)[0]["sent"] is True

    def answered() -> bool:
        outcome = client.outcome(job_id)
        return outcome is not None and outcome.status == "ok"

    wait_until(answered, PATIENT_S, "its outcome can be looked up")
    shown = ion_json(stack_env, "show", letter_id)
    assert (shown["state"], shown["retries"], shown["deaths"]) == ("retried", 1, 1)
    assert ion_json(stack_env, "purge", letter_id, "--yes") == {"deleted": 1}
    assert ion(stack_env, "show", letter_id).returncode == 2


def test_one_that_dies_again_is_the_same_letter_with_a_longer_story(
    stack: LocalStack, stack_env: Mapping[str, str], job_id: str
) -> None:
    """No worker knows its task, neither now nor after the retry."""
    letter_id = kept(stack_env, stack, dead_batch(job_id, task="persona.unknown"))
    ion_json(stack_env, "retry", letter_id)
    wait_until(
        lambda: ion_json(stack_env, "show", letter_id)["deaths"] == 2, PATIENT_S, "it is dead once more"
    )
    shown = ion_json(stack_env, "show", letter_id, "--payload")
    assert (shown["state"], shown["reason"], shown["retries"]) == ("kept", "unknown_task", 1)
    assert [seen["what"] for seen in shown["story"]] == [
        "dead: undeliverable",
        "sent again",
        "dead: unknown_task",
    ]
    assert shown["payload"]["jobs"][0]["text"] == "Why does it fail?"
    ion_json(stack_env, "purge", letter_id, "--yes")


def test_purging_asks_on_a_terminal(stack: LocalStack, stack_env: Mapping[str, str], job_id: str) -> None:
    letter_id = kept(stack_env, stack, dead_batch(job_id))
    ours, theirs = pty.openpty()
    os.write(ours, b"n\n")
    with os.fdopen(theirs, "rb") as terminal:
        done = ion(stack_env, "purge", letter_id, stdin=terminal)
    os.close(ours)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"delete 1 dead letter for good?" in done.stderr
    assert b"nothing was deleted" in done.stderr
    assert ion(stack_env, "purge", letter_id, stdin=subprocess.DEVNULL).returncode == 2
    ion_json(stack_env, "purge", letter_id, "--yes")


def test_without_a_stack_none_is_started(tmp_path: Path) -> None:
    env = {"ION_STATE_DIR": str(tmp_path / "ion")}
    for words in (["list"], ["show", "x"], ["retry", "x"], ["purge", "x"]):
        done = ion(env, *words)
        assert (done.returncode, done.stdout) == (3, b""), words
        assert b"ion up" in done.stderr
    assert not (tmp_path / "ion").exists()
