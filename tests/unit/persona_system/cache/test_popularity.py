"""Counting in bounded memory: never too high, too low by no more than is promised."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.cache.popularity import Popularity, Tally

KEYS = [bytes([letter]) * 16 for letter in range(40)]
BATCHES = st.lists(st.lists(st.sampled_from(KEYS), max_size=60), max_size=30)
CAPACITIES = st.integers(1, 12)
STEPS = st.lists(
    st.one_of(
        st.lists(st.sampled_from(KEYS), max_size=60),
        st.just("drain"),
        st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]),
    ),
    max_size=30,
)


@given(BATCHES, CAPACITIES)
def test_a_count_is_never_too_high_and_too_low_by_one_in_capacity_at_most(
    batches: list[list[bytes]], capacity: int
) -> None:
    """Each cut of c needs more than c x capacity lookups, so cuts sum to at most N / (capacity + 1)."""
    popularity, true = Popularity(capacity), Counter[bytes]()
    for batch in batches:
        popularity.add(batch)
        true.update(batch)

    assert popularity.error <= true.total() / (capacity + 1)
    for key in KEYS:
        assert true[key] - popularity.error <= popularity.estimate(key) <= true[key]


@given(BATCHES, CAPACITIES)
def test_every_heavy_hitter_is_in_the_table(batches: list[list[bytes]], capacity: int) -> None:
    popularity, true = Popularity(capacity), Counter[bytes]()
    for batch in batches:
        popularity.add(batch)
        true.update(batch)

    heavy = {key for key, count in true.items() if count > true.total() / (capacity + 1)}
    assert heavy <= {key for key, _ in popularity.top(4 * capacity)}


@given(STEPS, CAPACITIES)
def test_memory_and_bounds_hold_whatever_is_drained_and_decayed(
    steps: list[list[bytes] | str | float], capacity: int
) -> None:
    """The truth here: what was drained is scaled exactly, what was not keeps its weight."""
    popularity = Popularity(capacity)
    older, recent = Counter[bytes](), Counter[bytes]()
    weights: dict[bytes, float] = {}
    for step in steps:
        if isinstance(step, list):
            popularity.add(step)
            recent.update(step)
        elif step == "drain":
            popularity.drain(3)
            older.update(recent)
            weights = {key: weights.get(key, 0.0) + recent[key] for key in KEYS}
            recent.clear()
        elif isinstance(step, float):
            popularity.decay(step)
            weights = {key: weight * step for key, weight in weights.items()}
        assert len(popularity) <= 4 * capacity

    for key in KEYS:
        true = weights.get(key, 0.0) + recent[key]
        assert true - popularity.error - 1e-6 <= popularity.estimate(key) <= true + 1e-6


@given(BATCHES, CAPACITIES)
def test_one_table_never_outgrows_twice_its_capacity(batches: list[list[bytes]], capacity: int) -> None:
    tally: Tally[bytes] = Tally(capacity)
    for batch in batches:
        tally.add(batch)
        assert len(tally) <= 2 * capacity


def test_few_keys_are_counted_exactly() -> None:
    popularity = Popularity()
    popularity.add([KEYS[0], KEYS[1], KEYS[0]])
    popularity.add(key for key in KEYS[1:3])  # any iterable will do

    assert popularity.top(2) == [(KEYS[0], 2), (KEYS[1], 2)]
    assert [popularity.estimate(key) for key in KEYS[:4]] == [2, 2, 1, 0]
    assert popularity.error == 0


def test_a_drain_hands_out_what_is_new_and_keeps_the_estimate() -> None:
    popularity = Popularity()
    popularity.add([KEYS[0]] * 3 + [KEYS[1]] * 2 + [KEYS[2]])

    assert popularity.drain(2) == {KEYS[0]: 3, KEYS[1]: 2}
    assert popularity.drain(2) == {}

    popularity.add([KEYS[1]] * 2)
    assert popularity.drain(2) == {KEYS[1]: 2}
    assert popularity.top(3) == [(KEYS[1], 4), (KEYS[0], 3), (KEYS[2], 1)]


def test_old_favourites_fade_and_what_is_not_yet_drained_does_not() -> None:
    popularity = Popularity()
    popularity.add([KEYS[0]] * 8 + [KEYS[1]])
    popularity.drain(10)
    popularity.add([KEYS[2]] * 3)
    popularity.decay(0.5)

    assert popularity.top(10) == [(KEYS[0], 4), (KEYS[2], 3)]  # half of one rounds down to nothing


def test_the_favourites_of_a_long_tail_are_found_in_little_memory() -> None:
    """Zipf over 50,000 keys, room for 2,000 to 4,000 in each table; the 100 most frequent are wanted."""
    rng = random.Random(20)
    ranks = range(50_000)
    asked = rng.choices(ranks, cum_weights=list(accumulate(1 / (rank + 1) for rank in ranks)), k=200_000)
    keys = [rank.to_bytes(16, "big") for rank in asked]
    popularity = Popularity(capacity=2_000)
    for start in range(0, len(keys), 500):
        popularity.add(keys[start : start + 500])

    wanted = {key for key, _ in Counter(keys).most_common(100)}
    found = {key for key, _ in popularity.top(100)}
    assert len(wanted & found) >= 98  # neighbours around rank 100 may change places
    assert len(popularity) <= 4_000


def test_threads_lose_no_count() -> None:
    popularity = Popularity()

    def count_and_drain(_: int) -> dict[bytes, int]:
        popularity.add(KEYS * 25)
        return popularity.drain(100)

    with ThreadPoolExecutor(4) as pool:
        drained = list(pool.map(count_and_drain, range(40)))

    assert all(popularity.estimate(key) == 1_000 for key in KEYS)
    assert sum(sum(part.values()) for part in drained) == 40_000


@pytest.mark.parametrize("factor", [-0.1, 1.1])
def test_a_decay_never_invents_counts(factor: float) -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Popularity().decay(factor)


def test_a_table_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Popularity(0)
