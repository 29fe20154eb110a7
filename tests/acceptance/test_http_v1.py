"""Version 1 over HTTP: what its callers were promised holds, and each response says that it will end."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.stack import LocalStack
from persona_system.vocabulary import INTENT_ALIASES
from producers.gateway.description.v1_guide import V1_GUIDE
from tests.support.gateway import gateway

PATH = "/api/persona/process"
TEXT = "배포가 또 실패했어요. 어떻게 해야 하죠?"
GUIDE = Path(__file__).parents[2] / "docs" / "migrating-from-v1.md"


@pytest.fixture(scope="module")
def http(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A caller of a gateway."""
    directory = tmp_path_factory.mktemp("v1")
    with gateway(stack.urls.environment(), directory) as running, running.client() as client:
        yield client


def ask(http: httpx.Client, **body: Any) -> dict[str, Any]:
    written = json.dumps(body)  # ASCII, in which half a character can be written, too
    answer = http.post(PATH, content=written, headers={"Content-Type": "application/json"})
    assert answer.status_code == HTTPStatus.OK, answer.text
    told: dict[str, Any] = answer.json()
    return told


def ask_v2(http: httpx.Client, text: str, tone: str, pace: str, intent: str) -> dict[str, Any]:
    key = {"tone": tone, "pace": pace, "intent": intent}
    answer = http.post("/api/v2/process", json={"user_input": text, "resonance_key": key})
    assert answer.status_code == HTTPStatus.OK, answer.text
    told: dict[str, Any] = answer.json()
    return {name: told[name] for name in ("content", "persona_used", "confidence")}


# -- what it answers ---------------------------------------------------------------------------------

KEYS = ["calm-medium-learning", "frustrated-burst-seek_advice", "collaborative-flowing-planning"]


@pytest.mark.parametrize("text", [TEXT, "How do I split this module?"], ids=["ko", "en"])
@pytest.mark.parametrize("key", KEYS)
def test_it_answers_as_version_2_does_for_the_same_key(http: httpx.Client, text: str, key: str) -> None:
    """Three fields, and the same in them."""
    told = ask(http, user_input=text, resonance_key=key)

    assert told == ask_v2(http, text, *key.split("-"))
    assert text in told["content"]


@pytest.mark.parametrize(("alias", "intent"), INTENT_ALIASES.items())
def test_an_alias_of_an_intent_is_that_intent(http: httpx.Client, alias: str, intent: str) -> None:
    told = ask(http, user_input=TEXT, resonance_key=f"urgent-burst-{alias}")
    assert told == ask(http, user_input=TEXT, resonance_key=f"urgent-burst-{intent}")
    assert told == ask_v2(http, TEXT, "urgent", "burst", intent)


def test_a_dash_in_an_intent_is_an_underscore(http: httpx.Client) -> None:
    told = ask(http, user_input=TEXT, resonance_key="urgent-burst-problem-solving")
    assert told == ask_v2(http, TEXT, "urgent", "burst", "problem_solving")


UNKNOWN_KEYS = {
    "unknown tone": "smug-medium-learning",
    "unknown pace": "calm-glacial-learning",
    "unknown intent": "calm-medium-gossip",
    "two parts": "calm-medium",
    "no dashes": "calm",
    "empty": "",
    "dashes only": "--",
    "other letter case": "Frustrated-Burst-Seek_Advice",
    "spaces": " frustrated-burst-seek_advice ",
    "markup": "<b>-${x}-{y}",
    "no text": "\x00\ud800",
    "long": "a-" * 20_000,
    "number": 7,
    "fraction": 1.5,
    "true": True,
    "null": None,
    "list": ["frustrated", "burst", "seek_advice"],
    "version 2's": {"tone": "frustrated", "pace": "burst", "intent": "seek_advice"},
}


@pytest.mark.parametrize("key", UNKNOWN_KEYS.values(), ids=UNKNOWN_KEYS)
def test_no_key_is_refused_and_an_unknown_one_counts_as_calm_medium_learning(
    http: httpx.Client, key: object
) -> None:
    told = ask(http, user_input=TEXT, resonance_key=key)
    assert told == ask_v2(http, TEXT, "calm", "medium", "learning")


def test_no_key_at_all_counts_as_calm_medium_learning_too(http: httpx.Client) -> None:
    """Version 2 would analyse the text, which sounds frustrated."""
    assert ask(http, user_input=TEXT) == ask_v2(http, TEXT, "calm", "medium", "learning")


