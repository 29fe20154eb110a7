"""The one table of refusals: whatever is raised, this is how it leaves."""

import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

import persona_system.errors as domain
import producers.errors as client
import producers.gateway.errors as ours
from producers.gateway.errors import TABLE, Refusal, Row, refusal_of, row_of
from producers.gateway.schemas import BulkRequest, ProcessRequest, RecommendRequest, Strict

WORDS = "what a person wrote"

RAISED: dict[str, tuple[BaseException, int, str, str | None]] = {
    "no HTTP": (ours.MalformedRequest("x", "Host"), 400, "INVALID_HTTP", None),
    "no JSON": (ours.MalformedBody("x", "body"), 400, "INVALID_JSON", None),
    "a wrong value": (ours.WrongValue("x", "f"), 400, "INVALID_INPUT", None),
    "bad input": (domain.InvalidInput("f", "is bad", "mend it"), 400, "INVALID_INPUT", None),
    "a malformed key": (domain.MalformedKey("f", "is bad", "mend it"), 400, "INVALID_INPUT", None),
    "an unknown tone": (domain.UnknownResonance("f", "is bad", "mend it"), 400, "INVALID_INPUT", None),
    "no credentials": (ours.Unauthenticated("x"), 401, "UNAUTHENTICATED", None),
    "no right": (ours.Forbidden("x"), 403, "FORBIDDEN", None),
    "no such mentor": (domain.UnknownPersona("name", "is bad", "mend it"), 404, "UNKNOWN_PERSONA", None),
    "no such job": (ours.UnknownJob("x", "job_id"), 404, "UNKNOWN_JOB", None),
    "a slow body": (ours.BodyTooSlow("x"), 408, "REQUEST_TIMEOUT", None),
    "a large body": (ours.BodyTooLarge("x", "body"), 413, "TOO_LARGE", None),
    "many requests": (ours.TooManyRequests("x", "requests"), 413, "TOO_MANY_REQUESTS", None),
    "another media type": (ours.WrongMediaType("x", "Content-Type"), 415, "UNSUPPORTED_MEDIA_TYPE", None),
    "a missing field": (ours.MissingField("x", "f"), 422, "MISSING_FIELD", None),
    "a key used twice": (client.conflict(), 422, "IDEMPOTENCY_CONFLICT", None),
    "too often": (ours.RateLimited("x", 2.1), 429, "RATE_LIMITED", "3"),
    "too often, for a moment": (ours.RateLimited("x", 0.0), 429, "RATE_LIMITED", "1"),
    "large headers": (ours.HeadersTooLarge("x"), 431, "HEADERS_TOO_LARGE", None),
    "failed": (client.JobFailed("id", "BUG", "it broke"), 500, "JOB_FAILED", None),
    "dead": (client.JobDead("id", "HANG", "it hangs"), 500, "JOB_DEAD", None),
    "full": (client.Overloaded("it is full", 1.2), 503, "OVERLOADED", "2"),
    "rationed": (client.Rationed("the rate limit is reached", 1.2), 503, "OVERLOADED", "2"),
    "the broker is away": (client.Unavailable("the broker", WORDS), 503, "UNAVAILABLE", "2"),
    "the broker is a replica": (client.NotWritable("the broker", WORDS), 503, "UNAVAILABLE", "2"),
    "the broker refuses us": (client.AccessDenied("the broker", WORDS), 503, "UNAVAILABLE", "2"),
    "the store is away": (domain.Unavailable("the store", WORDS), 503, "UNAVAILABLE", "2"),
    "closed": (client.ClientClosed("x"), 503, "STOPPING", "1"),
    "not ready": (ours.NotReady("x"), 503, "STOPPING", "1"),
    "too late": (client.DeadlineExceeded("id"), 504, "DEADLINE_EXCEEDED", None),
    "a broken catalogue": (domain.InvalidCatalogue("file", WORDS), 500, "INTERNAL", None),
    "an error of ours without a kind": (ours.GatewayError(WORDS), 500, "INTERNAL", None),
    "an error of the domain's without a kind": (domain.PersonaError(WORDS), 500, "INTERNAL", None),
    "an error of the client's without a kind": (client.ProducerError(WORDS), 500, "INTERNAL", None),
    "a bug": (KeyError(WORDS), 500, "INTERNAL", None),
    "an error that has a code and a field": (
        UnicodeDecodeError("utf-8", b"x", 0, 1, WORDS),
        500,
        "INTERNAL",
        None,
    ),
}


@pytest.mark.parametrize("name", RAISED)
def test_how_it_leaves(name: str) -> None:
    error, status, code, retry_after = RAISED[name]
    refusal = refusal_of(error)
    assert (refusal.status, refusal.code) == (status, code)
    assert dict(refusal.headers).get("retry-after") == retry_after
    assert refusal.message
    assert WORDS not in repr(refusal)


def test_every_class_of_error_is_above() -> None:
    """A new one belongs into the table, or is a fault of ours; either way it is written here."""
    shown = {type(error) for error, _, _, _ in RAISED.values()}
    assert set(_classes_of(domain)) | set(_classes_of(client)) | set(_classes_of(ours)) <= shown


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_row_is_complete(kind: type[Exception]) -> None:
    row = TABLE[kind]
    assert row_of(kind) is row
    assert 400 <= row.status <= 504
    assert row.code == row.code.upper()
    assert row.meaning.endswith(".")
    assert row.example
    assert (row.retry_after_s is not None) == (row.status in (429, 503))


