"""What follows what: learnt from few cases, not fooled by popularity, in bounded memory."""

import random
from collections import Counter
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.cache.followups import (
    ANY_OTHER,
    BASE_LIMIT,
    ROW_LIMIT,
    FollowUpPolicy,
    FollowUps,
    Generations,
)

A, B, C, D = (bytes([letter]) * 16 for letter in b"ABCD")
KEYS = [bytes([number]) * 16 for number in range(1, 12)]
PAIRS = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)), max_size=200)


def with_background(policy: FollowUpPolicy | None = None) -> FollowUps:
    """Return one that has seen 200 other pairs, against which a follow-up can stand out."""
    follow_ups = FollowUps(policy)
    for number in range(200):
        follow_ups.observe(b"from%12d" % number, b"to--%12d" % number)
    return follow_ups


def observe(follow_ups: FollowUps, previous: bytes, current: bytes, times: int) -> None:
    for _ in range(times):
        follow_ups.observe(previous, current)


def test_what_follows_is_predicted_from_the_third_case_on() -> None:
    """3 of 3 cases, two imagined failures included: 3 / 5 = 0.6, over the threshold of 0.5."""
    follow_ups = with_background()
    observe(follow_ups, A, B, 2)
    assert follow_ups.predict(A) == ()

    follow_ups.observe(A, B)
    assert follow_ups.predict(A) == (B,)
    assert follow_ups.predict(B) == ()  # the other way round was never seen


def test_confidence_counts_all_cases() -> None:
    """5 of 8 cases: 5 / 10 = 0.5 suffices; 5 of 9 does not."""
    follow_ups = with_background()
    observe(follow_ups, A, B, 5)
    observe(follow_ups, A, C, 3)
    assert follow_ups.predict(A) == (B,)

    follow_ups.observe(A, C)
    assert follow_ups.predict(A) == ()


def test_the_most_likely_comes_first_and_no_more_than_asked_for() -> None:
    follow_ups = with_background(FollowUpPolicy(confidence=0.2, most=2))
    for current, times in ((D, 4), (C, 5), (B, 6)):
        observe(follow_ups, A, current, times)

    assert follow_ups.predict(A) == (B, C)


def test_what_everybody_asks_anyway_is_not_a_follow_up() -> None:
    """B is every second request: it follows A in all cases, but 0.9 is not three times 0.5."""
    follow_ups = with_background()
    for number in range(200):
        follow_ups.observe(b"more%12d" % number, B)
    observe(follow_ups, A, B, 20)

    assert follow_ups.predict(A) == ()


@pytest.mark.parametrize("zipf", [0.0, 0.8, 1.0, 1.5])
def test_independent_traffic_predicts_next_to_nothing(zipf: float) -> None:
    """Whatever the skew: nothing follows anything, so fewer than 1 % of the requests get a prediction."""
    rng = random.Random(7)
    weights = list(accumulate(1 / (rank + 1) ** zipf for rank in range(500)))
    asked = [rank.to_bytes(16, "big") for rank in rng.choices(range(500), cum_weights=weights, k=20_000)]
    follow_ups, predicted = FollowUps(), 0
    for previous, current in pairwise(asked):
        follow_ups.observe(previous, current)
        predicted += len(follow_ups.predict(current))

    assert predicted < 200


def test_a_new_follower_replaces_the_old_one() -> None:
    """A row full of B ages, so C has taken over after as many cases as a row remembers."""
    follow_ups = with_background()
    observe(follow_ups, A, B, 2 * ROW_LIMIT)
    assert follow_ups.predict(A) == (B,)

    observe(follow_ups, A, C, ROW_LIMIT)
    assert follow_ups.predict(A) == (C,)


def test_a_follower_is_found_among_more_others_than_a_row_can_hold() -> None:
    follow_ups = with_background(FollowUpPolicy(followers=4))
    rng = random.Random(5)
    for number in range(100):
        follow_ups.observe(A, B if rng.random() < 0.8 else b"noise%11d" % number)
        observe(follow_ups, C, b"other%11d" % number, 3)  # so that B is not every second request

    assert follow_ups.predict(A) == (B,)


