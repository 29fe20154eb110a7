"""Every refusal that a caller can provoke, over a real socket, from a real gateway before real workers."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Running, gateway
from tests.support.raw_http import Answer, Line, ask

PROCESS, BULK, RECOMMEND = "/api/v2/process", "/api/v2/bulk-process", "/api/v2/recommend"
TEXT = "배포가 또 실패했어요. 어떻게 해야 하죠?"
JSON = "application/json"


@pytest.fixture(scope="module")
def running(stack_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway that waits half a second for a body, which may have 64 KiB."""
    directory = tmp_path_factory.mktemp("gateway")
    with gateway(
        stack_env, directory, body_timeout_s=0.5, max_body_kb=64, rate_limit_address="10000/second"
    ) as made:
        yield made


@pytest.fixture(scope="module")
def stack_env(request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables that lead to the shared stack."""
    stack = request.getfixturevalue("stack")
    return {**stack.urls.environment(), "ION_STATE_DIR": str(stack.settings.state_dir)}


def request(
    method: str, path: str, body: bytes | None = None, kind: str | None = JSON, **headers: str
) -> bytes:
    """Return a request; an underscore in the name of a header is a hyphen."""
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway"]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
        if kind is not None:
            lines.append(f"Content-Type: {kind}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def post(path: str, value: object, **headers: str) -> bytes:
    return request("POST", path, json.dumps(value).encode(), **headers)


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def asked(**changes: Any) -> dict[str, Any]:
    return {"user_input": TEXT, **changes}


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and how it is refused."""

    data: bytes
    status: int
    code: str
    field: str | None = None


def bad(data: bytes, field: str | None) -> Case:
    return Case(data, 400, "INVALID_INPUT", field)


GOOD_TURN = {"role": "user", "content": "hi"}
HISTORY = [GOOD_TURN, GOOD_TURN, GOOD_TURN, {"role": "boss", "content": "hi"}]
KEY = {"tone": "calm", "pace": "medium", "intent": "learning"}
CASES = {
    "no JSON": Case(request("POST", PROCESS, b"{'a': 1}"), 400, "INVALID_JSON", "body"),
    "no body": Case(request("POST", PROCESS, b""), 400, "INVALID_JSON", "body"),
    "a key twice": Case(
        request("POST", PROCESS, b'{"user_input": "a", "user_input": "b"}'), 400, "INVALID_JSON", "body"
    ),
    "65 levels": Case(post(PROCESS, asked(metadata=deep(64))), 400, "INVALID_JSON", "body"),
    "another type": bad(post(PROCESS, asked(user_input=7)), "user_input"),
    "an empty text": bad(post(PROCESS, asked(user_input="")), "user_input"),
    "a blank text": bad(post(PROCESS, asked(user_input=" \n ")), "user_input"),
    "a long text": bad(post(PROCESS, asked(user_input="a" * 32_769)), "user_input"),
    "a control character": bad(post(PROCESS, asked(user_input="a\x00b")), "user_input"),
    "half a surrogate pair": bad(post(PROCESS, asked(user_input="a\ud800")), "user_input"),
    "half a surrogate pair in an id": bad(
        post(PROCESS, asked(context={"user_id": "\ud800"})), "context.user_id"
    ),
    "half a surrogate pair in metadata": bad(post(PROCESS, asked(metadata={"a": "\ud800"})), "metadata"),
    "an unknown field": bad(post(PROCESS, asked(tone="calm")), "tone"),
    "an unknown field inside": bad(post(PROCESS, asked(context={"mode": "x"})), "context.mode"),
    "an unknown tone": bad(post(PROCESS, asked(resonance_key={**KEY, "tone": "smug"})), "resonance_key.tone"),
    "an unknown role": bad(
        post(PROCESS, asked(context={"message_history": HISTORY})), "context.message_history[3].role"
    ),
    "a long id": bad(post(PROCESS, asked(context={"session_id": "s" * 129})), "context.session_id"),
    "deep metadata": bad(post(PROCESS, asked(metadata=deep(33))), "metadata"),
    "a huge number in metadata": bad(post(PROCESS, asked(metadata={"a": 2**70})), "metadata"),
    "no request in bulk": bad(post(BULK, {"requests": []}), "requests"),
    "an empty scenario": bad(post(RECOMMEND, {"scenario": " "}), "scenario"),
    "a wait of half a second": bad(post(PROCESS, asked(), Prefer="wait=0.5"), "Prefer"),
    "a wait of nothing": bad(post(PROCESS, asked(), Prefer="wait=0"), "Prefer"),
    "an idempotency key of another alphabet": bad(
        post(PROCESS, asked(), Idempotency_Key="k\x80"), "Idempotency-Key"
    ),
    "a request id with a blank": bad(request("GET", "/api/v2/personas", X_Request_ID="a b"), "X-Request-ID"),
    "another version": bad(request("GET", "/api/v2/personas", X_API_Version="3"), "X-API-Version"),
    "nothing here": Case(request("GET", "/api/v2/nothing"), 404, "NOT_FOUND"),
    "no persona": Case(request("GET", "/api/v2/personas/Bob"), 404, "UNKNOWN_PERSONA", "name"),
    "no job": Case(request("GET", f"/api/v2/jobs/{'a' * 64}"), 404, "UNKNOWN_JOB", "job_id"),
    "no job's events": Case(request("GET", f"/api/v2/jobs/{'a' * 64}/events"), 404, "UNKNOWN_JOB", "job_id"),
    "a path upwards": Case(request("GET", "/api/v2/personas/..%2f..%2fetc%2fpasswd"), 404, "NOT_FOUND"),
    "dots in a path": Case(request("GET", "/api/v2/../v2/personas"), 404, "NOT_FOUND"),
    "two slashes": Case(request("GET", "//api/v2/personas"), 404, "NOT_FOUND"),
    "a slash at the end": Case(request("GET", "/api/v2/personas/"), 404, "NOT_FOUND"),
    "a semicolon": Case(request("GET", "/api/v2/personas;a=b"), 404, "NOT_FOUND"),
    "NUL in a path": Case(request("GET", "/api/v2/personas/%00"), 404, "UNKNOWN_PERSONA", "name"),
    "no UTF-8 in a path": Case(request("GET", "/api/v2/personas/%ff%fe"), 404, "UNKNOWN_PERSONA", "name"),
    "a line end in a path": Case(
        request("GET", "/api/v2/jobs/%0d%0aSet-Cookie:%20a=1"), 404, "UNKNOWN_JOB", "job_id"
    ),
    "another method": Case(request("PUT", "/api/v2/personas"), 405, "METHOD_NOT_ALLOWED"),
    "GET where POST is": Case(request("GET", PROCESS), 405, "METHOD_NOT_ALLOWED"),
    "OPTIONS": Case(request("OPTIONS", "/api/v2/personas"), 405, "METHOD_NOT_ALLOWED"),
    "TRACE": Case(request("TRACE", "/api/v2/personas", Cookie="a=b"), 405, "METHOD_NOT_ALLOWED"),
    "a large body": Case(request("POST", PROCESS, b" " * 65_537), 413, "TOO_LARGE", "body"),
    "a body that says it is large": Case(
        request("POST", PROCESS, b"").replace(b"Length: 0", b"Length: 9999999999"), 413, "TOO_LARGE", "body"
    ),
    "101 requests": Case(post(BULK, {"requests": [{}] * 101}), 413, "TOO_MANY_REQUESTS", "requests"),
    "no media type": Case(
        request("POST", PROCESS, b"{}", kind=None), 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type"
    ),
    "another media type": Case(
        request("POST", PROCESS, b"{}", kind="text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type"
    ),
    "a form": Case(
        request("POST", PROCESS, b"user_input=a", kind="application/x-www-form-urlencoded"),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "Content-Type",
    ),
    "another charset": Case(
        request("POST", PROCESS, b"{}", kind=f"{JSON}; charset=utf-16"),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "Content-Type",
    ),
    "a bomb": Case(
        request("POST", PROCESS, gzip.compress(b" " * 10_000_000), Content_Encoding="gzip"),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "Content-Encoding",
    ),
    "a missing field": Case(post(PROCESS, {}), 422, "MISSING_FIELD", "user_input"),
    "a missing field inside": Case(
        post(PROCESS, asked(resonance_key={"tone": "calm", "pace": "medium"})),
        422,
        "MISSING_FIELD",
        "resonance_key.intent",
    ),
    "a missing scenario": Case(post(RECOMMEND, {}), 422, "MISSING_FIELD", "scenario"),
    "missing requests": Case(post(BULK, {}), 422, "MISSING_FIELD", "requests"),
    "a missing text in version 1": Case(post("/api/persona/process", {}), 422, "MISSING_FIELD", "user_input"),
    "a missing pattern": Case(
        request("POST", "/api/v2/cache/invalidate", b""), 422, "MISSING_FIELD", "pattern"
    ),
    "large headers": Case(request("GET", "/api/v2/health", X_A="a" * 10_000), 431, "HEADERS_TOO_LARGE"),
    "a large address": Case(request("GET", f"/api/v2/personas?a={'a' * 10_000}"), 431, "HEADERS_TOO_LARGE"),
    "a million bytes of headers": Case(
        request("GET", "/api/v2/health", X_A="a" * 1_000_000), 431, "HEADERS_TOO_LARGE"
    ),
}


def check(answer: Answer, case: Case) -> None:
    refusal = answer.refusal()
    assert (answer.status, refusal["code"], refusal["field"]) == (case.status, case.code, case.field)
    assert refusal["message"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", CASES)
def test_refused(running: Running, name: str) -> None:
    check(ask(running.port, CASES[name].data), CASES[name])


def test_a_method_that_is_not_allowed_is_told_which_one_is(running: Running) -> None:
    assert ask(running.port, request("DELETE", "/api/v2/personas")).headers["allow"] == "GET"
    assert ask(running.port, request("GET", PROCESS)).headers["allow"] == "POST"


def test_head_is_refused_without_a_body(running: Running) -> None:
    answer = ask(running.port, request("HEAD", "/api/v2/personas"), method="HEAD")
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


def test_a_body_without_a_length_is_stopped_at_the_limit(running: Running) -> None:
    """64 KiB come, and one byte more; the last chunk never does."""
    head = request("POST", PROCESS, b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with Line(running.port) as line:
        line.send(head + b"10000\r\n" + b" " * 0x10000 + b"\r\n1\r\n \r\n")
        check(line.answer(), Case(head, 413, "TOO_LARGE", "body"))


@pytest.mark.parametrize("drip", [b"", b" "], ids=["silent", "dripping"])
def test_a_body_that_takes_too_long_is_not_waited_for(running: Running, drip: bytes) -> None:
    head = request("POST", PROCESS, b"").replace(b"Content-Length: 0", b"Content-Length: 60000")
    with Line(running.port) as line:
        answer = line.send(head + drip).answer()
        check(answer, Case(head, 408, "REQUEST_TIMEOUT"))
        assert answer.refusal()["message"] == "the body did not come within 0.5 s"


def test_an_idempotency_key_is_for_one_request(running: Running) -> None:
    key = {"Idempotency_Key": "order-17 of this test"}
    assert ask(running.port, post(PROCESS, asked(), **key)).status == 200
    assert ask(running.port, post(PROCESS, asked(), **key)).status == 200
    other = post(PROCESS, asked(user_input="something else"), **key)
    check(ask(running.port, other), Case(other, 422, "IDEMPOTENCY_CONFLICT", "Idempotency-Key"))


def test_a_bad_request_in_bulk_is_refused_by_itself(running: Running) -> None:
    requests = [asked(), {}, asked(user_input=""), asked(context={"message_history": HISTORY}), 7]
    answer = ask(running.port, post(BULK, {"requests": requests}))
    assert answer.status == 200
    told = json.loads(answer.body)
    assert (told["success"], told["total"], told["successful"], told["failed"]) == (False, 5, 1, 4)
    errors = [result.get("error") for result in told["results"]]
    assert errors[0] is None
    assert [(error["code"], error["field"]) for error in errors[1:]] == [
        ("MISSING_FIELD", "requests[1].user_input"),
        ("INVALID_INPUT", "requests[2].user_input"),
        ("INVALID_INPUT", "requests[3].context.message_history[3].role"),
        ("INVALID_INPUT", "requests[4]"),
    ]


def test_version_1_refuses_no_key(running: Running) -> None:
    for key in ("smug-medium-learning", "", 7, None, ["calm"], {"tone": "calm"}, "a-b-c-d", "\ud800-a-b"):
        answer = ask(running.port, post("/api/persona/process", {"user_input": TEXT, "resonance_key": key}))
        assert answer.status == 200, key


def test_whoever_comes_too_often_is_told_when_to_come_again(
    stack_env: dict[str, str], tmp_path: Path
) -> None:
    with gateway(stack_env, tmp_path, rate_limit_address="2/hour") as limited:
        answers = [ask(limited.port, request("GET", "/api/v2/personas")) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert answers[2].code() == "RATE_LIMITED"
        assert 1 <= int(answers[2].headers["retry-after"]) <= 3_600


def test_none_of_it_is_logged_as_a_fault(running: Running) -> None:
    """A caller's mistakes are no events of ours, however many there are."""
    for case in CASES.values():
        check(ask(running.port, case.data), case)
    assert "ERROR" not in running.log()
