"""What operators read is what happened: the figures agree with the load's own count and times."""

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from persona_system.errors import InvalidInput
from producers.client import PersonaClient
from producers.requests import PersonaRequest
from tests.support.gateway import UNLIMITED, Running, environment_of, gateway
from tests.support.stack import client_settings_for, slow_worker_command
from tests.support.wait import wait_until
from workers.monitoring.figures import COLLECTIONS
from workers.monitoring.history import Reader
from workers.monitoring.metrics import PERSONA_NAMES
from workers.store.metric_history import open_history

MOODS = (
    "배포가 또 실패했어요. 너무 답답해요!",
    "How does the cache decide what it keeps?",
    "I am so confused, who of the team does what now??",
    "The p95 went from 40 to 90 ms; what do the numbers say?",
)
SEEN_S = 20.0  # a report each 5 s, collected each second, on a busy machine


@dataclass
class Load:
    """What a load has done, by its own watch."""

    took_ms: dict[str, list[float]] = field(default_factory=dict)  # endpoint -> each job
    rejected: int = 0
    personas: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def jobs(self) -> int:
        return sum(map(len, self.took_ms.values())) + self.rejected

    def p95(self, endpoint: str) -> float:
        """The value that 95 % do not exceed, by nearest rank."""
        values = sorted(self.took_ms[endpoint])
        return values[math.ceil(0.95 * len(values)) - 1]

    def note(self, endpoint: str, begun_s: float) -> None:
        """A job of *endpoint* that began then has its answer."""
        with self.lock:
            self.took_ms.setdefault(endpoint, []).append((time.perf_counter() - begun_s) * 1000)

    def answered(self, persona: str) -> None:
        with self.lock:
            self.personas[persona] += 1


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalStack, Running, Load]]:
    """A stack with a gateway after a load: from Python, in bulk and over HTTP, with repeats and bad input."""
    directory = tmp_path_factory.mktemp("figures")
    settings = LocalSettings(
        state_dir=directory / "ion",
        broker_url=None,
        reply_url=None,
        cache_url=None,
        workers=2,
        beat=True,
        flower=False,
        gateway=False,
    )
    stack = LocalStack(settings, worker_command=slow_worker_command)
    stack.start()
    try:
        with gateway(environment_of(stack), directory, metrics=True, rate_limit_address=UNLIMITED) as running:
            load = Load()
            put_load(stack, running, load)
            yield stack, running, load
    finally:
        stack.stop()


def put_load(stack: LocalStack, running: Running, load: Load) -> None:
    with PersonaClient(client_settings_for(stack)) as client:
        _from_python(client, load)
        _in_bulk(client, load)
    with running.client() as http, ThreadPoolExecutor(6) as pool:
        _over_http(http, -1, load)
        list(pool.map(lambda number: _over_http(http, number, load), range(90)))


def _from_python(client: PersonaClient, load: Load) -> None:
    def one(number: int) -> None:
        """Take the time when the answer is there, not when a thread of ours gets to run."""
        begun_s = time.perf_counter()
        handle = client.submit(PersonaRequest(f"{MOODS[number % 4]} ({number % 80})"))
        handle._future.add_done_callback(lambda _: load.note("process", begun_s))
        load.answered(handle.result().persona_used)

    one(0)  # connects, which is no part of how long the fleet takes
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(120)))  # a third was asked before
    for _ in range(7):
        with pytest.raises(InvalidInput):
            client.process("")
        load.rejected += 1


def _in_bulk(client: PersonaClient, load: Load) -> None:
    for part in range(3):
        begun_s = time.perf_counter()
        requests = [PersonaRequest(f"Row {part}-{row}", "calm-medium-learning") for row in range(200)]
        for outcome in client.submit_batch(requests).result():
            load.note("bulk_process", begun_s)
            load.answered(outcome.unwrap().persona_used)


def _over_http(http: httpx.Client, number: int, load: Load) -> None:
    begun_s = time.perf_counter()
    answer = http.post("/api/v2/recommend", json={"scenario": f"{MOODS[number % 4]} (step {number})"})
    load.note("recommend", begun_s)
    load.answered(answer.json()["recommended_persona"])


