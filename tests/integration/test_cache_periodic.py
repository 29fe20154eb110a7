"""Warming and prefetching in real workers: after a crash, after a change of the catalogue, by the tasks."""

import os
import shutil
import signal
from importlib.resources import files
from pathlib import Path

import pytest

from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from producers import PersonaClient, PersonaRequest
from tests.support.stack import client_settings_for
from tests.support.valkey import Server, server
from tests.support.wait import wait_until
from workers.app import create_app
from workers.cache.recipes import EVERY, Recipe, packed
from workers.contract import names
from workers.settings import WorkerSettings

KEY = "calm-medium-learning"
POPULAR = [f"What does a monad do, part {number}?" for number in range(20)]


def test_a_crashed_worker_comes_back_with_the_popular_answers(tmp_path: Path) -> None:
    with server() as store, LocalStack(settings(tmp_path, store)) as stack:
        make_popular(stack, store)
        before = count(store, "warm.loaded")
        crash(stack)
        wait_until(lambda: count(store, "warm.loaded") >= before + len(POPULAR), 30)

        here, computed = count(store, "process.worker_local"), count(store, "process.computed")
        assert ask(stack, POPULAR) == [True] * len(POPULAR)
        wait_until(lambda: count(store, "process.worker_local") == here + len(POPULAR))
        assert count(store, "process.computed") == computed


def test_the_task_computes_popular_answers_of_a_new_catalogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new workers start without knowing what is popular, so that only the task can have computed it."""
    with server() as store:
        with LocalStack(settings(tmp_path, store)) as stack:
            make_popular(stack, store)
        store.client.rename("ion:cache:popular", "put aside")
        monkeypatch.setenv("ION_CATALOGUE_DIR", str(other_catalogue(tmp_path)))
        with LocalStack(settings(tmp_path, store)) as stack:
            computed = count(store, "warm.computed")
            store.client.rename("put aside", "ion:cache:popular")
            run_task(stack, names.CACHE_WARM)
            wait_until(lambda: count(store, "warm.computed") == computed + len(POPULAR), 20)
            assert ask(stack, POPULAR) == [True] * len(POPULAR)


def test_the_task_computes_what_batches_have_left_for_later(tmp_path: Path) -> None:
    with server() as store, LocalStack(settings(tmp_path, store)) as stack:
        store.client.rpush("ion:cache:ahead", packed(Recipe("process", POPULAR[0], KEY)))
        run_task(stack, names.CACHE_PREFETCH)
        wait_until(lambda: count(store, "prefetch.computed") == 1, 20)
        assert ask(stack, POPULAR[:2]) == [True, False]


def settings(tmp_path: Path, store: Server) -> LocalSettings:
    """Return a stack of one worker, over a cache server that outlives it."""
    return LocalSettings.model_validate(
        {
            "state_dir": tmp_path / "ion",
            "broker_url": None,
            "reply_url": None,
            "cache_url": store.url,
            "workers": 1,
            "beat": False,
        }
    )


def make_popular(stack: LocalStack, store: Server) -> None:
    """Ask so often that every recipe is written and the fleet's counts are told."""
    for _ in range(3):
        ask(stack, [text for text in POPULAR for _ in range(EVERY)])
    wait_until(lambda: len(list(store.client.scan_iter("ion:cache:q:*"))) == len(POPULAR))
    wait_until(lambda: store.client.zcard("ion:cache:popular") == len(POPULAR), 20)


def ask(stack: LocalStack, texts: list[str]) -> list[bool]:
    """Ask through a client without a cache of its own; return which answers came from the workers' cache."""
    with PersonaClient(client_settings_for(stack, cache_url="")) as client:
        outcomes = client.process_many([PersonaRequest(text, KEY) for text in texts])
    assert {outcome.status for outcome in outcomes} == {"ok"}
    return [outcome.cached for outcome in outcomes]


def crash(stack: LocalStack) -> None:
    """Kill the worker."""
    (worker,) = [process for process in stack.processes() if process.name == "worker1"]
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)


def run_task(stack: LocalStack, name: str) -> None:
    """Send the task *name* as beat does."""
    app = create_app(WorkerSettings.model_validate({"broker_url": stack.urls.broker_url}))
    try:
        app.send_task(name, queue=names.MAINTENANCE)
    finally:
        app.close()


def other_catalogue(tmp_path: Path) -> Path:
    """Return a copy of the catalogue with one template worded otherwise."""
    source = files("persona_system") / "data"
    with_changes = tmp_path / "catalogue"
    shutil.copytree(Path(str(source)), with_changes)
    template = next((with_changes / "templates").glob("elro.en.*"))
    template.write_text(template.read_text(encoding="utf-8") + "\nBe kind.\n", encoding="utf-8")
    return with_changes


def count(store: Server, name: str) -> int:
    """Return what all processes have counted together."""
    counted = store.client.hget("ion:cache:stats", name)
    return int(counted or 0)
