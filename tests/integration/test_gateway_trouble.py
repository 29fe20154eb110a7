"""What callers are told when the fleet is away, full or absent, and that the gateway recovers by itself."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from infra.local.stack import LocalStack
from tests.support.gateway import Running, gateway
from tests.support.proxy import Proxy
from tests.support.raw_http import Line
from tests.support.valkey import Server, server
from tests.support.wait import wait_until
from workers.contract import names

PROCESS = "/api/v2/process"
KNOWN, UNKNOWN = "한 번 물어본 것", "처음 물어보는 것"
QUEUE = f"{names.BROKER_PREFIX}{names.INTERACTIVE}"
PATIENCE_S = 30.0  # for what takes two seconds where nothing else runs


@pytest.fixture
def line(stack: LocalStack) -> Iterator[Proxy]:
    """A way to the shared stack's broker that can be cut."""
    made = Proxy(urlsplit(stack.urls.reply_url).path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def far(line: Proxy, stack_env: dict[str, str], tmp_path: Path) -> Iterator[httpx.Client]:
    """A gateway that reaches broker and reply store by *line* only; the cache is near."""
    url = f"redis://127.0.0.1:{line.port}/0"
    environment = {**stack_env, "ION_BROKER_URL": url, "ION_REPLY_URL": url}
    with gateway(environment, tmp_path) as running, running.client() as client:
        yield client


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[tuple[Running, Server]]:
    """A gateway before a broker without workers, that takes no more than two waiting messages."""
    with server() as valkey:
        broker = f"redis+socket://{valkey.url.removeprefix('unix://')}?virtual_host=0"
        environment = {
            "ION_BROKER_URL": broker,
            "ION_REPLY_URL": valkey.url,
            "ION_CACHE_URL": "",
            "ION_DATABASE_URL": "",
            "ION_STATE_DIR": str(tmp_path),
            "ION_MAX_QUEUE_BATCHES": "2",
        }
        with gateway(environment, tmp_path) as running:
            yield running, valkey


def ask(client: httpx.Client, text: str, **headers: str) -> httpx.Response:
    return client.post(PROCESS, json={"user_input": text}, headers=headers)


def refusal(response: httpx.Response) -> tuple[int, str]:
    told = response.json()
    assert list(told) == ["success", "error", "request_id", "timestamp"]
    return response.status_code, told["error"]["code"]


def test_without_a_broker_new_questions_are_refused_and_known_ones_answered(
    line: Proxy, far: httpx.Client
) -> None:
    wait_until(lambda: ask(far, KNOWN).json()["performance"]["cache_hit"], PATIENCE_S, "the answer is cached")

    line.change(refuses=True)
    line.reset_all()
    wait_until(lambda: ask(far, UNKNOWN).status_code == 503, PATIENCE_S, "it is noticed")
    response = ask(far, UNKNOWN)
    assert refusal(response) == (503, "UNAVAILABLE")
    assert response.headers["retry-after"] == "2"
    assert str(line.port) not in response.text  # where our servers are is nobody's business
    assert refusal(ask(far, UNKNOWN, Prefer="respond-async")) == (503, "UNAVAILABLE")
    assert refusal(far.get(f"/api/v2/jobs/{'a' * 64}")) in ((503, "UNAVAILABLE"), (404, "UNKNOWN_JOB"))
    bulk = far.post(
        "/api/v2/bulk-process", json={"requests": [{"user_input": f"{UNKNOWN} {n}"} for n in (1, 2)]}
    )
    assert refusal(bulk) == (503, "UNAVAILABLE")
    known = ask(far, KNOWN)
    assert (known.status_code, known.json()["performance"]["cache_hit"]) == (200, True)
    mixed = far.post("/api/v2/bulk-process", json={"requests": [{"user_input": t} for t in (KNOWN, UNKNOWN)]})
    assert [result["success"] for result in mixed.json()["results"]] == [True, False]

    line.change(refuses=False)
    wait_until(lambda: ask(far, UNKNOWN).status_code == 200, PATIENCE_S, "it recovers")


def test_without_workers_a_caller_waits_as_long_as_it_said(lonely: tuple[Running, Server]) -> None:
    with lonely[0].client() as client:
        response = ask(client, UNKNOWN, Prefer="wait=1")
        assert refusal(response) == (504, "DEADLINE_EXCEEDED")


def test_a_full_queue_says_when_to_come_again(lonely: tuple[Running, Server]) -> None:
    """The gateway looks at the queue now and then; what it has taken, it keeps."""
    running, _ = lonely
    accepted: list[str] = []

    def is_full() -> bool:
        response = ask(client, UNKNOWN, Prefer="respond-async")
        if response.status_code == 202:
            accepted.append(response.headers["location"])
            return False
        assert refusal(response) == (503, "OVERLOADED")
        assert int(response.headers["retry-after"]) >= 1
        return True

    with running.client() as client:
        wait_until(is_full, PATIENCE_S, "the queue is full")
        assert len(accepted) >= 2
        for place in accepted:
            assert client.get(place).json()["status"] == "pending"
        assert refusal(ask(client, UNKNOWN)) == (503, "OVERLOADED")
        bulk = client.post("/api/v2/bulk-process", json={"requests": [{"user_input": UNKNOWN}]})
        assert refusal(bulk) == (503, "OVERLOADED")


def test_a_caller_who_leaves_while_its_job_is_under_way_is_no_fault(lonely: tuple[Running, Server]) -> None:
    """The job is on the queue, and stays there; the gateway forgets it at its deadline."""
    running, valkey = lonely
    body = json.dumps({"user_input": UNKNOWN}).encode()
    head = f"POST {PROCESS} HTTP/1.1\r\nHost: a\r\nPrefer: wait=1\r\nContent-Type: application/json\r\n"
    with Line(running.port) as caller:
        caller.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(lambda: valkey.client.llen(QUEUE) == 1, PATIENCE_S, "the job is on the queue")
    with running.client() as client:  # whose deadline is after the other one's
        assert refusal(ask(client, UNKNOWN, Prefer="wait=2")) == (504, "DEADLINE_EXCEEDED")
    assert "ERROR" not in running.log()


def test_a_broker_that_is_silent_is_told_from_one_that_is_slow(lonely: tuple[Running, Server]) -> None:
    running, valkey = lonely
    with running.client() as client:
        assert refusal(ask(client, UNKNOWN, Prefer="wait=1")) == (504, "DEADLINE_EXCEEDED")
        valkey.freeze()
        try:
            wait_until(lambda: ask(client, UNKNOWN).status_code == 503, PATIENCE_S, "the silence is noticed")
            assert json.loads(ask(client, UNKNOWN).text)["error"]["code"] in ("UNAVAILABLE", "OVERLOADED")
        finally:
            valkey.thaw()
