"""What every endpoint takes and gives, field by field, in front of a real stack.

Source: facts of the system, section 7.
"""

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.gateway import gateway, shape
from tests.support.wait import wait_until

KOREAN = "배포가 또 실패했어요. 어떻게 해야 하죠?"
ENGLISH = "Our deployment failed again. What should I do?"
MENTORS = {"Lua", "Elro", "Riri", "Nana"}

SCORES = dict.fromkeys(sorted(MENTORS), "number")
ENDED_AT = {"timestamp": "timestamp", "request_id": "str"}
ANSWER = {
    "content": "str",
    "persona_used": "str",
    "confidence": "number",
    "resonance_key": {"tone": "str", "pace": "str", "intent": "str"},
    "routing": {
        "primary_persona": "str",
        "secondary_persona": "str",
        "confidence": "number",
        "scores": SCORES,
        "reasoning": "str",
    },
}
PROCESSED = {
    "success": "bool",
    **ANSWER,
    "performance": {"execution_time_ms": "number", "cache_hit": "bool", "cache_key": "str"},
    **ENDED_AT,
}
METADATA = {
    "user_provided_metadata": {"order": "number"},
    "language": "str",
    "template": "str",
    "analysis": {
        "tone_confidence": "number",
        "tone_runner_up": "str",
        "pace_confidence": "number",
        "intent_confidence": "number",
    },
}
REFUSED = {"success": "bool", "error": {"code": "str", "message": "str", "field": "str"}, **ENDED_AT}
MENTOR = {
    "name": "str",
    "traits": ["str"],
    "strengths": ["str"],
    "best_for_tones": ["str"],
    "best_for_paces": ["str"],
    "best_for_intents": ["str"],
}


