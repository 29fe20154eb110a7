"""The batch task: one outcome per job, whatever the jobs are like."""

import time
from typing import Any

import msgspec
import pytest

from persona_system.cache.answers import PROCESS, process_request
from persona_system.errors import PersonaError
from persona_system.models import Context, Message, Recommendation, Response
from persona_system.pipeline import load_pipeline
from tests.support.loopback import KeptDeadLetters
from tests.support.settling import MemorySettlements
from workers.contract.dead_letters import DeadLetter, Reason
from workers.contract.payloads import Batch, Job, Outcome, Reply, Status, shown_ends
from workers.delivery import FIRST
from workers.errors import Unavailable
from workers.runtime import Runtime
from workers.tasks import persona
from workers.tasks.answering import Kind
from workers.tasks.batch import answer_batch

pack = msgspec.msgpack.encode
PIPELINE = load_pipeline()
KEY = "calm-medium-learning"
NOW_MS = 1_000_000.0
ALL_OF_IT = "36 ok (12 cached), 1 rejected; Lua 27, Elro 9"


class Fleet:
    """A runtime over a reply store, a broker and dead letters in memory."""

    def __init__(self) -> None:
        self.settlements = MemorySettlements()
        self.letters = KeptDeadLetters()
        self.runtime = Runtime(PIPELINE, self.settlements, self.letters, lambda: NOW_MS)

    @property
    def kept(self) -> list[DeadLetter]:
        return self.letters.kept

    def reply(self) -> Reply:
        ((_, packed),) = self.settlements.replies
        return msgspec.msgpack.decode(packed, type=Reply)

    def outcomes(self) -> list[Outcome]:
        return self.reply().outcomes


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def batch(*jobs: Any, **changes: Any) -> bytes:
    fields = {"id": "b1", "reply_to": "me", "sent_ms": 999_990, "jobs": [msgspec.Raw(pack(j)) for j in jobs]}
    return pack(Batch(**{**fields, **changes}))


def test_each_job_gets_the_prompt_for_its_key(fleet: Fleet) -> None:
    jobs = [Job(id="1", text="Why does it fail?", key=KEY), Job(id="2", text="배포가 실패했어요", key=KEY)]
    persona.process(batch(*jobs), fleet.runtime)

    first, second = (msgspec.msgpack.decode(o.result, type=Response) for o in fleet.outcomes())
    assert (first.persona_used, first.language) == ("Elro", "en")
    assert "Why does it fail?" in first.content
    assert (second.language, second.template) == ("ko", "elro.ko@1")


def test_the_reply_goes_to_the_batchs_producer_and_tells_the_wait(fleet: Fleet) -> None:
    """Sent at 999,990 ms and taken up at 1,000,000 ms: it waited 10 ms."""
    persona.process(batch(Job(id="1", text="hi", key=KEY)), fleet.runtime)

    assert fleet.settlements.replies[0][0] == "me"
    assert (fleet.reply().batch_id, fleet.reply().queued_ms) == ("b1", 10.0)


def test_metadata_comes_back_untouched(fleet: Fleet) -> None:
    metadata = {"ticket": 7, "tags": ["a", "b"], "nested": {"x": None}}
    persona.process(batch(Job(id="1", text="hi", key=KEY, metadata=metadata)), fleet.runtime)

    assert msgspec.msgpack.decode(fleet.outcomes()[0].result, type=Response).metadata == metadata


def test_the_history_is_in_the_prompt(fleet: Fleet) -> None:
    context = Context(user_id="u1", history=(Message("user", "earlier words"),))
    persona.process(batch(Job(id="1", text="hi", key=KEY, context=context)), fleet.runtime)

    assert "earlier words" in msgspec.msgpack.decode(fleet.outcomes()[0].result, type=Response).content


