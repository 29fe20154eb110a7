"""When to try again, and when not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.retry import JOBS, Backoff, Failure, GiveUp, RetryAfter, decide

FIVE = Backoff(tries=5, first_s=0.5, longest_s=8.0)


@pytest.mark.parametrize(
    ("tries", "left_s", "chance", "expected"),
    [
        (1, None, 1.0, RetryAfter(0.5)),
        (2, None, 1.0, RetryAfter(1.0)),
        (4, None, 1.0, RetryAfter(4.0)),
        (4, None, 0.5, RetryAfter(2.0)),  # full jitter: the whole range
        (4, None, 0.0, RetryAfter(0.05)),  # but not at once
        (5, None, 0.5, GiveUp("tried 5 times")),
        (9, None, 0.5, GiveUp("tried 9 times")),
        (4, 1.2, 1.0, RetryAfter(1.0)),  # 1.2 s are left, of which 0.2 s are for the answer
        (1, 0.2, 1.0, GiveUp("its deadline is near, after 1 try")),
        (3, -7.0, 1.0, GiveUp("its deadline is near, after 3 tries")),
    ],
)
def test_what_is_unavailable_is_tried_again(
    tries: int, left_s: float | None, chance: float, expected: RetryAfter | GiveUp
) -> None:
    assert decide(Failure.UNAVAILABLE, tries, left_s, FIVE, chance) == expected


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_invalid_input_is_never_tried_again(tries: int) -> None:
    assert decide(Failure.INVALID, tries, None, FIVE, 0.5) == GiveUp("it would fail again")


def test_a_bug_is_tried_as_often_as_the_caller_allows() -> None:
    """Once more, if it may have depended on the moment; by default not at all."""
    twice = Backoff(tries=2)
    assert isinstance(decide(Failure.BUG, 1, None, twice, 0.5), RetryAfter)
    assert decide(Failure.BUG, 2, None, twice, 0.5) == GiveUp("tried 2 times")


@given(
    st.integers(1, 10_000),
    st.none() | st.floats(-100, 1e6),
    st.floats(0, 1, exclude_max=True),
)
def test_a_pause_is_neither_too_long_nor_beyond_the_deadline(
    tries: int, left_s: float | None, chance: float
) -> None:
    decision = decide(Failure.UNAVAILABLE, tries, left_s, Backoff(tries=20_000), chance)
    if isinstance(decision, RetryAfter):
        assert 0 < decision.wait_s <= 8.0
        assert left_s is None or decision.wait_s < left_s


def test_the_default_budget_of_a_job_is_five_tries() -> None:
    assert JOBS.tries == 5
