"""Due before fresh ends, dead never later than fresh + grace."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.cache.lifetime import Lifetime
from persona_system.errors import InvalidInput

SHARES = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 10**9), st.integers(0, 10**9), SHARES, SHARES, st.lists(SHARES, min_size=2, max_size=2))
def test_the_order_of_a_life(
    fresh_ms: int, grace_ms: int, early: float, jitter: float, luck: list[float]
) -> None:
    life = Lifetime(timedelta(milliseconds=fresh_ms), timedelta(milliseconds=grace_ms), early, jitter)
    due_ms, dead_ms = life.draw_ms(iter(luck).__next__)
    assert 0 <= due_ms <= fresh_ms
    assert due_ms <= dead_ms
    assert 1 <= dead_ms <= fresh_ms + grace_ms
    assert dead_ms >= int((fresh_ms + grace_ms) * (1 - jitter)) - 1


def test_without_chance_it_is_exact() -> None:
    """300 s fresh, 600 s of grace, the earliest luck: due at 300 x (1 - 0), dead at 900."""
    life = Lifetime(timedelta(seconds=300), timedelta(seconds=600))
    assert life.draw_ms(lambda: 0.0) == (300_000, 900_000)
    assert life.draw_ms(lambda: 0.5) == (270_000, 855_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"fresh": timedelta(0)},
        {"fresh": timedelta(seconds=-1)},
        {"fresh": timedelta(1), "grace": timedelta(seconds=-1)},
        {"fresh": timedelta(1), "early": 1.0},
        {"fresh": timedelta(1), "jitter": -0.1},
    ],
)
def test_a_life_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="lifetime"):
        Lifetime(**wrong)  # type: ignore[arg-type]
