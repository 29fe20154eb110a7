"""``ion cache`` as users run it: a process of its own beside a real fleet with its cache."""

import json
import os
import pty
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from producers import PersonaClient, PersonaRequest
from producers.cache.counts import WAYS
from producers.settings import ClientSettings
from tests.support.stack import client_settings_for, start_stack
from tests.support.wait import wait_until

ION = Path(sys.executable).with_name("ion")


@pytest.fixture
def text() -> str:
    """A message that nobody has sent yet: the stack and its cache are shared with other tests."""
    return f"배포가 또 실패했어요. 어떻게 해야 하죠? {uuid.uuid4()}"


def environment(env: Mapping[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ION_")}
    return {**clean, **env}


def ion(env: Mapping[str, str], *words: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([ION, *words], capture_output=True, env=environment(env), timeout=60, check=False)


def ion_json(env: Mapping[str, str], *words: str) -> Any:
    done = ion(env, *words, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)


def cache(env: Mapping[str, str], *words: str) -> Any:
    return ion_json(env, "cache", *words)


def test_an_answer_from_asking_to_hitting_to_being_void(stack_env: Mapping[str, str], text: str) -> None:
    before = cache(stack_env, "explain", text, "--user-id", "u1")
    assert (before["would_hit"], before["store"]["state"]) == (False, "absent")
    assert before["version"] == before["own_version"]

    ion_json(stack_env, "process", text, "--user-id", "u1")
    wait_until(lambda: cache(stack_env, "explain", text, "--user-id", "u1")["would_hit"], what="it is kept")
    kept = cache(stack_env, "explain", text, "--user-id", "u1")
    assert kept["id"] == before["id"]
    assert [tag["name"] for tag in kept["tags"]] == [tag["name"] for tag in before["tags"]]
    assert not cache(stack_env, "explain", text, "--user-id", "u2")["would_hit"]
    assert cache(stack_env, "explain", "--id", kept["id"])["endpoint"] == "process"

    told = cache(stack_env, "invalidate", "user:u1")
    assert told["listening"] >= 1
    after = cache(stack_env, "explain", text, "--user-id", "u1")
    assert (after["would_hit"], after["store"]["state"]) == (False, "void")
    assert "user:u1 was invalidated" in after["why"]


def test_ion_process_tells_what_came_from_the_cache(stack_env: Mapping[str, str], text: str) -> None:
    assert ion_json(stack_env, "process", text)["cached"] is False
    wait_until(lambda: ion_json(stack_env, "process", text)["cached"], what="it is kept")

    assert ion_json(stack_env, "process", text, "--no-cache")["cached"] is False
    assert "from the cache" in ion(stack_env, "process", text).stdout.decode()


def test_stats_count_each_job_once_whoever_answered_it(tmp_path: Path, text: str) -> None:
    """One computes it; then the same client has it, and another process finds it in the store.

    In a stack of its own, since the shared one's processes may still have counts to hand on.
    """
    stack = start_stack(tmp_path, workers=1)
    try:
        env = {**stack.urls.environment(), "ION_STATE_DIR": str(stack.settings.state_dir)}
        with PersonaClient(client_settings_for(stack)) as client:
            client.process(text)
            wait_until(lambda: cache(env, "explain", text)["would_hit"], what="it is kept")
            client.process(text)
            client.process(text)
        ion_json(env, "process", text)
        wait_until(lambda: cache(env, "stats")["all"]["asked"] >= 4, what="the counts are handed on")
        counts = cache(env, "stats")["endpoints"]["process"]
    finally:
        stack.stop()
    assert counts["asked"] == 4
    ways = {"producer_shared": 2, "producer_local": 1, "computed": 1}
    assert {way: count for way, count in counts.items() if count and way in WAYS} == ways
    assert counts["rates"]["producers"]["of"] == 4


def test_what_is_asked_most_comes_to_the_top_and_is_warmed_after_a_clear(
    stack_env: Mapping[str, str], client_settings: ClientSettings, text: str
) -> None:
    with PersonaClient(client_settings) as client:
        # several rounds, since a worker that holds the answer counts what reaches it
        for _ in range(8):
            client.process_many([PersonaRequest(text)] * 64)
    wanted = cache(stack_env, "explain", text)["id"]

    def ranked() -> bool:
        return wanted in {one["id"] for one in cache(stack_env, "top", "-n", "100")}

    wait_until(ranked, deadline_s=20, what="its popularity is shared")
    assert text.encode() not in ion(stack_env, "cache", "top").stdout

    assert cache(stack_env, "clear", "--yes")["answers"] > 0
    assert not cache(stack_env, "explain", text)["would_hit"]
    done = ion(stack_env, "cache", "warm")
    assert done.returncode == 0, done.stderr


def test_clear_asks_on_a_terminal(stack_env: Mapping[str, str]) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, b"n\n")
    with os.fdopen(theirs, "rb") as terminal:
        done = subprocess.run(
            [ION, "cache", "clear"],
            stdin=terminal,
            capture_output=True,
            env=environment(stack_env),
            timeout=60,
            check=False,
        )
    os.close(ours)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"void all answers" in done.stderr
    assert b"nothing was cleared" in done.stderr


def test_watching_goes_on_until_ctrl_c(stack_env: Mapping[str, str]) -> None:
    watching = subprocess.Popen(
        [ION, "cache", "stats", "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment(stack_env), "FORCE_COLOR": "1"},
    )
    assert watching.stdout is not None
    with watching:
        assert os.read(watching.stdout.fileno(), 1), "it has drawn something"
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=30)
    assert (watching.returncode, err) == (0, b"")


def test_without_a_stack_none_is_started(tmp_path: Path) -> None:
    env = {"ION_STATE_DIR": str(tmp_path / "ion")}
    for words in (["stats"], ["top"], ["explain", "hi"], ["invalidate", "persona:Lua"], ["clear"], ["warm"]):
        done = ion(env, "cache", *words)
        assert (done.returncode, done.stdout) == (3, b""), words
        assert b"no stack runs here" in done.stderr
    assert not (tmp_path / "ion").exists()
