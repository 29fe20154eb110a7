"""A gateway's health and readiness, as its servers and workers come and go."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from producers.broker import BrokerPublisher
from tests.support.gateway import Running, gateway
from tests.support.rabbit_host import virtual_host
from tests.support.valkey import Server, server
from tests.support.wait import wait_until
from workers.contract import names

BROKERS = Path(__file__).parents[2] / "docs" / "brokers.md"
SOON_S = 20.0  # it takes 3 s, on a machine that does nothing else
KEY = {"tone": "calm", "pace": "medium", "intent": "learning"}
FACTS = {"healthy", "service_status", "dependencies", "timestamp"}


def broker_url(broker: Server) -> str:
    return f"redis+socket://{broker.url.removeprefix('unix://')}"


def environment(directory: Path, broker: Server, cache: Server | None = None) -> dict[str, str]:
    return {
        "ION_BROKER_URL": broker_url(broker),
        "ION_CACHE_URL": "" if cache is None else cache.url,
        "ION_STATE_DIR": str(directory / "ion"),
    }


def one_worker(directory: Path, broker: Server, url: str | None = None) -> LocalStack:
    """A worker on *broker*, or on the broker at *url* with replies on *broker*; to be entered."""
    given = {
        "state_dir": directory / "ion",
        "broker_url": broker_url(broker) if url is None else url,
        "reply_url": broker.url,
        "workers": 1,
        "cache": False,
        "beat": False,
    }
    return LocalStack(LocalSettings.model_validate(given))


@pytest.fixture
def broker() -> Iterator[Server]:
    with server() as made:
        yield made


def health(running: Running) -> httpx.Response:
    return httpx.get(f"{running.url}/api/v2/health", timeout=20.0)


def condition(running: Running) -> str:
    found: str = health(running).json()["service_status"]["status"]
    return found


def trouble(running: Running, name: str) -> tuple[str, Any]:
    """Return how the dependency is, and what is wrong with it."""
    found = health(running).json()["dependencies"][name]
    return found["status"], found["detail"]


def ready(running: Running) -> tuple[int, Any]:
    response = httpx.get(f"{running.url}/readyz", timeout=20.0)
    return response.status_code, response.json()


def test_it_follows_its_broker_and_its_workers(broker: Server, tmp_path: Path) -> None:
    """No worker, one, the broker away, and back; health says it with its status and names what is missing."""
    with gateway(environment(tmp_path, broker), tmp_path) as running:
        assert health(running).status_code == 503
        assert trouble(running, "workers") == ("down", "no worker is there")
        assert ready(running) == (503, {"ready": False, "missing": ["workers"]})

        with one_worker(tmp_path, broker):
            wait_until(lambda: condition(running) == "operational", SOON_S)
            response = health(running)
            assert (response.status_code, response.json()["healthy"]) == (200, True)
            assert set(response.json()) == FACTS
            assert set(response.json()["dependencies"]) == {"broker", "replies", "workers"}
            assert ready(running) == (200, {"ready": True, "missing": []})

            broker.stop()
            wait_until(lambda: condition(running) == "down", SOON_S)
            response = health(running)
            assert (response.status_code, response.json()["healthy"]) == (503, False)
            assert trouble(running, "broker") == ("down", "it does not answer")
            untold = ("down", "nobody tells while the broker is away")
            wait_until(lambda: trouble(running, "workers") == untold, SOON_S)
            status, told = ready(running)
            assert (status, told["missing"][:2]) == (503, ["broker", "replies"])
            assert httpx.get(f"{running.url}/livez").text == "ok"
            assert str(broker.url) not in response.text

            broker.start()
            wait_until(lambda: ready(running)[0] == 200, SOON_S)
            wait_until(lambda: condition(running) == "operational", SOON_S)


def test_a_frozen_broker_is_found_and_holds_nobody_up(broker: Server, tmp_path: Path) -> None:
    """It takes connections and answers nothing; health answers from memory all the while."""
    with (
        one_worker(tmp_path, broker),
        gateway(environment(tmp_path, broker), tmp_path) as running,
    ):
        wait_until(lambda: condition(running) == "operational", SOON_S)
        broker.freeze()
        try:
            wait_until(lambda: condition(running) == "down", SOON_S)
            assert trouble(running, "replies") == ("down", "it does not answer")
        finally:
            broker.thaw()
        wait_until(lambda: condition(running) == "operational", SOON_S)


def test_without_its_cache_it_is_degraded_and_answers(broker: Server, tmp_path: Path) -> None:
    with (
        server() as cache,
        one_worker(tmp_path, broker),
        gateway(environment(tmp_path, broker, cache), tmp_path) as running,
    ):
        wait_until(lambda: condition(running) == "operational", SOON_S)
        cache.stop()
        wait_until(lambda: condition(running) == "degraded", SOON_S)

        response = health(running)
        assert (response.status_code, response.json()["healthy"]) == (200, True)
        assert trouble(running, "cache") == ("down", "it does not answer")
        assert ready(running)[0] == 200
        asked = {"user_input": "Why does it fail?", "resonance_key": KEY}
        assert httpx.post(f"{running.url}/api/v2/process", json=asked, timeout=20).json()["success"]


def test_it_is_degraded_while_the_queue_is_full(broker: Server, tmp_path: Path) -> None:
    """One batch more than ION_MAX_QUEUE_BATCHES waits; status shows how many, and for how long."""
    limit = {"ION_MAX_QUEUE_BATCHES": "1"}
    with gateway({**environment(tmp_path, broker), **limit}, tmp_path) as running:
        assert trouble(running, "broker") == ("operational", None)
        publisher = BrokerPublisher(broker_url(broker), 5.0, 5.0)
        for number in range(2):
            publisher.publish("persona.process", names.INTERACTIVE, f"batch-{number}", b"", 1)
        publisher.close()

        full = ("degraded", "2 batches wait on the queue interactive")
        wait_until(lambda: trouble(running, "broker") == full, SOON_S)
        (region,) = httpx.get(f"{running.url}/api/v2/status").json()["regions"]
        waiting = {queue["name"]: queue["waiting"] for queue in region["queues"]}
        assert waiting == {**dict.fromkeys(names.QUEUES, 0), names.INTERACTIVE: 2}
        assert region["queues"][0]["oldest_age_s"] >= 0


def test_status_tells_what_runs_and_where(stack_env: dict[str, str], tmp_path: Path) -> None:
    with gateway(stack_env, tmp_path, region="seoul-1") as running:
        wait_until(lambda: condition(running) == "operational", SOON_S)
        told = httpx.get(f"{running.url}/api/v2/status").json()

    assert (told["success"], told["service"], told["api_versions"]) == (True, "ion-mentoring", ["1", "2"])
    assert (told["status"], told["uptime_s"] > 0) == ("operational", True)
    (region,) = told["regions"]
    assert (region["name"], region["status"], region["workers"]) == ("seoul-1", "operational", 2)
    assert [queue["name"] for queue in region["queues"]] == list(names.QUEUES)


def test_without_a_fleet_it_says_what_to_do_and_recovers_when_there_is_one(tmp_path: Path) -> None:
    """A client of a stack on this machine finds it by its note, whenever that comes."""
    settings = LocalSettings(
        state_dir=tmp_path / "ion", broker_url=None, reply_url=None, cache_url=None, workers=1, beat=False
    )
    with gateway({"ION_STATE_DIR": str(tmp_path / "ion")}, tmp_path) as running:
        assert "ion up" in str(trouble(running, "broker")[1])
        assert ready(running)[1]["missing"] == ["broker", "replies", "workers"]
        with LocalStack(settings):
            wait_until(lambda: condition(running) == "operational", SOON_S)


def test_a_process_that_stops_is_not_ready_at_once_and_answers_till_then(
    stack_env: dict[str, str], tmp_path: Path
) -> None:
    with gateway(stack_env, tmp_path, drain_s=60) as running:
        wait_until(lambda: ready(running)[0] == 200, SOON_S)
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: ready(running)[0] == 503, SOON_S)

        assert ready(running)[1] == {"ready": False, "missing": ["stopping"]}
        assert health(running).status_code == 200
        assert httpx.get(f"{running.url}/livez").status_code == 200
        running.process.send_signal(signal.SIGTERM)  # a second one takes effect at once
        running.process.wait(SOON_S)


def test_where_the_broker_tells_of_no_workers_they_are_asked(broker: Server, tmp_path: Path) -> None:
    """Kombu's own transport: a ping of all workers, and the next one with nobody left."""
    url = f"stock+{broker_url(broker)}"
    publisher = BrokerPublisher(url, 5.0, 5.0)
    variables = {**environment(tmp_path, broker), "ION_BROKER_URL": url}
    with one_worker(tmp_path, broker, url):
        assert publisher.workers(names.INTERACTIVE) is None
        wait_until(lambda: publisher.ping_workers(1.0) == 1, SOON_S)
        with gateway(variables, tmp_path) as running:
            wait_until(lambda: condition(running) == "operational", SOON_S)
    wait_until(lambda: publisher.ping_workers(1.0) == 0, SOON_S)
    publisher.close()


