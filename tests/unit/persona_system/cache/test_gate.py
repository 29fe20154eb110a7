"""A cache that does not pay gets out of the way, and comes back when it would pay again."""

import random
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.cache.gate import Gate, GatePolicy

SMALL = GatePolicy(window=64, floor=0.1, reopen=0.25, one_in=4)  # the sample's window is 16
NOTES = st.lists(
    st.integers(0, 200).flatmap(lambda asked: st.tuples(st.just(asked), st.integers(0, asked))), max_size=60
)


def close(gate: Gate) -> None:
    gate.note(10 * gate.policy.window, 0)  # more than a window, so that hits already noted do not matter
    assert not gate.open


def serve(gate: Gate, cache: set[int], keys: list[int], batch: int = 32) -> int:
    """Serve *keys* as a caller would, over a cache that forgets nothing; return how many it was asked for."""
    asked = 0
    for start in range(0, len(keys), batch):
        part = keys[start : start + batch]
        through = [part[i] for i in gate.passing([crc32(key.to_bytes(8, "big")) for key in part])]
        gate.note(len(through), sum(key in cache for key in through))
        cache.update(through)
        asked += len(through)
    return asked


def test_a_cold_cache_has_a_full_window_to_fill() -> None:
    gate = Gate(SMALL)
    gate.note(63, 0)
    assert gate.open

    gate.note(1, 0)
    assert not gate.open


@given(NOTES)
def test_it_changes_only_at_the_end_of_a_window_on_the_far_side_of_its_threshold(
    notes: list[tuple[int, int]],
) -> None:
    """Between floor and reopen nothing changes; a change needs a window of its own side's length."""
    gate = Gate(SMALL)
    lookups = hits = 0
    for asked, hit in notes:
        before = gate.open
        lookups, hits = lookups + asked, hits + hit
        gate.note(asked, hit)
        full = lookups >= (64 if before else 16)
        if gate.open != before:
            assert full
            assert hits / lookups < 0.1 if before else hits / lookups >= 0.25
        elif full and before:
            assert hits / lookups >= 0.1
        if full:
            lookups = hits = 0


@given(st.integers(0, 15), st.floats(0.25, 1), NOTES)
def test_it_reopens_in_time_when_hits_come_back(
    noise: int, share: float, notes: list[tuple[int, int]]
) -> None:
    """Whatever came before: (patience + 1) windows of 16 sampled look-ups, each standing for 4 requests."""
    gate = Gate(SMALL)
    for asked, hit in notes:
        gate.note(asked, hit)
    if gate.open:
        close(gate)
    gate.note(noise, 0)  # a window under way, which the return of the hits may not save

    limit, requests = gate.reopens_within, 0
    while not gate.open:
        gate.note(16, max(4, round(share * 16)))
        requests += 64
    assert requests <= limit <= 9 * 64


def test_the_sample_is_the_same_in_every_process_and_one_in_so_many() -> None:
    prints = [crc32(f"text {number}".encode()) for number in range(16_000)]
    gates = Gate(), Gate()
    for gate in gates:
        close(gate)
    passing = [list(gate.passing(prints)) for gate in gates]

    assert passing[0] == passing[1] == [i for i, print_ in enumerate(prints) if gates[0].sampled(print_)]
    assert len(passing[0]) == pytest.approx(250, rel=0.2)


def test_while_open_everything_passes() -> None:
    assert list(Gate().passing([5, 6, 7])) == [0, 1, 2]


def test_unique_traffic_closes_it_and_repetition_opens_it() -> None:
    """100,000 unique requests: one window of 16,384, then one in 64.  Then 2,000 keys, over and over."""
    gate, cache, rng = Gate(), set[int](), random.Random(3)
    asked = serve(gate, cache, list(range(100_000)))
    assert asked == pytest.approx(16_384 + 83_616 / 64, rel=0.05)
    assert not gate.open

    serve(gate, cache, [10**9 + rng.randrange(2_000) for _ in range(2 * 16_384)])
    assert gate.open
    assert gate.closings == 1


def test_reuse_further_apart_than_a_window_closes_it_only_until_the_sample_has_filled() -> None:
    """A loop over 20,000 keys hits nothing in its first round and everything after it."""
    gate, cache = Gate(), set[int]()
    loop = list(range(20_000))
    serve(gate, cache, loop)
    assert not gate.open

    serve(gate, cache, loop)
    assert gate.open


def test_an_opening_that_did_not_pay_makes_the_next_one_harder() -> None:
    gate = Gate(SMALL)
    close(gate)
    gate.note(16, 16)
    assert gate.open  # the sample promised hits

    close(gate)  # which did not come
    gate.note(16, 16)
    assert not gate.open
    gate.note(16, 16)
    assert gate.open

    gate.note(64, 64)  # this one pays
    close(gate)
    gate.note(16, 16)
    assert gate.open


def test_a_cache_emptied_on_purpose_gets_a_new_chance() -> None:
    gate = Gate(SMALL)
    gate.note(60, 0)
    gate.restart()
    gate.note(60, 0)
    assert gate.open

    close(gate)
    gate.restart()
    assert gate.open
    assert gate.closings == 1


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"floor": 0.5, "reopen": 0.5}, "shares"),
        ({"floor": -0.1}, "shares"),
        ({"reopen": 1.1}, "shares"),
        ({"one_in": 12}, "power of two"),
        ({"one_in": 1}, "power of two"),
        ({"window": 8}, "window"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(values: dict[str, int], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        GatePolicy(**values)
