"""What travels between producers and workers stays readable by those deployed before.

One golden file a schema version and message kind: MessagePack in hex, beside what it says in JSON.
A failure here means that running fleets would not understand the change: add fields with defaults,
or raise SCHEMA_VERSION and add golden files, never edit the old ones.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from persona_system.models import Analysis, Context, Decision, Message, Recommendation, Response
from persona_system.vocabulary import ResonanceKey
from workers.contract.dead_letters import Sighting
from workers.contract.payloads import SCHEMA_VERSION, Batch, Job, Outcome, Problem, Reply, Status

GOLDENS = Path(__file__).with_name("goldens")
KEY = ResonanceKey("calm", "medium", "learning")
DECISION = Decision(
    "Elro", "Riri", 0.75, {"Lua": 0.5, "Elro": 1.0, "Riri": 0.875, "Nana": 0.75}, "Elro, because"
)
JOB = Job(
    id="c0ffee-1",
    text="배포가 실패했어요. {why}?",
    key="calm-medium-learning",
    context=Context(
        user_id="u1",
        session_id="s1",
        preferred_persona="Lua",
        history=(Message("user", "hello"), Message("assistant", "hi")),
        summary="they met",
        mode="compact",
    ),
    deadline_ms=1_700_000_030_000,
    metadata={"ticket": 7},
)
RESPONSE = Response("the prompt", "Elro", KEY, "ko", "elro.ko@1", DECISION, None, 0.5, {"ticket": 7})
RECOMMENDATION: dict[str, Any] = {
    "recommended_persona": "Elro",
    "scores": {"Elro": 1.0},
    "capabilities": {
        "name": "Elro",
        "korean_name": "엘로",
        "role": "technical architect",
        "traits": ["logical"],
        "strengths": ["code_design"],
        "prompt_style": "structured",
        "preferred_tones": ["curious"],
        "best_for_tones": ["calm"],
        "best_for_paces": ["medium"],
        "best_for_intents": ["learning"],
    },
    "resonance_key": {"tone": "calm", "pace": "medium", "intent": "learning"},
    "analysis": msgspec.to_builtins(Analysis(KEY, "en", 0.5, "curious", 0.5, 0.5)),
}
pack = msgspec.msgpack.encode


def unraw(value: Any) -> Any:
    """Unpack what is embedded as raw bytes."""
    return msgspec.msgpack.decode(pack(value))


CASES: dict[str, tuple[Any, Any]] = {
    "job": (Job, JOB),
    "job_minimal": (Job, Job(id="c0ffee-2", text="hi")),
    "batch": (
        Batch,
        Batch(id="b1", reply_to="c0ffee", sent_ms=1_700_000_000_000, jobs=[msgspec.Raw(pack(JOB))]),
    ),
    "reply": (
        Reply,
        Reply(
            batch_id="b1",
            queued_ms=1.5,
            worked_ms=2.5,
            outcomes=[
                Outcome("c0ffee-1", Status.OK, msgspec.Raw(pack(RESPONSE))),
                Outcome(
                    "c0ffee-2",
                    Status.REJECTED,
                    problem=Problem("INVALID_INPUT", "is empty", "user_input", "fill"),
                ),
                Outcome("c0ffee-3", Status.EXPIRED),
            ],
        ),
    ),
    "job_durable": (Job, Job(id="c0ffee-3", text="hi", durable=True, tries=2)),
    "batch_part": (
        Batch,
        Batch(
            id="b1.suspect",
            reply_to="c0ffee",
            sent_ms=1_700_000_000_000,
            jobs=[msgspec.Raw(pack(Job(id="c0ffee-2", text="hi")))],
            lost=2,
            story=[Sighting(1_700_000_000_500, "lost with its worker", "worker1@ion")],
        ),
    ),
    "job_traced": (
        Job,
        Job(
            id="c0ffee-4",
            text="hi",
            request_id="f00d",
            trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ),
    "batch_traced": (
        Batch,
        Batch(
            id="b2",
            reply_to="c0ffee",
            sent_ms=1_700_000_000_000,
            jobs=[msgspec.Raw(pack(Job(id="c0ffee-4", text="hi")))],
            trace={
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
                "sentry-trace": "0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-1",
                "baggage": "sentry-sampled=true",
            },
        ),
    ),
    "reply_dead": (
        Reply,
        Reply(
            batch_id="b1.suspect",
            queued_ms=1.5,
            worked_ms=2.5,
            outcomes=[
                Outcome("c0ffee-2", Status.DEAD, problem=Problem("CRASHED", "3 workers crashed"), tries=3)
            ],
        ),
    ),
    "response": (Response, RESPONSE),
    "recommendation": (Recommendation, msgspec.convert(RECOMMENDATION, Recommendation)),
}


@pytest.mark.parametrize("name", CASES)
def test_what_we_write_is_what_deployed_readers_know(name: str) -> None:
    _, value = CASES[name]
    golden = bytes.fromhex((GOLDENS / f"v{SCHEMA_VERSION}_{name}.hex").read_text(encoding="ascii"))

    assert pack(value) == golden
    assert unraw(value) == json.loads(
        (GOLDENS / f"v{SCHEMA_VERSION}_{name}.json").read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("name", CASES)
def test_what_deployed_writers_sent_is_still_read(name: str) -> None:
    kind, value = CASES[name]
    golden = bytes.fromhex((GOLDENS / f"v{SCHEMA_VERSION}_{name}.hex").read_text(encoding="ascii"))

    assert pack(msgspec.msgpack.decode(golden, type=kind)) == pack(value)


@pytest.mark.parametrize("name", CASES)
def test_a_field_that_a_newer_writer_added_is_passed_over(name: str) -> None:
    kind, value = CASES[name]
    newer = pack({**unraw(value), "added_later": [1, 2, 3]})

    assert pack(msgspec.msgpack.decode(newer, type=kind)) == pack(value)