def test_where_only_answers_would_tell_of_workers_and_none_may_be_heard_they_count_as_there(
    broker: Server, tmp_path: Path
) -> None:
    """Kombu's own transport and the user ion-producer of docs/brokers.md: it hears no answers."""
    (rules,) = re.findall(
        r"^ACL SETUSER ion-producer (.+)$", BROKERS.read_text(encoding="utf-8"), re.MULTILINE
    )
    broker.client.execute_command("ACL", "SETUSER", "ion-producer", *rules.replace("PASSWORD", "x").split())
    address = broker_url(broker).replace("://", "://ion-producer:x@")
    variables = {"ION_BROKER_URL": f"stock+{address}?virtual_host=0", "ION_REPLY_URL": broker.url}
    with gateway({**environment(tmp_path, broker), **variables}, tmp_path) as running:
        wait_until(lambda: condition(running) == "operational", SOON_S)
        assert trouble(running, "workers") == ("operational", "this broker does not tell of workers")
        refused = {bytes(entry[7]) for entry in broker.client.execute_command("ACL", "LOG")}
        assert refused == {b"brpop"}


def test_rabbitmq_tells_of_workers(broker: Server, tmp_path: Path) -> None:
    with virtual_host() as url:
        publisher = BrokerPublisher(url, 5.0, 5.0)
        assert publisher.workers(names.INTERACTIVE) == 0
        publisher.close()
        variables = {"ION_BROKER_URL": url, "ION_REPLY_URL": broker.url}
        with (
            one_worker(tmp_path, broker, url),
            gateway({**environment(tmp_path, broker), **variables}, tmp_path) as running,
        ):
            wait_until(lambda: condition(running) == "operational", SOON_S)
            (region,) = httpx.get(f"{running.url}/api/v2/status").json()["regions"]
            assert region["workers"] == 1
