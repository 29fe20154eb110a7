"""Prefetching pays for itself, or stops."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.cache.followups import ANY_OTHER, FollowUpPolicy, FollowUps
from persona_system.cache.prefetch import Prefetcher, PrefetchPolicy

Request = tuple[bytes, bytes]  # who, what
A, B, C = (bytes([letter]) * 16 for letter in b"ABC")
USER = b"u" * 16
LEADERS = 200  # of the contents of a trace, so many have a follow-up


def trace(
    seed: int, requests: int, follow: float, contents: int = 2_000, zipf: float = 1.0
) -> Iterator[Request]:
    """Yield requests of 300 people: by popularity, or with probability *follow* the last one's follow-up."""
    rng = random.Random(seed)
    weights = list(accumulate(1 / (rank + 1) ** zipf for rank in range(contents)))
    chosen = rng.sample(range(contents), 2 * LEADERS) if follow else []
    pairs = dict(zip(chosen[:LEADERS], chosen[LEADERS:], strict=True)) if follow else {}
    last: dict[int, int] = {}
    for _ in range(requests):
        user = rng.randrange(300)
        content = pairs.get(last.get(user, -1), -1)
        if content < 0 or rng.random() >= follow:
            content = rng.choices(range(contents), cum_weights=weights)[0]
        last[user] = content
        yield user.to_bytes(16, "big"), content.to_bytes(16, "big")


def run(prefetcher: Prefetcher, requests: Iterator[Request]) -> Prefetcher:
    for slot, content in requests:
        prefetcher.asked(slot, content)
    return prefetcher


def knowing(policy: PrefetchPolicy | None = None) -> Prefetcher:
    """Return one to which another process taught that B follows A."""
    follow_ups = FollowUps()
    follow_ups.merge([(b"else%12d" % number, b"next%12d" % number, 1) for number in range(500)])
    follow_ups.merge([(A, B, 20)])
    return Prefetcher(follow_ups, policy if policy is not None else PrefetchPolicy(one_in=1))


def idle(prefetcher: Prefetcher, requests: int) -> None:
    for number in range(requests):
        prefetcher.asked(b"idler%11d" % number, C)


def test_on_a_trace_with_follow_ups_nine_in_ten_prefetched_contents_are_used() -> None:
    """95 of 100 people ask the follow-up: once learnt, that is the precision, and nearly all are caught."""
    prefetcher = run(Prefetcher(), trace(1, 20_000, follow=0.95))
    learnt = prefetcher.stats()
    assert learnt.active

    stats = run(prefetcher, trace(1, 40_000, follow=0.95)).stats()
    assert stats.precision is not None
    assert stats.precision >= 0.9
    assert stats.used - learnt.used > 3_000


@pytest.mark.parametrize("zipf", [0.0, 0.8, 1.0, 1.3])
def test_without_follow_ups_the_extra_work_stays_below_one_percent(zipf: float) -> None:
    stats = run(Prefetcher(), trace(2, 20_000, follow=0.0, contents=500, zipf=zipf)).stats()

    assert stats.prefetched - stats.used <= 0.01 * stats.observed
    assert not stats.active


def test_even_a_predictor_that_is_always_confident_stays_within_the_budget() -> None:
    """Thresholds that let everything through: chance is predicted, and the allowance holds it down."""
    reckless = FollowUpPolicy(confidence=0.01, support=1, lift=0.0)
    stats = run(Prefetcher(FollowUps(reckless)), trace(3, 20_000, follow=0.0, contents=500, zipf=0.5)).stats()

    assert not stats.active
    assert 100 < stats.prefetched - stats.used <= 0.01 * stats.observed + stats.used


def test_the_follow_up_is_prefetched_and_counts_as_used_when_it_is_asked() -> None:
    prefetcher = knowing(PrefetchPolicy(one_in=1, budget=1.0))
    assert prefetcher.asked(USER, A) == (B,)
    assert prefetcher.asked(USER, A) == ()  # it is waiting already

    prefetcher.asked(USER, C)
    prefetcher.asked(USER, B)
    stats = prefetcher.stats()
    assert (stats.observed, stats.prefetched, stats.used, stats.wasted) == (4, 1, 1, 0)
    assert stats.precision == 1.0


