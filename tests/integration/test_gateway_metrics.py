"""/metrics of real gateway processes, read with Prometheus' own parser."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateway import Running, gateway
from tests.support.wait import wait_until

PROCESS = "/api/v2/process"
ASKED = {
    "user_input": "Why does it fail?",
    "resonance_key": {"tone": "calm", "pace": "medium", "intent": "learning"},
}
SOON_S = 20.0  # copies are a second old at most
REPLACED_S = 60.0  # a parent that was just asking a process for a sign of life waits 30 s for it


def value(running: Running, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have *labels*."""
    text = httpx.get(f"{running.url}/metrics", timeout=20).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"ion_gateway_{name}" and labels.items() <= sample.labels.items()
    )


def processes(running: Running) -> list[psutil.Process]:
    """Return those that share the port."""
    children = psutil.Process(running.process.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    """Within the block, the other one answers."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def ask(running: Running, times: int = 1) -> None:
    for _ in range(times):
        assert httpx.post(f"{running.url}{PROCESS}", json=ASKED, timeout=20).status_code == 200


def test_two_processes_add_up_and_one_that_is_killed_is_not_forgotten(
    stack_env: dict[str, str], tmp_path: Path
) -> None:
    """3 requests to one process and 2 to the other are 5, whichever is asked; counters never fall."""

    def count() -> float:
        return value(running, "requests_total", route=PROCESS, status="2xx")

    def count_without(process: psutil.Process) -> float:
        with frozen(process):
            return count()

    with gateway(stack_env, tmp_path, metrics=True, processes=2) as running:
        wait_until(lambda: value(running, "processes") == 2, SOON_S)
        first, second = processes(running)
        with frozen(second):
            ask(running, 3)
        with frozen(first):
            ask(running, 2)

        wait_until(lambda: count_without(first) == 5, SOON_S)
        wait_until(lambda: count_without(second) == 5, SOON_S)
        assert value(running, "jobs_total") == 5
        wait_until(lambda: value(running, "requests_in_flight") == 1, SOON_S)  # that of the question

        first.kill()
        wait_until(lambda: value(running, "processes") == 2 and not first.is_running(), REPLACED_S)
        assert count() == 5
        ask(running)
        wait_until(lambda: count() == 6, SOON_S)


def test_every_answer_counts_once_and_what_callers_make_up_does_not_name_anything(
    stack_env: dict[str, str], tmp_path: Path
) -> None:
    with gateway(stack_env, tmp_path, metrics=True) as running:
        for number in range(5):
            httpx.get(f"{running.url}/api/v2/secret-{number}")
            httpx.get(f"{running.url}/api/v2/personas/secret-{number}")
        httpx.post(f"{running.url}{PROCESS}", content=b"[", headers={"content-type": "application/json"})
        text = httpx.get(f"{running.url}/metrics").text

        assert "secret" not in text
        assert value(running, "requests_total", route="none", status="4xx") == 5
        assert value(running, "requests_total", route="/api/v2/personas/{name}", status="4xx") == 5
        assert value(running, "request_duration_seconds_count", route="/api/v2/personas/{name}") == 5
        codes = {
            code: value(running, "refusals_total", code=code) for code in ("NOT_FOUND", "UNKNOWN_PERSONA")
        }
        assert codes == {"NOT_FOUND": 5, "UNKNOWN_PERSONA": 5}
        assert value(running, "refusals_total", code="INVALID_JSON") == 1


def test_jobs_and_the_cache_are_counted(stack_env: dict[str, str], tmp_path: Path) -> None:
    """Each message once: of three that are asked twice, the second is answered from the cache."""
    texts = [f"Why does build {number} of {tmp_path.name} fail?" for number in range(3)]
    bulk = {"requests": [{**ASKED, "user_input": text} for text in texts]}
    with gateway(stack_env, tmp_path, metrics=True) as running:
        wait_until(lambda: value(running, "dependency_up", dependency="workers") == 1, SOON_S)
        asked_again = 0

        def known() -> bool:
            nonlocal asked_again
            asked_again += 1
            answer = httpx.post(f"{running.url}/api/v2/bulk-process", json=bulk, timeout=20).json()
            return all(result["performance"]["cache_hit"] for result in answer["results"])

        wait_until(known, SOON_S)
        httpx.post(f"{running.url}/api/v2/recommend", json={"scenario": "a migration"}, timeout=20)

        hits, misses = value(running, "cache_hits_total"), value(running, "cache_misses_total")
        assert hits >= 3
        assert hits + misses == 3 * asked_again
        assert value(running, "jobs_total") == hits + misses + 1
        assert value(running, "workers") == 2
        assert value(running, "queue_length", queue="interactive") == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_there_is_nothing_unless_it_is_asked_for(
    stack_env: dict[str, str], tmp_path: Path, processes: int
) -> None:
    with gateway(stack_env, tmp_path, processes=processes) as running:
        assert httpx.get(f"{running.url}/metrics").status_code == 404


def test_who_runs_an_app_may_look_and_who_uses_it_may_not(stack_env: dict[str, str], tmp_path: Path) -> None:
    """Health and readiness are everybody's; metrics and the status are not."""

    def key(name: str, *options: str) -> dict[str, str]:
        command = [str(Path(sys.executable).with_name("ion")), "keys", "create", name, *options]
        run = subprocess.run(
            command, env={**os.environ, **env}, capture_output=True, text=True, check=True, timeout=60
        )
        return {"x-api-key": run.stdout.strip()}

    env = {**stack_env, "ION_DATABASE_URL": f"sqlite:///{tmp_path / 'ion.db'}"}
    app, person = key("prometheus", "--role", "service"), key("mina", "--role", "user", "--user", "mina")
    with gateway(env, tmp_path, anonymous=False, metrics=True) as running:

        def statuses(path: str) -> list[int]:
            url = f"{running.url}{path}"
            return [httpx.get(url, headers=shown).status_code for shown in (app, person, {})]

        wait_until(lambda: httpx.get(f"{running.url}/readyz").status_code == 200, SOON_S)
        assert statuses("/metrics") == [200, 403, 401]
        assert statuses("/api/v2/status") == [200, 200, 401]
        assert statuses("/api/v2/health") == [200, 200, 200]
        assert statuses("/readyz") == statuses("/livez") == [200, 200, 200]
        told = httpx.get(f"{running.url}/api/v2/health").json()["dependencies"]
        assert told["database"]["status"] == "operational"


def test_nothing_is_left_behind(
    stack_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory of the counts is private, and gone when the gateway has stopped."""
    shared = tmp_path / "tmp"
    shared.mkdir()
    monkeypatch.setenv("TMPDIR", str(shared))
    with gateway(stack_env, tmp_path, metrics=True, processes=2) as running:
        (directory,) = shared.glob("ion-gateway-*")
        assert directory.stat().st_mode & 0o777 == 0o700
        wait_until(lambda: len(list(directory.glob("*.counts"))) == 2, SOON_S)
        running.terminate()

    assert list(shared.iterdir()) == []