def ion(stack: LocalStack, *arguments: str) -> str:
    """Return what an ``ion`` command prints."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ion")), *arguments],
        env={**os.environ, **environment_of(stack)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def figures(stack: LocalStack) -> Reader:
    """Return who reads what the stack has measured."""
    assert stack.urls.database_url is not None
    return Reader(open_history(stack.urls.database_url))


def value(reader: Reader, name: str, labels: tuple[str, ...] = ()) -> dict[tuple[str, ...], float | None]:
    found = reader.by(COLLECTIONS[name], time.time(), 3_600, labels)
    return {group: reading.value for group, reading in found.items()}


def answers_by_mentor(reader: Reader) -> Counter[str]:
    """Return how often each mentor answered, as far as any did."""
    counts = {name: value(reader, f"persona_{name.lower()}_count").get((), 0) for name in PERSONA_NAMES}
    return Counter({name: int(count) for name, count in counts.items() if count})


def test_counts_agree_with_the_loads_own(busy: tuple[LocalStack, Running, Load]) -> None:
    stack, _, load = busy
    reader = figures(stack)
    wait_until(
        lambda: value(reader, "requests_total") == {(): load.jobs}, SEEN_S, "every job is counted, once"
    )

    asked = {endpoint: len(times) for endpoint, times in load.took_ms.items()}
    asked["process"] += load.rejected
    assert value(reader, "requests_total", ("endpoint",)) == {(name,): n for name, n in asked.items()}
    wait_until(
        lambda: answers_by_mentor(reader) == load.personas, SEEN_S, "every answer has its mentor, once"
    )
    assert value(reader, "error_rate_global") == {(): 0.0}


def test_times_agree_with_the_loads_own(busy: tuple[LocalStack, Running, Load]) -> None:
    """Within 2 %: the sketch is within 1 %, and a 50 ms analysis is long beside what a caller adds."""
    stack, _, load = busy
    reader = figures(stack)
    wait_until(
        lambda: value(reader, "requests_total") == {(): load.jobs}, SEEN_S, "every job is counted, once"
    )

    agrees(value(reader, "response_time_process")[()], load.took_ms["process"], 0.02)
    agrees(value(reader, "response_time_recommend")[()], load.took_ms["recommend"], 0.1)  # HTTP comes on top


def agrees(p95_ms: float | None, own_ms: list[float], share: float) -> None:
    """The figure is within *share* of the load's own p95, give or take two ranks: batches end together."""
    rank = math.ceil(0.95 * len(own_ms)) - 1
    near_ms = sorted(own_ms)[rank - 2 : rank + 3]
    assert p95_ms is not None
    assert near_ms[0] * (1 - share) <= p95_ms <= near_ms[-1] * (1 + share)


def test_prometheus_and_the_dashboards_say_the_same(busy: tuple[LocalStack, Running, Load]) -> None:
    stack, running, load = busy
    reader = figures(stack)
    wait_until(lambda: value(reader, "requests_total") == {(): load.jobs}, SEEN_S, "every job is counted")
    wait_until(lambda: answers_by_mentor(reader) == load.personas, SEEN_S, "every answer has its mentor")

    with running.client() as http:
        text = http.get("/metrics").text
        pages = {form: http.get(f"/dashboards/performance{form}") for form in ("", ".json", ".md")}
    totals = {family.name: sum(_totals(family)) for family in text_string_to_metric_families(text)}
    assert totals["ion_requests"] == load.jobs
    assert totals["ion_gateway_jobs"] == len(load.took_ms["recommend"])
    assert {page.status_code for page in pages.values()} == {200}
    shown = {
        form: ion(stack, "dashboard", "overview", "--format", form) for form in ("text", "json", "html", "md")
    }
    shares = panel(json.loads(shown["json"]), "Answers by mentor")["shares"]
    assert {share["label"]: share["value"] for share in shares if share["value"]} == load.personas
    for mentor, count in load.personas.items():
        for form in ("text", "html", "md"):
            assert mentor in shown[form], form
            assert f"{count} jobs" in shown[form].replace("\n", " "), form
    assert json.loads(ion(stack, "alerts", "list", "--json"))["alerts"] == []


def panel(board: dict[str, Any], title: str) -> dict[str, Any]:
    return next(one for one in board["panels"] if one["title"] == title)


def _totals(family: Metric) -> list[float]:
    return [sample.value for sample in family.samples if sample.name.endswith("_total")]