def test_it_is_wasted_when_the_person_asks_other_things() -> None:
    prefetcher = knowing(PrefetchPolicy(one_in=1, budget=1.0, within=2))
    prefetcher.asked(USER, A)
    prefetcher.asked(b"someone else 16b", B)  # of no use to this person
    prefetcher.asked(USER, C)
    assert prefetcher.stats().precision is None

    prefetcher.asked(USER, b"other")
    assert prefetcher.asked(USER, B) == ()
    stats = prefetcher.stats()
    assert (stats.used, stats.wasted, stats.precision) == (0, 1, 0.0)


def test_it_is_wasted_when_the_person_never_comes_back() -> None:
    prefetcher = knowing(PrefetchPolicy(one_in=1, budget=1.0, patience=2_000))
    prefetcher.asked(USER, A)
    idle(prefetcher, 1_900)
    assert prefetcher.stats().wasted == 0

    idle(prefetcher, 1_200)  # the next look after 2,000 requests is at request 2,048
    assert prefetcher.stats().wasted == 1


def test_people_who_wait_are_bounded_and_the_oldest_are_given_up() -> None:
    prefetcher = knowing(PrefetchPolicy(one_in=1, budget=1.0, waiting=16))
    for number in range(40):
        prefetcher.asked(b"user%12d" % number, A)

    stats = prefetcher.stats()
    assert stats.prefetched == 40
    assert 24 <= stats.wasted < 40
    assert len(prefetcher._waiting) <= 16


def test_an_allowance_must_be_earned_before_anything_is_prefetched() -> None:
    """1 % of 99 requests is less than one content; with the 100th, it is one."""
    prefetcher = knowing()
    idle(prefetcher, 98)
    assert prefetcher.asked(USER, A) == ()
    assert prefetcher.asked(b"another user 16b", A) == (B,)
    assert prefetcher.asked(b"one more user 16", A) == ()


def follow(prefetcher: Prefetcher, people: int, *, obey: bool, first: int = 0) -> int:
    """Let *people* ask A, then B if they *obey* the prediction; return how often B was prefetched."""
    prefetched = 0
    for number in range(first, first + people):
        slot = b"user%12d" % number
        prefetched += len(prefetcher.asked(slot, A))
        prefetcher.asked(slot, B if obey else b"x%15d" % number)
        for step in range(4):  # others are busy too, and time passes for this person
            prefetcher.asked(slot, b"%d%15d" % (step, number))
    return prefetched


