"""Step 2 for JSONL: the shape of a record, and what is said about a wrong one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.models import Context, Message
from persona_system.vocabulary import ResonanceKey
from producers.bulk.jsonl import read_jsonl
from producers.bulk.records import Accepted, Blank, Item, Reject

WRITTEN = "제 마음은 아무도 몰라요"


def one(raw: bytes) -> Item:
    (item,) = read_jsonl(iter([(7, raw)]))
    return item


def accepted(record: dict[str, Any]) -> Accepted:
    item = one(json.dumps(record).encode())
    assert isinstance(item, Accepted)
    return item


def test_every_field_arrives() -> None:
    item = accepted(
        {
            "user_input": "안녕",
            "resonance_key": {"tone": "calm", "pace": "medium", "intent": "plan"},
            "id": 17,
            "context": {
                "user_id": "u",
                "session_id": "s",
                "preferred_persona": "Lua",
                "history": [{"role": "assistant", "content": "네"}],
                "summary": "짧게",
                "mode": "compact",
            },
            "metadata": {"n": [1, {"x": None}]},
        }
    )

    assert (item.line, item.callers_id) == (7, 17)
    assert item.request.user_input == "안녕"
    assert item.request.resonance_key == ResonanceKey("calm", "medium", "planning")
    assert item.request.context == Context("u", "s", "Lua", (Message("assistant", "네"),), "짧게", "compact")
    assert item.request.metadata == {"n": [1, {"x": None}]}


def test_text_is_another_name_of_user_input_and_null_means_not_given() -> None:
    item = accepted({"text": "안녕", "id": None, "resonance_key": None, "context": None, "metadata": None})
    assert (item.request.user_input, item.callers_id, item.request.resonance_key) == ("안녕", None, None)


@pytest.mark.parametrize("raw", [b"\n", b" \t \r\n"])
def test_a_line_of_white_space_is_blank(raw: bytes) -> None:
    assert one(raw) == Blank(7)


@pytest.mark.parametrize(
    ("raw", "field", "problem"),
    [
        (b"{\n", "line", "is not valid JSON"),
        (b'{"text": "a"} {"text": "b"}', "line", "is not valid JSON"),
        (b"hello", "line", "is not a JSON object"),
        (b'["a"]', "line", "is array, not object"),
        (b'{"text": "\xff"}', "line", "is not valid UTF-8"),
        (b'{"text": "a\x00b"}', "line", "is not valid JSON"),
        (b'{"metadata": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "line", "is nested too deeply"),
        (b"{}", "user_input", "is missing"),
        (b'{"text": "a", "user_input": "b"}', "text", "is given beside user_input"),
        (b'{"user_input": 3}', "user_input", "is int, not str"),
        (b'{"text": "a", "mood": "b"}', "mood", "is not a known field"),
        (b'{"text": "a", "context": {"mood": 1}}', "context.mood", "is not a known field"),
        (b'{"text": "a", "id": 1.5}', "id", "is float, not int | str"),
        (b'{"text": "a", "metadata": [1]}', "metadata", "is array, not object"),
        (b'{"text": "a", "resonance_key": {"tone": "calm"}}', "resonance_key.pace", "is missing"),
        (
            b'{"text": "a", "resonance_key": {"tone": "smug", "pace": "medium", "intent": "plan"}}',
            "resonance_key.tone",
            "'smug' is not a known tone",
        ),
        (
            b'{"text": "a", "context": {"history": [{"role": "boss", "content": "b"}]}}',
            "context.history[0].role",
            "is outside its domain",
        ),
        (
            b'{"text": "a", "context": {"history": [{"role": "user"}]}}',
            "context.history[0].content",
            "is missing",
        ),
        (b'{"text": "a", "context": {"mode": "loud"}}', "context.mode", "is outside its domain"),
    ],
)
def test_a_wrong_record_is_rejected_by_field_and_problem(raw: bytes, field: str, problem: str) -> None:
    item = one(raw)
    assert isinstance(item, Reject)
    assert (item.line, item.field, item.problem) == (7, field, problem)
    assert item.fix


@pytest.mark.parametrize(
    "record",
    [
        {WRITTEN: 1},
        {"text": [WRITTEN]},
        {"text": "a", "context": {WRITTEN: 1}},
        {"text": "a", "context": {"mode": WRITTEN}},
        {"text": "a", "context": {"history": [{"role": WRITTEN, "content": "b"}]}},
        {"text": "a", "resonance_key": [WRITTEN]},
    ],
)
def test_a_reject_never_quotes_the_person(record: dict[str, Any]) -> None:
    item = one(json.dumps(record, ensure_ascii=False).encode())
    assert isinstance(item, Reject)
    assert WRITTEN not in repr(item)


def test_a_line_that_was_too_long_is_rejected() -> None:
    (item,) = read_jsonl(iter([(3, None)]), max_line_bytes=1000)
    assert isinstance(item, Reject)
    assert item.problem == "is longer than 1,000 bytes"


@given(st.lists(st.binary(max_size=60)))
def test_any_bytes_give_one_item_a_line(raws: list[bytes]) -> None:
    assert len(list(read_jsonl(enumerate(raws, 1)))) == len(raws)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_the_text_arrives_verbatim(text: str) -> None:
    assert accepted({"text": text}).request.user_input == text
