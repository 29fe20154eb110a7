"""When a queue takes no more work, and for how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.admission import (
    LONGEST_HINT_S,
    SHORTEST_HINT_S,
    QueueHealth,
    QueueLimits,
    QueueState,
    hint_s,
    refusal,
)
from producers.errors import Overloaded
from producers.settings import ClientSettings

LIMITS = QueueLimits(length=1_000, age_s=10.0, memory=0.85)
SETTINGS = ClientSettings.model_validate({"broker_url": "memory://"})


def told(health: QueueHealth, now: float) -> str:
    """Return why the queue takes nothing at *now*; empty: it does."""
    try:
        health.check(now)
    except Overloaded as error:
        return error.why
    return ""


@pytest.mark.parametrize(
    ("value", "limit", "age_s", "hint"),
    [
        (2_000, 1_000, 8.0, 4.0),  # half of the queue is too much: half of the 8 s that a message waits
        (1_250, 1_000, 20.0, 4.0),  # a fifth of it
        (1_001, 1_000, 8.0, SHORTEST_HINT_S),  # 8 ms would be a busy loop
        (10_000, 1_000, 3_600.0, LONGEST_HINT_S),
        (15.0, 10.0, 15.0, 5.0),  # the oldest is 5 s too old
        (2_000, 1_000, None, 1.0),  # nothing tells how fast it drains
    ],
)
def test_the_hint_is_how_long_the_excess_takes_to_drain(
    value: float, limit: float, age_s: float | None, hint: float
) -> None:
    assert hint_s(value, limit, age_s) == pytest.approx(hint)


@given(st.floats(0, 1e9, exclude_min=True), st.floats(0, 1e9), st.none() | st.floats(0, 1e6))
def test_a_hint_is_never_a_busy_loop_nor_for_ever(value: float, limit: float, age_s: float | None) -> None:
    assert SHORTEST_HINT_S <= hint_s(value, limit, age_s) <= LONGEST_HINT_S


@pytest.mark.parametrize(
    ("state", "wait_s", "why"),
    [
        (QueueState(1_000), None, ""),
        (QueueState(1_001), None, "1,001 batches wait on the queue interactive"),
        (QueueState(5, oldest_age_s=10.0), None, ""),
        (QueueState(5, oldest_age_s=12.0), None, "batches wait 12 s on the queue interactive"),
        (QueueState(5, oldest_age_s=1.0), 12.0, ""),  # what the broker says of the queue is newer
        (QueueState(5), 12.0, "batches wait 12 s on the queue interactive"),
        (QueueState(0, memory_used_ratio=0.85), None, ""),
        (
            QueueState(0, memory_used_ratio=0.86),
            None,
            "the broker's memory is 86% full, the queue interactive may use 85%",
        ),
    ],
)
def test_a_queue_is_refused_for_its_length_its_age_or_the_brokers_memory(
    state: QueueState, wait_s: float | None, why: str
) -> None:
    refused = refusal("interactive", state, LIMITS, wait_s)

    assert ("" if refused is None else refused.why) == why


def test_bulk_may_wait_and_leaves_memory_for_people() -> None:
    state = QueueState(3_000, oldest_age_s=600.0, memory_used_ratio=0.6)
    assert refusal("bulk", state, SETTINGS.queue_limits("bulk"), None) is None
    assert refusal("interactive", state, SETTINGS.queue_limits("interactive"), None) is not None

    tight = QueueState(0, memory_used_ratio=0.75)
    assert refusal("bulk", tight, SETTINGS.queue_limits("bulk"), None) is not None
    assert refusal("interactive", tight, SETTINGS.queue_limits("interactive"), None) is None


def test_what_was_learned_a_second_ago_counts_no_more() -> None:
    health = QueueHealth("interactive", LIMITS)
    health.learn(QueueState(2_000), now=100.0)

    assert "2,000 batches" in told(health, 100.9)
    assert told(health, 101.1) == ""


def test_a_queue_that_was_full_is_asked_about_before_the_next_batch() -> None:
    health = QueueHealth("interactive", LIMITS)
    assert health.doubtful(100.0)  # nobody asked yet

    health.learn(QueueState(2_000), now=100.0)
    assert not health.doubtful(100.4)  # just asked
    assert health.doubtful(100.6)

    health.learn(QueueState(10), now=101.0)
    assert health.due(200.0)
    assert not health.doubtful(200.0)  # after the batch will do


def test_a_queue_that_does_not_move_is_refused_until_it_does() -> None:
    health = QueueHealth("interactive", LIMITS)
    health.sent(now=100.0)
    health.sent(now=105.0)
    assert told(health, 109.9) == ""
    assert told(health, 110.1) == "the queue interactive has not moved for 10 s"

    health.answered(wait_s=0.1, now=111.0)
    health.gone()
    assert told(health, 111.1) == ""
    assert "has not moved" in told(health, 121.5)

    health.gone()  # nothing is under way any more
    assert told(health, 1_000.0) == ""


def test_answers_that_waited_long_refuse_the_queue_of_a_broker_that_tells_no_age() -> None:
    health = QueueHealth("interactive", LIMITS)
    health.sent(now=100.0)
    health.answered(wait_s=14.0, now=114.0)

    with pytest.raises(Overloaded, match="batches wait 14 s") as caught:
        health.check(114.5)
    assert caught.value.retry_after_s == pytest.approx(4.0)