def test_a_code_has_one_row() -> None:
    """Programs go by the code, so it must not mean two things."""
    rows: dict[str, Row] = {}
    for row in TABLE.values():
        assert rows.setdefault(row.code, row) is row


def test_a_challenge_goes_with_401() -> None:
    """RFC 9110, 15.5.2."""
    assert refusal_of(ours.Unauthenticated("x")).headers == (("www-authenticate", 'Bearer realm="ion"'),)


def test_why_a_server_is_away_is_for_operators() -> None:
    """It may hold an address, or what is wrong with a password."""
    refusal = refusal_of(client.Unavailable("the broker", "Error 111 connecting to 10.0.0.7:6379"))
    assert refusal.message == "the broker is not available"


def test_bad_input_names_field_problem_and_fix_as_http_calls_them() -> None:
    error = domain.InvalidInput("context.history[3].role", "'boss' is not a role", "use user or assistant")
    assert refusal_of(error) == Refusal(
        400, "INVALID_INPUT", "'boss' is not a role; use user or assistant", "context.message_history[3].role"
    )
    assert refusal_of(client.conflict()).field == "Idempotency-Key"


def test_errors_of_the_framework_keep_their_status_and_headers_and_lose_their_words() -> None:
    refused = refusal_of(HTTPException(405, WORDS, {"Allow": "GET"}))
    assert (refused.status, refused.code, refused.headers) == (405, "METHOD_NOT_ALLOWED", (("allow", "GET"),))
    assert refusal_of(HTTPException(404, WORDS)).code == "NOT_FOUND"
    assert refusal_of(HTTPException(418, WORDS)).message == "i'm a teapot"


def wrong(model: type[Strict], value: object) -> Refusal:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(value)
    return refusal_of(caught.value)


def message(role: object) -> dict[str, Any]:
    return {"user_input": WORDS, "context": {"message_history": [*GOOD, {"role": role, "content": WORDS}]}}


GOOD = [{"role": "user", "content": WORDS}] * 3


@pytest.mark.parametrize(
    ("value", "status", "field"),
    [
        pytest.param({}, 422, "user_input", id="a missing field"),
        pytest.param(
            {"usr_input": WORDS}, 422, "user_input", id="a missing field counts before an unknown one"
        ),
        pytest.param({"user_input": WORDS, "tone": WORDS}, 400, "tone", id="an unknown field"),
        pytest.param({"user_input": WORDS, "query": WORDS}, 400, "query", id="one that is called query"),
        pytest.param({"user_input": 1}, 400, "user_input", id="a number for a text"),
        pytest.param({"user_input": None}, 400, "user_input", id="null for a text"),
        pytest.param({"user_input": WORDS, "use_cache": "yes"}, 400, "use_cache", id="a text for a boolean"),
        pytest.param({"user_input": WORDS, "use_cache": 1}, 400, "use_cache", id="a number for a boolean"),
        pytest.param({"user_input": WORDS, "metadata": [WORDS]}, 400, "metadata", id="a list for an object"),
        pytest.param({"user_input": WORDS, "context": WORDS}, 400, "context", id="a text for an object"),
        pytest.param(message("boss"), 400, "context.message_history[3].role", id="far inside"),
        pytest.param(message(WORDS), 400, "context.message_history[3].role", id="far inside, with a secret"),
        pytest.param(
            {"user_input": WORDS, "resonance_key": {"tone": "calm"}},
            422,
            "resonance_key.pace",
            id="half a key",
        ),
        pytest.param([WORDS], 400, "body", id="a list"),
        pytest.param(WORDS, 400, "body", id="a text"),
        pytest.param(None, 400, "body", id="null"),
    ],
)
def test_what_does_not_fit_is_named_by_its_path_and_not_quoted(
    value: object, status: int, field: str
) -> None:
    refusal = wrong(ProcessRequest, value)
    assert (refusal.status, refusal.field) == (status, field)
    assert WORDS not in refusal.message


def test_the_name_of_an_unknown_field_is_cut_and_made_fit_for_a_log() -> None:
    """It is the caller's, and may be anything."""
    field = wrong(RecommendRequest, {"scenario": "x", "a\r\nb\x1b" + "c" * 500: 1}).field
    assert field == ("a??b?" + "c" * 500)[:120]


def test_a_name_that_is_no_text_at_all_leaves_as_json() -> None:
    """Half a surrogate pair cannot be written in UTF-8, not even in a refusal."""
    refusal = wrong(RecommendRequest, {"scenario": "x", "\ud800": 1})
    assert (refusal.status, refusal.code) == (400, "INVALID_INPUT")
    assert repr(refusal).encode()


def test_a_list_that_is_none() -> None:
    refusal = wrong(BulkRequest, {"requests": WORDS})
    assert (refusal.status, refusal.field) == (400, "requests")
    assert WORDS not in refusal.message


def test_parameters_of_an_address_are_named_without_where_they_are() -> None:
    problem = {"type": "missing", "loc": ("query", "pattern"), "msg": "Field required", "input": WORDS}
    refusal = refusal_of(RequestValidationError([problem]))
    assert (refusal.status, refusal.code, refusal.field) == (422, "MISSING_FIELD", "pattern")


@pytest.mark.parametrize("seconds", [0.001, 1.0, 1.001, 59.5])
def test_a_wait_is_told_in_whole_seconds_never_too_short(seconds: float) -> None:
    told = dict(refusal_of(client.Overloaded("full", seconds)).headers)["retry-after"]
    assert told == str(math.ceil(seconds))


def _classes_of(module: ModuleType) -> Iterator[type[Exception]]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == module.__name__:
            yield value
