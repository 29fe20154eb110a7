"""The OpenAPI document says what the code does, with an example of everything."""

import unicodedata
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st

from persona_system.errors import InvalidInput
from persona_system.language import detect_language
from persona_system.text import MAX_TEXT_CHARS, check_text
from persona_system.vocabulary import INTENTS, make_key
from producers.gateway.description.described import error_examples
from producers.gateway.description.fields import INTENT_SPELLINGS, MESSAGE_PATTERN
from producers.gateway.errors import TABLE, MalformedRequest
from tests.support.api_pages import document as document_of

ADDRESSES = {
    "POST /api/v2/process",
    "POST /api/v2/recommend",
    "POST /api/v2/bulk-process",
    "GET /api/v2/jobs/{job_id}",
    "GET /api/v2/jobs/{job_id}/events",
    "GET /api/v2/personas",
    "GET /api/v2/personas/{name}",
    "GET /api/v2/cache-stats",
    "POST /api/v2/cache/clear",
    "POST /api/v2/cache/invalidate",
    "GET /api/v2/health",
    "GET /api/v2/status",
    "POST /api/persona/process",
}
WITH_TEXT = ("process", "recommend", "bulk_process", "process_v1")

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    return document_of()


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def resolved(part: Json, document: Json) -> Json:
    while "$ref" in part:
        _, kind, name = part["$ref"].removeprefix("#/").split("/")
        part = document["components"][kind][name]
    return part


def contents(document: Json) -> Iterator[tuple[str, Json]]:
    """Yield everything that is sent as JSON, either way, with its schema and its examples."""
    for name, operation in operations(document):
        parts = [("request", operation["requestBody"])] if "requestBody" in operation else []
        for what, part in [*parts, *operation["responses"].items()]:
            if "application/json" in part.get("content", {}):
                yield f"{name}, {what}", part["content"]["application/json"]


def test_it_is_openapi_3_1(document: Json) -> None:
    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()


def test_every_address_is_there_and_named_once(document: Json) -> None:
    assert {name for name, _ in operations(document)} == ADDRESSES
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(ids)) == len(ids)


def test_the_frameworks_own_error_is_nowhere(document: Json) -> None:
    """FastAPI describes a 422 of its own for every operation; ours never leaves so."""
    assert "HTTPValidationError" not in str(document)


def test_every_example_is_what_its_schema_says(document: Json) -> None:
    for where, content in contents(document):
        schema = {**content["schema"], "components": document["components"]}
        validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        assert content["examples"], where
        for name, example in content["examples"].items():
            problems = [
                problem.message for problem in validator.iter_errors(resolved(example, document)["value"])
            ]
            assert not problems, f"{where}, {name}"


def messages(value: Any) -> Iterator[str]:
    """Yield what is written by people, or for mentors, in an example."""
    for name, each in value.items() if isinstance(value, dict) else enumerate(value):
        if name in ("user_input", "scenario", "content"):
            yield each
        elif isinstance(each, dict | list):
            yield from messages(each)


@pytest.mark.parametrize("operation_id", WITH_TEXT)
def test_examples_are_in_korean_and_in_english(document: Json, operation_id: str) -> None:
    (operation,) = (one for _, one in operations(document) if one["operationId"] == operation_id)
    asked, answered = (
        {
            detect_language(text)
            for text in messages(part["content"]["application/json"]["examples"])
            if text.strip()
        }
        for part in (operation["requestBody"], operation["responses"]["200"])
    )
    assert asked == {"ko", "en"}
    assert answered == (
        set() if operation_id == "recommend" else {"ko", "en"}
    )  # the mentor speaks no language


def test_every_error_that_an_operation_can_end_in_is_described_somewhere(document: Json) -> None:
    told = {
        resolved(example, document)["value"]["error"]["code"]
        for _, operation in operations(document)
        for status, response in operation["responses"].items()
        if status >= "400"
        for example in response["content"]["application/json"]["examples"].values()
        if "error" in resolved(example, document)["value"]
    }
    before_any_operation = {TABLE[MalformedRequest].code}
    assert told == {row.code for row in TABLE.values()} - before_any_operation


def test_an_error_is_described_under_its_own_status(document: Json) -> None:
    statuses = {row.code: str(row.status) for row in TABLE.values()}
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            for example in (
                response.get("content", {}).get("application/json", {}).get("examples", {}).values()
            ):
                value = resolved(example, document)["value"]
                if "code" in (value.get("error") or {}) and status >= "400":
                    assert statuses[value["error"]["code"]] == status, name


def test_only_health_takes_no_credentials(document: Json) -> None:
    public = [name for name, operation in operations(document) if "security" not in operation]
    assert public == ["GET /api/v2/health"]
    for name, operation in operations(document):
        assert ("401" in operation["responses"]) == (name not in public)


def test_where_anybody_may_come_in_credentials_are_optional() -> None:
    for _, operation in operations(document_of(anonymous=True)):
        assert "security" not in operation or {} in operation["security"]


def test_every_response_has_the_request_id_and_the_version(document: Json) -> None:
    for name, operation in operations(document):
        for response in operation["responses"].values():
            assert {"X-Request-ID", "X-API-Version"} <= response["headers"].keys(), name


def test_version_1_says_that_it_ends(document: Json) -> None:
    operation = document["paths"]["/api/persona/process"]["post"]
    assert operation["deprecated"]
    assert {"Deprecation", "Sunset", "Link"} <= operation["responses"]["200"]["headers"].keys()


def test_errors_that_pass_say_when_to_come_again(document: Json) -> None:
    for name, operation in operations(document):
        for status in {"429", "503"} & operation["responses"].keys():
            assert "Retry-After" in operation["responses"][status]["headers"] or name == "GET /api/v2/health"


def test_every_error_has_an_example_of_the_envelope() -> None:
    for example in error_examples().values():
        assert example["value"].keys() == {"success", "error", "request_id", "timestamp"}
        assert example["value"]["error"].keys() == {"code", "message", "field"}


@pytest.mark.parametrize("spelling", INTENT_SPELLINGS)
def test_every_intent_that_is_listed_is_taken(spelling: str) -> None:
    assert make_key("calm", "medium", spelling).intent in INTENTS


@given(st.text())
def test_no_other_intent_is_taken(text: str) -> None:
    if text not in INTENT_SPELLINGS:
        with pytest.raises(InvalidInput):
            make_key("calm", "medium", text)


_PATTERN = jsonschema_rs.Draft202012Validator({"pattern": MESSAGE_PATTERN, "maxLength": MAX_TEXT_CHARS})
_BLANK_LETTERS = (
    "\u115f\u1160\u2800\u3164\uffa0"  # letters and a symbol that show nothing: no pattern knows them
)


def _known_char(char: str) -> bool:
    """Tell whether all versions of Unicode that are in play here agree on *char*."""
    return char not in _BLANK_LETTERS and unicodedata.category(char) != "Cn"


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cn"]))
    | st.text(st.sampled_from(" \t\n\x00\x1f\x7f\u200ba가"))
)
def test_the_pattern_of_a_message_is_the_rule_of_the_domain(text: str) -> None:
    """One visible character and no control characters but tab and line ends."""
    text = "".join(filter(_known_char, text))
    try:
        check_text(text)
    except InvalidInput:
        taken = False
    else:
        taken = True
    assert _PATTERN.is_valid(text) == taken
