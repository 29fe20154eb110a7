"""What people write, and what they show to be let in, is in no log line and in no refusal.

The gateway logs at DEBUG here, and all its libraries with it: an operator may turn that on at any time.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway import Running, gateway
from tests.support.raw_http import Line
from tests.support.wait import wait_until

WORDS = "zanzibar-quokka"
TEXT = f"나의 비밀은 {WORDS} 입니다"
PROCESS = "/api/v2/process"
KEY = {"tone": "calm", "pace": "medium", "intent": "learning"}
TURN = {"role": "user", "content": TEXT}
CONTEXT = {"user_id": WORDS, "session_id": WORDS, "message_history": [TURN]}
GOOD = {"user_input": TEXT, "context": CONTEXT, "metadata": {WORDS: WORDS}, "include_metadata": True}


@pytest.fixture
def loud(stack_env: dict[str, str], tmp_path: Path) -> Iterator[Running]:
    program = "tests.support.loud_gateway"
    with gateway(stack_env, tmp_path, program=program, max_body_kb=256, body_timeout_s=0.5) as running:
        assert "DEBUG" in running.log()
        yield running


def deep(levels: int) -> object:
    value: object = WORDS
    for _ in range(levels):
        value = {WORDS: value}
    return value


def asked(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


REFUSED = {
    "too long": asked(user_input=TEXT * 2_000),
    "another type": asked(user_input=[TEXT]),
    "a control character": asked(user_input=f"{TEXT}\x00"),
    "an unknown role": asked(context={**CONTEXT, "message_history": [{"role": WORDS, "content": TEXT}]}),
    "a text for a history": asked(context={**CONTEXT, "message_history": TEXT}),
    "a text for a context": asked(context=TEXT),
    "a text for metadata": asked(metadata=TEXT),
    "deep metadata": asked(metadata=deep(40)),
    "deeper metadata": asked(metadata=deep(80)),
    "a number that cannot be packed": asked(metadata={WORDS: 2**70}),
    "a text for a boolean": asked(use_cache=TEXT),
    "an unknown field": asked(tone=TEXT),
    "half a key": asked(resonance_key={"tone": "calm", "pace": "medium"}),
    "no object": [TEXT],
}
SHOWN = [
    {"X-API-Key": WORDS},
    {"X-API-Key": f"ion_abcdefabcdef_{WORDS}"},
    {"Authorization": f"Bearer {WORDS}"},
]


def test_nothing_that_a_person_wrote_leaves_by_the_log_or_a_refusal(loud: Running) -> None:
    with loud.client() as client:
        succeed(client)
        refusals = list(refuse(client))
    refusals += rubbish(loud)

    assert len(refusals) > 25
    assert not [told for told in refusals if WORDS in told]
    assert not [line for line in loud.log().splitlines() if WORDS in line]
    assert "ERROR" not in loud.log()


def succeed(client: httpx.Client) -> None:
    """Go through everything that succeeds, from the cache and not."""
    for body in (GOOD, GOOD, asked(use_cache=False), asked(resonance_key=KEY)):
        response = client.post(PROCESS, json=body, headers={"Cookie": WORDS}, params={"a": WORDS})
        assert response.status_code == 200
        assert WORDS in response.json()["content"]
    assert client.post("/api/v2/recommend", json={"scenario": TEXT}).status_code == 200
    assert (
        client.post("/api/persona/process", json={"user_input": TEXT, "resonance_key": WORDS}).status_code
        == 200
    )
    accepted = client.post(PROCESS, json=GOOD, headers={"Prefer": "respond-async", "Idempotency-Key": WORDS})
    place = accepted.headers["location"]
    assert WORDS not in place
    wait_until(lambda: client.get(place).json()["status"] == "ok", 30, "the job has ended")
    assert "ended" in client.get(f"{place}/events").text


def refuse(client: httpx.Client) -> Iterator[str]:
    """Go through what is refused, and give what is told of it."""
    for name, body in REFUSED.items():
        response = client.post(PROCESS, json=body)
        assert response.status_code in (400, 422), name
        yield response.text
    told = client.post("/api/v2/bulk-process", json={"requests": list(REFUSED.values())[:3]}).json()
    assert (told["successful"], told["failed"]) == (0, 3)
    yield json.dumps(told)
    json_type = {"Content-Type": "application/json"}
    twice = f'{{"user_input": "{TEXT}", "user_input": "{TEXT}"}}'
    for raw in (
        f'{{"user_input": "{TEXT}',
        f"{WORDS}",
        twice,
        f'{{"user_input": {WORDS}}}',
        f'["{TEXT}", NaN]',
    ):
        yield refusal(client.post(PROCESS, content=raw, headers=json_type), 400)
    yield refusal(client.post(PROCESS, content=f'"{WORDS}'.encode("utf-16"), headers=json_type), 400)
    yield refusal(client.post(PROCESS, content=TEXT, headers={"Content-Type": f"text/{WORDS}"}), 415)
    yield refusal(client.post(PROCESS, content=TEXT * 10_000, headers=json_type), 413)
    key = {"Idempotency-Key": WORDS}
    yield refusal(client.post(PROCESS, json=asked(user_input=f"not {TEXT}"), headers=key), 422)
    yield refusal(client.post(PROCESS, json=GOOD, headers={"Prefer": f"wait={WORDS}"}), 400)
    yield refusal(client.post(PROCESS, json=GOOD, headers={"X-API-Version": WORDS}), 400)
    yield refusal(client.post(PROCESS, json=GOOD, headers={"X-Request-ID": f"{WORDS} {WORDS}"}), 400)
    yield refusal(client.get(f"/api/v2/jobs/{WORDS}"), 404)
    yield refusal(client.get(f"/{WORDS}"), 404)
    yield refusal(client.get("/api/v2/personas", headers={"X-A": WORDS * 1_000}), 431)
    for shown in SHOWN:
        yield refusal(client.get("/api/v2/personas", headers=shown), 401)


def rubbish(loud: Running) -> list[str]:
    """Send what is no request at all, and return what is told of it."""
    head = f"POST {PROCESS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    told = []
    for data in (
        f"{WORDS} / HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET /{TEXT} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nX-A: {WORDS}\x00\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {WORDS}\r\n\r\n",
        f"{head}Content-Length: 999\r\n\r\n{TEXT}",
    ):
        with Line(loud.port) as line:
            told.append(line.send(data.encode()).answer().body.decode())
    return told


def refusal(response: httpx.Response, status: int) -> str:
    assert response.status_code == status
    assert response.json()["success"] is False
    return response.text