@given(PAIRS, st.integers(1, 4), st.integers(2, 6))
def test_memory_is_bounded_and_no_count_is_invented(
    pairs: list[tuple[bytes, bytes]], followers: int, rows: int
) -> None:
    follow_ups = FollowUps(FollowUpPolicy(followers=followers, rows=rows))
    for previous, current in pairs:
        follow_ups.observe(previous, current)

    seen = Counter(pairs)
    held = follow_ups._rows.young | follow_ups._rows._old
    assert len(held) == len(follow_ups._rows) <= rows
    for previous, row in held.items():
        assert len(row.followers) <= followers
        assert sum(row.followers.values()) <= row.cases < ROW_LIMIT
        for current, count in row.followers.items():
            assert 0 < count <= min(row.best, seen[previous, current])


def test_base_rates_are_bounded() -> None:
    follow_ups = FollowUps()
    for number in range(2 * BASE_LIMIT):
        follow_ups.observe(A, number.to_bytes(16, "big"))

    assert len(follow_ups._base) <= BASE_LIMIT
    assert follow_ups._observed < BASE_LIMIT


@given(PAIRS, st.integers(0, 30))
def test_an_export_is_what_was_learnt_and_no_longer_than_asked_for(
    pairs: list[tuple[bytes, bytes]], n: int
) -> None:
    """Each exported A comes with as many cases as were observed; pairs are never counted too high."""
    follow_ups = FollowUps()
    for previous, current in pairs:
        follow_ups.observe(previous, current)
    rows = follow_ups.export(n)

    seen, cases = Counter(pairs), Counter(previous for previous, _ in pairs)
    assert len(rows) <= n
    assert len({row[:2] for row in rows}) == len(rows)
    exported = Counter[bytes]()
    for previous, current, count in rows:
        exported[previous] += count
        if current != ANY_OTHER and cases[previous] < ROW_LIMIT and len(set(pairs)) <= 8:
            assert count == seen[previous, current]
    assert all(count >= cases[previous] for previous, count in exported.items())
    assert follow_ups.export(n) == []


def test_what_one_process_learnt_another_predicts() -> None:
    teacher, pupil = with_background(), with_background()
    observe(teacher, A, B, 6)
    observe(teacher, A, C, 2)
    observe(teacher, A, D, 1)  # seen once: not worth a row of its own

    rows = teacher.export(100)
    assert rows == [(A, B, 6), (A, C, 2), (A, ANY_OTHER, 1)]
    assert teacher.export(100) == []

    pupil.merge(rows)
    assert pupil.predict(A) == (B,)
    assert pupil.export(100) == []  # what came from others is not sent round again


def test_a_shared_weak_follow_up_stays_weak() -> None:
    """200 of 1,000 cases.  Without the row for all others it would look certain."""
    teacher, pupil = with_background(), with_background()
    for number in range(1_000):
        teacher.observe(A, B if number % 5 == 0 else b"noise%11d" % number)

    rows = teacher.export(2)
    assert [row[:2] for row in rows] == [(A, B), (A, ANY_OTHER)]
    pupil.merge(rows)
    assert pupil.predict(A) == ()


def test_many_merged_cases_keep_their_proportions() -> None:
    pupil = with_background()
    pupil.merge([(b"else%12d" % number, b"next%12d" % number, 100) for number in range(100)])
    pupil.merge([(A, B, 700), (A, ANY_OTHER, 300)])

    assert pupil.predict(A) == (B,)
    pupil.merge([(A, B, 0), (A, C, -5)])  # nonsense adds nothing
    assert pupil.predict(A) == (B,)


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=100), st.integers(2, 8))
def test_the_last_half_of_the_keys_is_always_held(steps: list[tuple[int, bool]], limit: int) -> None:
    generations: Generations[int, int] = Generations(limit)
    values: dict[int, int] = {}
    used: list[int] = []
    for number, (key, write) in enumerate(steps):
        if write:
            assert generations.swap(key, number) in (None, values.get(key))
            values[key] = number
        elif generations.get(key) is None:
            continue
        used = [other for other in used if other != key] + [key]
        assert len(generations) <= limit
        for recent in used[-(limit // 2) :]:
            held = generations.young.get(recent, generations._old.get(recent))
            assert held == values[recent]


@pytest.mark.parametrize(
    "values",
    [{"confidence": 0.0}, {"confidence": 1.1}, {"support": 0}, {"most": 0}, {"followers": 0}, {"rows": 1}],
)
def test_a_policy_that_cannot_work_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        FollowUpPolicy(**values)