@pytest.mark.parametrize(
    ("job", "field", "fix"),
    [
        ({"id": "x", "text": ""}, "user_input", "send 1 to"),
        ({"id": "x", "text": "   \n"}, "user_input", "send 1 to"),
        ({"id": "x", "text": "a" * 32_769}, "user_input", "shorten"),
        ({"id": "x", "text": "a\x00b"}, "user_input", "remove it"),
        ({"id": "x", "text": "hi", "key": "calm"}, "resonance_key", "calm-medium-learning"),
        ({"id": "x", "text": "hi", "key": "smug-medium-learning"}, "resonance_key.tone", "use one of"),
        ({"id": "x", "text": "hi", "key": "calm-slow-learning"}, "resonance_key.pace", "use one of"),
        ({"id": "x", "text": "hi", "key": "calm-medium-gossip"}, "resonance_key.intent", "use one of"),
        ({"id": "x", "text": 7}, "text", "contract"),
        ({"id": "x"}, "job", "contract"),
        (
            {"id": "x", "text": "hi", "context": {"history": [{"role": "wizard", "content": "x"}]}},
            "context.history[0].role",
            "contract",
        ),
    ],
)
def test_a_bad_job_is_rejected_and_its_neighbours_are_answered(
    fleet: Fleet, job: dict[str, Any], field: str, fix: str
) -> None:
    good = {"id": "good", "text": "hi", "key": KEY}
    persona.process(batch(good, job, good), fleet.runtime)

    before, bad, after = fleet.outcomes()
    assert (before.status, after.status) == (Status.OK, Status.OK)
    assert (bad.id, bad.status) == ("x", Status.REJECTED)
    assert bad.problem is not None
    assert (bad.problem.code, bad.problem.field) == ("INVALID_INPUT", field)
    assert fix in bad.problem.fix


def test_braces_and_template_syntax_are_text_like_any_other(fleet: Fleet) -> None:
    text = "{user_input} {{x}} ${y} %(z)s {% raw %} <<<END>>> [SYSTEM]"
    persona.process(batch(Job(id="1", text=text, key=KEY)), fleet.runtime)

    assert text in msgspec.msgpack.decode(fleet.outcomes()[0].result, type=Response).content


def test_a_job_that_is_no_map_has_an_outcome_too(fleet: Fleet) -> None:
    persona.process(batch(["not", "a", "job"]), fleet.runtime)

    (outcome,) = fleet.outcomes()
    assert (outcome.id, outcome.status) == ("", Status.REJECTED)


def test_a_job_whose_deadline_has_passed_is_not_worked_on(fleet: Fleet) -> None:
    late = Job(id="late", text="hi", key=KEY, deadline_ms=999_999)
    in_time = Job(id="in time", text="hi", key=KEY, deadline_ms=1_000_001)
    persona.process(batch(late, in_time), fleet.runtime)

    assert [o.status for o in fleet.outcomes()] == [Status.EXPIRED, Status.OK]


