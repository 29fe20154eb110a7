"""What a batch leaves, so that one of its jobs can be followed: its numbers as spans, its ends by count."""

import random

import pytest

from workers.contract.payloads import Outcome, Problem, Status
from workers.contract.trail import (
    BatchTrail,
    client_of,
    covers,
    decode_trail,
    encode,
    ends_of,
    spans_of,
)

CLIENT = "0123456789abcdef"


def ids(*numbers: int) -> list[str]:
    return [f"{CLIENT}-{number:x}" for number in numbers]


def trail(**fields: object) -> BatchTrail:
    given = {
        "batch_id": "b",
        "task": "t",
        "queue": "interactive",
        "worker": "w",
        "sent_ms": 1,
        "queued_ms": 2.0,
        "worked_ms": 3.0,
        "jobs": 1,
        "client": CLIENT,
    }
    return BatchTrail(**{**given, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("numbers", "spans"),
    [
        pytest.param((), [], id="none"),
        pytest.param((7,), [(7, 7)], id="one"),
        pytest.param((0, 1, 2), [(0, 2)], id="a-run"),
        pytest.param((5, 6, 9, 10, 12), [(5, 6), (9, 10), (12, 12)], id="holes-where-the-cache-answered"),
    ],
)
def test_numbers_become_few_pairs(numbers: tuple[int, ...], spans: list[tuple[int, int]]) -> None:
    assert spans_of(CLIENT, ids(*numbers)) == spans


def test_every_job_of_a_batch_is_found_and_no_other() -> None:
    numbers = sorted(random.sample(range(60), 30))
    left = trail(spans=spans_of(CLIENT, ids(*numbers)))

    assert [n for n in range(70) if covers(left, ids(n)[0])] == numbers
    assert not covers(left, f"{'f' * 16}-{numbers[0]:x}")
    assert not covers(left, "order-4711")


def test_ids_that_their_senders_chose_are_no_numbers() -> None:
    assert spans_of(CLIENT, ["order-4711", f"{CLIENT}-not-hex", *ids(3)]) == [(3, 3)]
    assert client_of("order-4711") is None
    assert client_of(ids(31)[0]) == (CLIENT, 31)


def test_what_is_not_ok_is_named_as_far_as_there_is_room() -> None:
    bad = [Outcome(f"bad-{n}", Status.REJECTED, problem=Problem("INVALID_INPUT", "x")) for n in range(30)]
    ended, named = ends_of([Outcome("good", Status.OK), *bad])

    assert ended == {"ok": 1, "rejected": 30}
    assert len(named) == 20
    assert named["bad-0"] == "rejected INVALID_INPUT"
    assert covers(trail(named=named), "bad-3")


def test_a_trail_is_short_and_comes_back_as_it_was() -> None:
    left = trail(spans=[(1, 512)], ended={"ok": 512}, jobs=512, shown="512 jobs, interactive")

    assert decode_trail(encode(left)) == left
    assert len(encode(left)) < 250
