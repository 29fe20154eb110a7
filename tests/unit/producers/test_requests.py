"""What a caller sends is checked where the caller can mend it, and what comes back is told apart."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.errors import InvalidInput
from persona_system.models import Context, Message
from persona_system.vocabulary import ALL_KEYS, ResonanceKey
from producers.errors import ClientClosed, DeadlineExceeded, JobDead, JobFailed
from producers.requests import JobOutcome, PersonaRequest, check_job_id, check_request, pack_job, read_outcome
from workers.contract.payloads import Job, Outcome, Problem, Status

KEY = "calm-medium-learning"


def checked_and_packed(request: PersonaRequest) -> bytes:
    return pack_job(request, check_request(request), "j1", 1_000)


def packed(request: PersonaRequest) -> Job:
    return msgspec.msgpack.decode(checked_and_packed(request), type=Job)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300), st.sampled_from(ALL_KEYS))
def test_text_and_key_arrive_as_they_were_given(text: str, key: ResonanceKey) -> None:
    text = f"a{text}"  # so that there is something to see in it
    job = packed(PersonaRequest(text, key))

    assert (job.text, job.key, job.deadline_ms) == (text, str(key), 1_000)


@pytest.mark.parametrize("spelling", ["calm-medium-problem-solving", "calm-medium-problem_solving"])
def test_a_key_travels_in_its_canonical_form(spelling: str) -> None:
    assert packed(PersonaRequest("hi", spelling)).key == "calm-medium-problem_solving"


def test_no_key_stays_no_key() -> None:
    assert packed(PersonaRequest("hi")).key is None


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def test_metadata_may_be_nested_as_far_as_people_nest() -> None:
    assert packed(PersonaRequest("hi", KEY, None, {"x": nested(20)})).metadata == {"x": nested(20)}


def with_history(*messages: Any) -> Context:
    return Context(history=tuple(messages))


@pytest.mark.parametrize(
    ("request_", "field", "words"),
    [
        (PersonaRequest(""), "user_input", "is empty"),
        (PersonaRequest(" \n\t "), "user_input", "is empty"),
        (PersonaRequest("\u200b\u200b"), "user_input", "no visible character"),
        (PersonaRequest("\u3164"), "user_input", "is empty"),
        (PersonaRequest("x" * 32_769), "user_input", "32,769 characters, over the limit of 32,768"),
        (PersonaRequest("a\x00b"), "user_input", "U+0000) at position 1"),
        (PersonaRequest("a\x1b[31mb"), "user_input", "U+001B) at position 1"),
        (PersonaRequest("a\ud800b"), "user_input", "lone surrogate (U+D800) at position 1"),
        (PersonaRequest(b"bytes"), "user_input", "is bytes, not text"),  # type: ignore[arg-type]
        (PersonaRequest("hi", "calm"), "resonance_key", "is not tone-pace-intent"),
        (PersonaRequest("hi", "--"), "resonance_key", "is not tone-pace-intent"),
        (PersonaRequest("hi", "smug-medium-learning"), "resonance_key.tone", "'smug' is not a known tone"),
        (PersonaRequest("hi", "calm-slow-learning"), "resonance_key.pace", "'slow' is not a known pace"),
        (
            PersonaRequest("hi", "calm-medium-gossip"),
            "resonance_key.intent",
            "'gossip' is not a known intent",
        ),
        (PersonaRequest("hi", ResonanceKey("calm", "slow", "learning")), "resonance_key.pace", "'slow'"),
        (PersonaRequest("hi", 7), "resonance_key", "is int"),  # type: ignore[arg-type]
        (
            PersonaRequest("hi", KEY, with_history(Message("wizard", "x"))),  # type: ignore[arg-type]
            "context.history[0].role",
            "'wizard' is not a role",
        ),
        (
            PersonaRequest("hi", KEY, with_history(Message("user", "x"), Message("user", "\x00"))),
            "context.history[1].content",
            "U+0000",
        ),
        (PersonaRequest("hi", KEY, Context(summary="\ud800")), "context.summary", "lone surrogate"),
        (PersonaRequest("hi", KEY, {"user_id": "x"}), "context", "is dict"),  # type: ignore[arg-type]
        (PersonaRequest("hi", KEY, None, {"x": object()}), "metadata", "cannot be packed"),
        (PersonaRequest("hi", KEY, None, {"x": 2**70}), "metadata", "cannot be packed"),
        (PersonaRequest("hi", KEY, None, {"x": "y" * 2**20}), "request", "over the limit of 1,048,576"),
        (PersonaRequest("hi", KEY, None, {"x": nested(40)}), "metadata", "nested deeper than 32 levels"),
        (PersonaRequest("hi", KEY, None, {"x": nested(900)}), "metadata", "nested deeper than 32 levels"),
    ],
)
def test_bad_input_names_field_problem_and_fix(request_: PersonaRequest, field: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_and_packed(request_)

    assert caught.value.field == field
    assert words in str(caught.value)
    assert caught.value.fix


def test_a_context_is_judged_as_the_worker_will_judge_it() -> None:
    """An empty reply is a fact, not a fault; a summary over 1,000 characters would be refused there."""
    empty = with_history(Message("user", "x"), Message("assistant", ""))
    context = packed(PersonaRequest("hi", KEY, empty)).context
    assert context is not None
    assert context.history == empty.history

    with pytest.raises(InvalidInput, match="over the limit of 1,000"):
        checked_and_packed(PersonaRequest("hi", KEY, Context(summary="x" * 1_001)))


def test_an_error_never_quotes_the_message() -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_and_packed(PersonaRequest("a very private matter\x00"))

    assert "private" not in repr(caught.value)


@pytest.mark.parametrize("job_id", ["", "x" * 129, "two\nlines", 7])
def test_a_callers_job_id_is_printable_and_short(job_id: object) -> None:
    with pytest.raises(InvalidInput, match="job_id"):
        check_job_id(job_id)


def outcome(status: Status, problem: Problem | None = None) -> JobOutcome[str]:
    ended = Outcome("j1", status, msgspec.Raw(b"\xa1x"), problem)
    return read_outcome("j1", ended, msgspec.msgpack.Decoder(str).decode)


def test_each_end_of_a_job_is_told_apart() -> None:
    problem = Problem("CODE", "is wrong", "user_input", "mend it")

    assert outcome(Status.OK).unwrap() == "x"
    assert isinstance(outcome(Status.EXPIRED).error, DeadlineExceeded)
    rejected = outcome(Status.REJECTED, problem).error
    assert isinstance(rejected, InvalidInput)
    assert (rejected.field, rejected.problem, rejected.fix) == ("user_input", "is wrong", "mend it")
    failed = outcome(Status.FAILED, problem).error
    assert isinstance(failed, JobFailed)
    assert failed.code == "CODE"
    assert isinstance(outcome(Status.DEAD, problem).error, JobDead)
    assert isinstance(outcome(Status.FAILED).error, JobFailed)


def test_a_job_that_was_not_accepted_is_unsent() -> None:
    ended = read_outcome("j1", ClientClosed("closed"), lambda raw: raw)

    assert ended.status == "unsent"
    with pytest.raises(ClientClosed):
        ended.unwrap()