def test_it_grows_while_it_pays_switches_off_when_not_and_comes_back() -> None:
    prefetcher = knowing(PrefetchPolicy(one_in=1, budget=0.02, window=32))
    assert follow(prefetcher, 1_000, obey=True) > 900
    assert prefetcher.stats().active

    # The association is gone, but is taught again and again by others, so predictions go on being wrong.
    wasted = 0
    for start in range(1_000, 2_000, 10):
        prefetcher.merge([(A, B, 50), (C, ANY_OTHER, 500)])
        wasted += follow(prefetcher, 10, obey=False, first=start)
    assert not prefetcher.stats().active
    assert 32 <= wasted <= 64 + 0.02 * 6_000

    follow(prefetcher, 400, obey=True, first=2_000)
    assert prefetcher.stats().active
    assert follow(prefetcher, 100, obey=True, first=3_000) == 100


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), max_size=400),
    st.sampled_from([0.01, 0.1, 0.5, 1.0]),
    st.sampled_from([0.3, 0.5, 1.0]),
)
def test_the_books_balance_and_a_trial_never_overdraws(
    requests: list[tuple[int, int]], budget: float, floor: float
) -> None:
    """On trial: prefetched - used <= budget x requests + used x (1 / floor - 1)."""
    reckless = FollowUpPolicy(confidence=0.01, support=1, lift=0.0)
    policy = PrefetchPolicy(budget=budget, floor=floor, window=10_000, one_in=1, slots=4, waiting=3, within=2)
    prefetcher = Prefetcher(FollowUps(reckless), policy)
    handed_out = 0
    for slot, content in requests:
        handed_out += len(prefetcher.asked(bytes([slot]), bytes([content])))
        stats = prefetcher.stats()
        waiting = sum(len(waiting.contents) for waiting in prefetcher._waiting.values())
        assert stats.prefetched == handed_out == stats.used + stats.wasted + waiting
        assert handed_out - stats.used <= budget * stats.observed + stats.used * (1 / floor - 1) + 1e-6
        assert len(prefetcher._waiting) <= 3
        assert len(prefetcher._last) <= 4


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), max_size=100), st.integers(1, 7))
def test_a_batch_is_its_requests_in_order(requests: list[tuple[int, int]], size: int) -> None:
    reckless, policy = (
        FollowUpPolicy(confidence=0.01, support=1, lift=0.0),
        PrefetchPolicy(one_in=1, budget=1.0),
    )
    one, many = Prefetcher(FollowUps(reckless), policy), Prefetcher(FollowUps(reckless), policy)
    pairs = [(bytes([slot]), bytes([content])) for slot, content in requests]
    for start in range(0, len(pairs), size):
        batch = pairs[start : start + size]
        expected = [content for pair in batch for content in one.asked(*pair)]
        assert many.asked_all(batch) == list(dict.fromkeys(expected))

    assert one.stats() == many.stats()


def test_on_trial_one_in_so_many_people_is_followed_and_afterwards_everyone() -> None:
    prefetcher = knowing(PrefetchPolicy(one_in=4, budget=1.0, window=16))
    people = [bytes([number]) * 16 for number in range(64)]
    assert [slot for slot in people if prefetcher.asked(slot, A)] == people[::4]

    for slot in people:
        prefetcher.asked(slot, B)
    assert prefetcher.stats().active
    assert [slot for slot in people if prefetcher.asked(slot, A)] == people


def test_people_who_are_not_followed_may_be_counted_without_what_they_ask() -> None:
    asked, counted = Prefetcher(), Prefetcher()
    for slot, content in trace(5, 20_000, follow=0.6):
        expected = asked.asked(slot, content)
        if counted.follows(slot):
            assert counted.asked(slot, content) == expected
        else:
            assert expected == ()
            counted.pass_by(1)

    assert counted.stats() == asked.stats()
    assert asked.stats().prefetched > 0


def test_nobody_in_particular_is_not_followed() -> None:
    prefetcher = knowing(PrefetchPolicy(one_in=1, budget=1.0))
    assert prefetcher.asked(b"", A) == ()
    assert prefetcher.stats().observed == 1


def test_processes_share_what_they_learnt() -> None:
    """The lone worker has seen too little of each pair; with the others' rows it knows them all."""
    teacher = run(Prefetcher(), trace(4, 20_000, follow=0.95))
    alone, taught = Prefetcher(), Prefetcher()
    taught.merge(teacher.export(5_000))
    for prefetcher in (alone, taught):
        run(prefetcher, (request for number, request in enumerate(trace(4, 6_000, 0.95)) if number % 2))

    assert taught.stats().used > 1.2 * alone.stats().used


def test_threads_may_share_it() -> None:
    prefetcher = Prefetcher()
    requests = list(trace(5, 4_000, follow=0.95))
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(lambda start: prefetcher.asked_all(requests[start : start + 100]), range(0, 4_000, 100))
        )

    assert prefetcher.stats().observed == 4_000


@pytest.mark.parametrize(
    "values",
    [
        {"budget": 1.1},
        {"budget": -0.1},
        {"floor": 0.0},
        {"one_in": 3},
        {"window": 0},
        {"within": 0},
        {"slots": 1},
    ],
)
def test_a_policy_that_cannot_work_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        PrefetchPolicy(**values)
