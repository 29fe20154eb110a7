"""One job's way, from what was noted of it by whom."""

from typing import Any

import pytest

from producers.cli.jobs_timeline import Facts, ending, timeline_of
from workers.contract.dead_letters import Reason, Sighting
from workers.contract.payloads import Outcome, Problem, Status
from workers.contract.trail import Accepted, BatchTrail
from workers.store.letters import KeptLetter, State

CLIENT = "0123456789abcdef"
JOB = f"{CLIENT}-1f"
ACCEPTED = Accepted(1_000, CLIENT, "b1", "persona.process", "interactive", "request-7")


def trail(**fields: Any) -> BatchTrail:
    given: dict[str, Any] = {
        "batch_id": "b1",
        "task": "persona.process",
        "queue": "interactive",
        "worker": "worker1@ion",
        "sent_ms": 1_001,
        "queued_ms": 4.0,
        "worked_ms": 10.0,
        "jobs": 37,
        "shown": "37 jobs, interactive",
        "client": CLIENT,
        "ended": {"ok": 37},
        "spans": [(0x10, 0x34)],
    }
    return BatchTrail(**{**given, **fields})


def told(facts: Facts) -> list[tuple[int, str]]:
    return [(moment.at_ms, moment.what) for moment in timeline_of(facts).moments]


def test_a_durable_job_has_its_whole_way() -> None:
    facts = Facts(JOB, claimed=True, accepted=ACCEPTED, outcome=Outcome(JOB, Status.OK), trails=[trail()])
    found = timeline_of(facts)

    assert told(facts) == [(1_000, "accepted"), (1_001, "sent"), (1_005, "taken"), (1_015, "settled")]
    assert (found.status, found.request_id) == ("ok", "request-7")
    assert found.moments[2].told == "by worker1@ion after 4.0 ms"
    assert found.notes == []


def test_a_job_that_waits_says_for_what() -> None:
    found = timeline_of(Facts(JOB, claimed=True, accepted=ACCEPTED, waiting=(37, 2.14)))

    assert found.status == "under way"
    assert [moment.what for moment in found.moments] == ["accepted", "sent"]
    assert found.notes == ["its queue holds 37 messages, the oldest for 2.1 s; `ion doctor` tells of workers"]


def test_a_job_that_is_lost_goes_on_in_parts_until_it_is_a_dead_letter() -> None:
    letter = KeptLetter(
        id="dead1",
        state=State.KEPT,
        reason=Reason.CRASHED,
        code="CRASHED",
        field="",
        problem="",
        fix="",
        queue="interactive",
        task="persona.process",
        persona="",
        deliveries=3,
        deaths=1,
        retries=0,
        first_ms=9_000,
        last_ms=9_000,
        changed_ms=9_000,
        size_bytes=10,
        job_ids=[JOB],
        story=[Sighting(5_000, "lost with its worker", "worker1@ion"), Sighting(9_000, "dead: crashed")],
    )
    split = trail(ended={}, spans=[], jobs=2, left=["suspect", "rest"], lost=1)
    part = trail(batch_id="b1.suspect", sent_ms=1_001, queued_ms=7_000.0, jobs=1, named={JOB: "dead CRASHED"})
    problem = Problem("CRASHED", "3 workers crashed at this job")
    facts = Facts(
        JOB,
        claimed=True,
        accepted=ACCEPTED,
        outcome=Outcome(JOB, Status.DEAD, problem=problem, tries=3),
        trails=[split, part],
        letters=[letter],
    )
    found = timeline_of(facts)

    assert found.status == "dead"
    assert [moment.what for moment in found.moments].count("dead letter") == 2
    assert "the rest went on in suspect, rest" in " ".join(moment.told for moment in found.moments)
    assert found.notes == ["CRASHED: 3 workers crashed at this job", "it was tried 3 times"]


@pytest.mark.parametrize(
    ("left", "ended"),
    [
        pytest.param(trail(), "ok", id="all-ok"),
        pytest.param(
            trail(ended={"ok": 36, "failed": 1}, named={JOB: "failed INTERNAL"}), "failed INTERNAL", id="it"
        ),
        pytest.param(trail(ended={"ok": 36, "failed": 1}, named={"x": "failed"}), "ok", id="another-failed"),
        pytest.param(
            trail(ended={"ok": 7, "failed": 30}, named={"x": "failed"}), None, id="too-many-to-name"
        ),
        pytest.param(trail(spans=[], jobs=1, ended={"expired": 1}), "expired", id="the-only-one-in-it"),
        pytest.param(trail(spans=[], jobs=2, ended={"ok": 2}), None, id="not-known-to-be-in-it"),
    ],
)
def test_how_a_job_ended_is_told_only_where_it_is_certain(left: BatchTrail, ended: str | None) -> None:
    assert ending(left, JOB) == ended


@pytest.mark.parametrize(
    ("job_id", "why"),
    [
        pytest.param(JOB, "the latest 1,000 batches of their client", id="made-by-a-client"),
        pytest.param("order-4711", "chosen by its sender", id="made-by-its-sender"),
    ],
)
def test_of_an_unknown_job_it_says_what_could_be_known(job_id: str, why: str) -> None:
    found = timeline_of(Facts(job_id, missing=["the queue: away"]))

    assert (found.status, found.moments) == ("unknown", [])
    assert why in " ".join(found.notes)
    assert "the queue: away" in found.notes
