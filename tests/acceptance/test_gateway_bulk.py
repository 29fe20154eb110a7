"""Many messages in one request: each is answered or refused by itself, in its place."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from tests.support.gateway import gateway

BULK = "/api/v2/bulk-process"
KOREAN, ENGLISH = "배포가 또 실패했어요.", "Our deployment failed again."


@pytest.fixture(scope="module")
def api(stack_env: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with gateway(stack_env, tmp_path_factory.mktemp("gateway")) as running, running.client() as client:
        yield client


def messages(count: int) -> list[dict[str, Any]]:
    """Return new messages, Korean and English in turn."""
    texts = [f"{(KOREAN, ENGLISH)[number % 2]} {uuid.uuid4()}" for number in range(count)]
    return [{"user_input": text} for text in texts]


@pytest.mark.parametrize("parallel", [True, False], ids=["at_once", "in_order"])
def test_a_hundred_messages_are_answered_in_their_order(api: httpx.Client, parallel: bool) -> None:  # noqa: FBT001 - a parameter of the test
    asked = messages(100)
    told = api.post(BULK, json={"requests": asked, "parallel": parallel}).json()

    assert (told["success"], told["total"], told["successful"], told["failed"]) == (True, 100, 100, 0)
    for one, result in zip(asked, told["results"], strict=True):
        assert one["user_input"] in result["content"]
        assert result["request_id"] == told["request_id"]


def test_one_after_the_other_means_that_each_ends_before_the_next_begins(api: httpx.Client) -> None:
    """The same message twice: the second finds the answer to the first, which the same process has."""
    (message,) = messages(1)
    kept = {"requests": [message] * 5, "parallel": False}
    told = api.post(BULK, json=kept).json()
    hits = [result["performance"]["cache_hit"] for result in told["results"]]
    assert hits == sorted(hits)
    assert hits[0] is False


BAD: dict[str, tuple[object, str, str]] = {
    "empty": ({"user_input": ""}, "INVALID_INPUT", "user_input"),
    "missing": ({"metadata": {}}, "MISSING_FIELD", "user_input"),
    "number": ({"user_input": 7}, "INVALID_INPUT", "user_input"),
    "unknown_tone": (
        {
            "user_input": KOREAN,
            "resonance_key": {"tone": "smug", "pace": "medium", "intent": "learning"},
        },
        "INVALID_INPUT",
        "resonance_key.tone",
    ),
    "unknown_field": ({"user_input": KOREAN, "colour": "red"}, "INVALID_INPUT", "colour"),
    "no_object": ("배포", "INVALID_INPUT", ""),
}


@pytest.mark.parametrize("parallel", [True, False], ids=["at_once", "in_order"])
def test_bad_ones_among_good_are_refused_by_themselves(api: httpx.Client, parallel: bool) -> None:  # noqa: FBT001 - a parameter of the test
    good = messages(len(BAD) + 1)
    asked: list[object] = [good[0]]
    for one, (bad, _, _) in zip(good[1:], BAD.values(), strict=True):
        asked += [bad, one]
    answer = api.post(BULK, json={"requests": asked, "parallel": parallel}, headers={"X-Request-ID": "b-1"})
    told = answer.json()

    assert answer.status_code == httpx.codes.OK
    assert (told["success"], told["total"]) == (False, len(asked))
    assert (told["successful"], told["failed"]) == (len(good), len(BAD))
    for one, result in zip(good, told["results"][::2], strict=True):
        assert result["success"] is True
        assert one["user_input"] in result["content"]
    for place, result in enumerate(told["results"]):
        if place % 2:
            _, code, field = list(BAD.values())[place // 2]
            assert result["success"] is False
            assert result["error"]["code"] == code
            assert result["error"]["field"] == f"requests[{place}]" + (f".{field}" if field else "")
            assert result["request_id"] == "b-1"


@pytest.mark.parametrize(
    ("requests", "status", "code"),
    [
        pytest.param([{"user_input": KOREAN}] * 101, 413, "TOO_MANY_REQUESTS", id="over_100"),
        pytest.param([], 400, "INVALID_INPUT", id="none"),
        pytest.param("text", 400, "INVALID_INPUT", id="no_list"),
    ],
)
def test_what_is_no_bulk_request_is_refused_as_a_whole(
    api: httpx.Client, requests: object, status: int, code: str
) -> None:
    answer = api.post(BULK, json={"requests": requests})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["field"] == "requests"


def test_a_bulk_request_that_is_sent_again_is_not_done_again(api: httpx.Client) -> None:
    """Each is known by the key and its place, so another message in the same place is another request."""
    asked = [{**one, "use_cache": False} for one in messages(3)]
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = api.post(BULK, json={"requests": asked}, headers=key).json()
    again = api.post(BULK, json={"requests": asked}, headers=key).json()
    assert [one["content"] for one in again["results"]] == [one["content"] for one in first["results"]]

    changed = [asked[0], *messages(1), asked[2]]
    told = api.post(BULK, json={"requests": changed}, headers=key).json()
    assert [one["success"] for one in told["results"]] == [True, False, True]
    assert told["results"][1]["error"]["code"] == "IDEMPOTENCY_CONFLICT"