def test_the_examples_of_the_guide_are_pairs_with_the_same_answer(http: httpx.Client) -> None:
    examples = [
        json.loads(one) for one in re.findall(r"```json\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    ]

    assert len(examples) == 4
    for old, new in zip(examples[::2], examples[1::2], strict=True):
        assert ask(http, **old) == ask_v2(http, new["user_input"], **new["resonance_key"])


def test_fields_that_it_does_not_know_are_ignored(http: httpx.Client) -> None:
    """Old clients send more than they need, and have always got away with it."""
    plain = ask(http, user_input=TEXT, resonance_key=KEYS[0])
    more = {"context": 5, "metadata": {"a": 1}, "use_cache": "no", "user": None}
    assert ask(http, user_input=TEXT, resonance_key=KEYS[0], **more) == plain


# -- what it refuses ---------------------------------------------------------------------------------

REFUSED = {
    "missing": ({}, 422, "MISSING_FIELD"),
    "missing beside a key": ({"resonance_key": KEYS[0]}, 422, "MISSING_FIELD"),
    "empty": ({"user_input": ""}, 400, "INVALID_INPUT"),
    "blank": ({"user_input": " \n\t"}, 400, "INVALID_INPUT"),
    "null": ({"user_input": None}, 400, "INVALID_INPUT"),
    "number": ({"user_input": 7}, 400, "INVALID_INPUT"),
    "list": ({"user_input": [TEXT]}, 400, "INVALID_INPUT"),
    "too long": ({"user_input": "a" * 32_769}, 400, "INVALID_INPUT"),
    "control character": ({"user_input": "a\x00b"}, 400, "INVALID_INPUT"),
}


@pytest.mark.parametrize(("body", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_a_message_without_words_is_refused_in_the_structured_body(
    http: httpx.Client, body: dict[str, object], status: int, code: str
) -> None:
    answer = http.post(PATH, json=body)
    told = answer.json()

    assert answer.status_code == status
    assert set(told) == {"success", "error", "request_id", "timestamp"}
    assert told["success"] is False
    assert (told["error"]["code"], told["error"]["field"]) == (code, "user_input")
    assert told["request_id"] == answer.headers["X-Request-ID"]


def test_a_refusal_never_quotes_the_message(http: httpx.Client) -> None:
    assert "secret" not in http.post(PATH, json={"user_input": "my secret \x00"}).text


# -- that it will end --------------------------------------------------------------------------------


def assert_says_that_it_ends(answer: httpx.Response) -> None:
    """The headers have a meaning each, and the two guides say the same."""
    headers = answer.headers
    since = datetime.fromtimestamp(int(headers["Deprecation"].removeprefix("@")), UTC)  # RFC 9745, 2.1
    until = parsedate_to_datetime(headers["Sunset"])  # RFC 8594, 3

    assert headers["Deprecation"].startswith("@")
    assert since < until
    for guide in (V1_GUIDE, GUIDE.read_text("utf-8")):
        assert f"{until.day} {until:%B %Y}" in guide
    assert 'rel="deprecation"' in headers["Link"]
    assert headers["X-API-Version"] == "1"


def test_every_response_says_that_version_1_ends_and_where_to_read_on(http: httpx.Client) -> None:
    """An answer, and each kind of refusal: of the message, of the body, of the method, of the version."""
    good = {"user_input": TEXT}
    answers = {
        200: http.post(PATH, json=good),
        422: http.post(PATH, json={}),
        400: http.post(PATH, content=b"{", headers={"Content-Type": "application/json"}),
        415: http.post(PATH, content=b"hello"),
        405: http.get(PATH),
        404: http.post("/api/persona/analyse", json=good),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert_says_that_it_ends(answer)
    refused = http.post(PATH, json=good, headers={"X-API-Version": "2"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "X-API-Version")
    assert_says_that_it_ends(refused)


@pytest.mark.parametrize("version", ["1", "v1", "1.0"])
def test_a_caller_may_name_the_version(http: httpx.Client, version: str) -> None:
    answer = http.post(PATH, json={"user_input": TEXT}, headers={"X-API-Version": version})
    assert answer.status_code == HTTPStatus.OK


def test_version_2_does_not_say_that_it_ends(http: httpx.Client) -> None:
    headers = http.post("/api/v2/process", json={"user_input": TEXT}).headers
    assert not {"Deprecation", "Sunset", "Link"} & {name.title() for name in headers}
    assert headers["X-API-Version"] == "2"