@pytest.fixture(scope="module")
def api(stack_env: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with gateway(stack_env, tmp_path_factory.mktemp("gateway")) as running, running.client() as client:
        yield client


def post(api: httpx.Client, path: str, body: object, **headers: str) -> Any:
    answer = api.post(path, json=body, headers=headers)
    assert answer.status_code == httpx.codes.OK, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


@pytest.mark.parametrize(("text", "language"), [(KOREAN, "ko"), (ENGLISH, "en")], ids=["ko", "en"])
def test_process_answers_with_a_mentor_and_the_reasons(api: httpx.Client, text: str, language: str) -> None:
    told = post(api, "/api/v2/process", {"user_input": text})

    assert shape(told) == PROCESSED
    assert told["success"] is True
    assert text in told["content"]
    assert ("가" <= max(told["content"]) <= "힣") == (language == "ko")
    routing = told["routing"]
    assert told["persona_used"] == routing["primary_persona"] != routing["secondary_persona"]
    assert told["confidence"] == routing["confidence"]
    assert all(0 <= score <= 1 for score in (*routing["scores"].values(), told["confidence"]))
    assert routing["scores"][told["persona_used"]] == max(routing["scores"].values())
    assert told["performance"]["execution_time_ms"] > 0
    age = datetime.now(UTC) - datetime.fromisoformat(told["timestamp"])
    assert timedelta(seconds=-1) < age < timedelta(minutes=1)


@pytest.mark.parametrize("text", [KOREAN, ENGLISH], ids=["ko", "en"])
def test_everything_that_a_request_may_hold_is_heeded(api: httpx.Client, text: str) -> None:
    body = {
        "user_input": text,
        "resonance_key": {"tone": "calm", "pace": "medium", "intent": "plan"},
        "context": {
            "user_id": "u-17",
            "session_id": "s-1",
            "message_history": [
                {"role": "user", "content": "어제도 그랬어요"},
                {"role": "assistant", "content": "무슨 일이 있었나요?"},
            ],
        },
        "metadata": {"order": 17},
        "include_metadata": True,
        "use_cache": False,
    }
    told = post(api, "/api/v2/process", body)

    assert shape(told) == {**PROCESSED, "metadata": {**METADATA, "analysis": "NoneType"}}
    assert told["resonance_key"] == {"tone": "calm", "pace": "medium", "intent": "planning"}
    assert told["metadata"]["user_provided_metadata"] == {"order": 17}
    assert "어제도 그랬어요" in told["content"]
    assert told["performance"]["cache_hit"] is False


def test_metadata_comes_back_only_if_asked_for(api: httpx.Client) -> None:
    body = {"user_input": KOREAN, "metadata": {"order": 17}}
    assert "metadata" not in post(api, "/api/v2/process", body)
    assert shape(post(api, "/api/v2/process", {**body, "include_metadata": True})["metadata"]) == METADATA


def test_the_same_question_is_answered_from_the_cache(api: httpx.Client) -> None:
    """A worker stores its answer once it is sent, so the very next question may be too early."""
    body = {"user_input": f"{ENGLISH} {uuid.uuid4()}"}
    told = [post(api, "/api/v2/process", body)]

    def is_cached() -> bool:
        told.append(post(api, "/api/v2/process", body))
        return bool(told[-1]["performance"]["cache_hit"])

    wait_until(is_cached, what="the question is answered from the cache")
    fresh = post(api, "/api/v2/process", {**body, "use_cache": False})
    first, again = told[0], told[-1]
    assert (first["performance"]["cache_hit"], fresh["performance"]["cache_hit"]) == (False, False)
    assert first["performance"]["cache_key"] == again["performance"]["cache_key"]
    assert all(first[name] == again[name] == fresh[name] for name in ANSWER)


@pytest.mark.parametrize(
    "scenario", ["지표가 왜 떨어졌는지 모르겠어요", "I have to plan a migration"], ids=["ko", "en"]
)
def test_recommend_names_a_mentor_and_what_it_is_good_at(api: httpx.Client, scenario: str) -> None:
    told = post(api, "/api/v2/recommend", {"scenario": scenario})

    assert shape(told) == {
        "success": "bool",
        "recommended_persona": "str",
        "scores": SCORES,
        "capabilities": MENTOR,
        **ENDED_AT,
    }
    assert told["recommended_persona"] == told["capabilities"]["name"] in MENTORS


def test_bulk_answers_each_by_itself(api: httpx.Client) -> None:
    told = post(api, "/api/v2/bulk-process", {"requests": [{"user_input": KOREAN}, {"user_input": ""}]})

    assert {name: shape(part) for name, part in told.items() if name != "results"} == {
        "success": "bool",
        "total": "number",
        "successful": "number",
        "failed": "number",
        **ENDED_AT,
    }
    assert [shape(result) for result in told["results"]] == [PROCESSED, REFUSED]
    assert (told["success"], told["total"], told["successful"], told["failed"]) == (False, 2, 1, 1)


def test_a_job_is_followed_by_its_id(api: httpx.Client) -> None:
    answer = api.post("/api/v2/process", json={"user_input": KOREAN}, headers={"Prefer": "respond-async"})
    pending = {
        "success": "bool",
        "job_id": "str",
        "status": "str",
        "result": "NoneType",
        "error": "NoneType",
        **ENDED_AT,
    }
    assert answer.status_code == httpx.codes.ACCEPTED
    assert shape(answer.json()) == pending
    assert answer.headers["location"] == f"/api/v2/jobs/{answer.json()['job_id']}"
    events = api.get(f"{answer.headers['location']}/events")
    assert events.headers["cache-control"] == "no-store"

    told = api.get(answer.headers["location"]).json()
    metadata = {**METADATA, "user_provided_metadata": "NoneType"}
    assert shape(told) == {**pending, "result": {**ANSWER, "metadata": metadata}}
    assert (told["success"], told["status"]) == (True, "ok")


def test_the_mentors(api: httpx.Client) -> None:
    told = api.get("/api/v2/personas").json()
    assert {name: shape(part) for name, part in told.items() if name != "personas"} == {
        "success": "bool",
        "total": "number",
        **ENDED_AT,
    }
    assert {one["name"] for one in told["personas"]} == MENTORS
    for one in told["personas"]:
        assert set(MENTOR) < set(one)
        for name in (one["name"].lower(), one["name"].upper()):
            found = api.get(f"/api/v2/personas/{name}").json()
            assert {part: shape(value) for part, value in found.items() if part != "persona"} == {
                "success": "bool",
                **ENDED_AT,
            }
            assert found["persona"] == one


def test_health_and_status(api: httpx.Client) -> None:
    health = api.get("/api/v2/health")
    dependency = {"status": "str", "latency_ms": "number", "detail": "NoneType"}
    assert health.status_code == httpx.codes.OK
    told = health.json()
    assert shape({**told, "dependencies": {}}) == {
        "healthy": "bool",
        "service_status": {"status": "str"},
        "dependencies": {},
        "timestamp": "timestamp",
    }
    assert (told["healthy"], told["service_status"]["status"]) == (True, "operational")
    assert {"broker", "replies", "workers"} <= set(told["dependencies"])
    for one in told["dependencies"].values():
        assert set(one) == set(dependency)
        assert one["status"] in {"operational", "degraded", "down"}

    told = api.get("/api/v2/status").json()
    assert shape({**told, "dependencies": {}, "regions": []}) == {
        "success": "bool",
        "service": "str",
        "version": "str",
        "api_versions": ["str"],
        "uptime_s": "number",
        "status": "str",
        "dependencies": {},
        "regions": [],
        **ENDED_AT,
    }
    assert told["api_versions"] == ["1", "2"]
    (region,) = told["regions"]
    assert set(region) == {"name", "status", "workers", "queues"}
    assert {"interactive", "bulk"} <= {queue["name"] for queue in region["queues"]}


@pytest.mark.parametrize("text", [KOREAN, ENGLISH], ids=["ko", "en"])
def test_version_1_answers_as_it_always_has(api: httpx.Client, text: str) -> None:
    body = {"user_input": text, "resonance_key": "frustrated-medium-seek_advice"}
    told = post(api, "/api/persona/process", body)

    assert shape(told) == {"content": "str", "persona_used": "str", "confidence": "number"}
    key = {"tone": "frustrated", "pace": "medium", "intent": "seek_advice"}
    now = post(api, "/api/v2/process", {"user_input": text, "resonance_key": key})
    assert told == {name: now[name] for name in told}


@pytest.mark.parametrize(
    "path", ["/api/v2/health", "/api/v2/personas", "/api/v2/personas/nobody", "/api/v2/jobs/none"]
)
def test_a_request_goes_by_its_callers_id_or_gets_one(api: httpx.Client, path: str) -> None:
    given = api.get(path, headers={"X-Request-ID": "checkout-42"})
    own = [api.get(path).headers["x-request-id"] for _ in range(2)]

    assert given.headers["x-request-id"] == given.json().get("request_id", "checkout-42") == "checkout-42"
    assert len(set(own)) == 2
    unusable = api.get(path, headers={"X-Request-ID": "two words"})
    assert unusable.status_code == httpx.codes.BAD_REQUEST
    assert unusable.json()["error"]["field"] == "X-Request-ID"


@pytest.mark.parametrize(("path", "version"), [("/api/v2/process", "2"), ("/api/persona/process", "1")])
def test_the_version_is_told_and_another_one_is_refused(api: httpx.Client, path: str, version: str) -> None:
    body = {"user_input": ENGLISH}
    for asked in ({}, {"X-API-Version": version}):
        answer = api.post(path, json=body, headers=asked)
        assert (answer.status_code, answer.headers["x-api-version"]) == (httpx.codes.OK, version)

    refused = api.post(path, json=body, headers={"X-API-Version": "3"})
    assert (refused.status_code, refused.headers["x-api-version"]) == (httpx.codes.BAD_REQUEST, version)
    assert refused.json()["error"]["field"] == "X-API-Version"
    assert shape(refused.json()) == REFUSED