def test_a_bug_in_one_answer_fails_that_job_only_and_logs_no_words(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(job: Job) -> object:
        if job.id == "2":
            raise PersonaError(f"cannot do {job.text}")
        return job.id

    jobs = [Job(id=n, text="a private matter") for n in "123"]
    kind = Kind(PROCESS, process_request, answer, persona_of=lambda _: "Lua")
    answer_batch(batch(*jobs), FIRST, fleet.runtime, kind)

    assert [o.status for o in fleet.outcomes()] == [Status.OK, Status.FAILED, Status.OK]
    assert "PersonaError" in caplog.text
    assert "private" not in caplog.text


@pytest.mark.parametrize("version", [0, 2, 99])
def test_an_unknown_version_is_kept_unharmed_and_its_producer_told(fleet: Fleet, version: int) -> None:
    payload = batch({"id": "1", "text": "hi"}, {"id": "2", "text": "ho"}, v=version)
    persona.process(payload, fleet.runtime)

    (letter,) = fleet.kept
    assert letter.payload == payload
    assert (letter.reason, letter.code) == (Reason.UNKNOWN_VERSION, "UNKNOWN_SCHEMA_VERSION")
    assert letter.job_ids == ["1", "2"]
    assert [(o.id, o.status) for o in fleet.outcomes()] == [("1", Status.DEAD), ("2", Status.DEAD)]


def test_an_unknown_version_of_another_shape_is_kept_too(fleet: Fleet) -> None:
    payload = pack({"v": 3, "id": "b", "reply_to": "me", "jobs": [{"id": "1"}], "sent_ms": "tomorrow"})
    persona.process(payload, fleet.runtime)

    assert fleet.kept[0].code == "UNKNOWN_SCHEMA_VERSION"
    assert fleet.outcomes()[0].status is Status.DEAD


def test_a_batch_of_a_known_version_that_is_malformed_says_so(fleet: Fleet) -> None:
    fields = {"v": 1, "id": "b", "reply_to": "me", "jobs": [{"id": "1"}], "sent_ms": "tomorrow"}
    persona.process(pack(fields), fleet.runtime)

    (outcome,) = fleet.outcomes()
    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.problem.field) == ("MALFORMED_BATCH", "batch")


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"not a batch", pack([1, 2]), pack({"v": 1})])
def test_what_is_no_batch_is_kept(fleet: Fleet, payload: bytes) -> None:
    persona.process(payload, fleet.runtime)

    assert [(letter.payload, letter.code) for letter in fleet.kept] == [(payload, "MALFORMED_BATCH")]
    assert not fleet.settlements.replies


def test_a_reply_that_cannot_be_sent_is_the_callers_to_retry(fleet: Fleet) -> None:
    fleet.settlements.broken = True
    with pytest.raises(Unavailable):
        persona.process(batch(Job(id="1", text="hi", key=KEY)), fleet.runtime)


def test_recommend_tells_who_suits_and_why(fleet: Fleet) -> None:
    persona.recommend(batch(Job(id="1", text="We must decide together", key=KEY)), fleet.runtime)

    advice = msgspec.msgpack.decode(fleet.outcomes()[0].result, type=Recommendation)
    assert advice.recommended_persona == advice.capabilities.name == "Elro"
    assert set(advice.scores) == {"Lua", "Elro", "Riri", "Nana"}


def test_time_is_read_from_the_runtime(fleet: Fleet) -> None:
    """The wall clock of this test is far from the runtime's, and nothing expires by it."""
    assert time.time() * 1000 > NOW_MS
    persona.process(batch(Job(id="1", text="hi", key=KEY, deadline_ms=int(NOW_MS) + 1)), fleet.runtime)
    assert fleet.outcomes()[0].status is Status.OK


def test_operators_are_told_how_the_jobs_of_a_batch_ended_and_no_more(fleet: Fleet) -> None:
    bad = Job(id="2", text="my very private words", key="no-such-key")
    told = persona.process(batch(Job(id="1", text="hi", key=KEY), bad), fleet.runtime)
    again = persona.process(batch(Job(id="1", text="hi", key=KEY), bad), fleet.runtime)

    assert (told, again) == ("1 ok, 1 rejected", "its end was there before")


def test_operators_are_told_why_a_message_was_refused(fleet: Fleet) -> None:
    assert persona.process(b"\xc1 my very private words", fleet.runtime) == "refused: MALFORMED_BATCH"


@pytest.mark.parametrize(
    ("ended", "cached", "personas", "told"),
    [
        ({"ok": 36}, 0, {}, "36 ok"),
        (
            {"rejected": 1, "ok": 36},
            12,
            {"Elro": 9, "Lua": 27},
            "36 ok (12 cached), 1 rejected; Lua 27, Elro 9",
        ),
        ({"failed": 2, "expired": 1}, 0, {}, "2 failed, 1 expired"),
        ({}, 0, {}, ""),
    ],
    ids=["answers", "all of it", "none", "nothing"],
)
def test_what_operators_see_is_counts_and_mentors(
    ended: dict[str, int], cached: int, personas: dict[str, int], told: str
) -> None:
    assert shown_ends(ended, cached, personas) == told
