"""The arithmetic of a sliding window counter, by hand and against windows that are moved on."""

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from limits import RateLimitItem, RateLimitItemPerSecond

from producers.gateway.access.rate_window import Window, shares

TEN = RateLimitItemPerSecond(10)  # 10 a second
TICK_S = 0.002


def later(window: Window, rate: RateLimitItem, ms: int) -> Window:
    """Return *window* after *ms* in which nobody came, as the server would have it."""
    period_ms, left_ms = rate.get_expiry() * 1000, window.left_ms - ms
    if left_ms >= 0:
        return replace(window, left_ms=left_ms)
    if left_ms > -period_ms:
        return Window(window.present, 0, left_ms + period_ms)
    return Window(0, 0, period_ms)


@pytest.mark.parametrize(
    ("window", "room"),
    [
        pytest.param(Window(0, 0, 1000), 10, id="nobody came"),
        pytest.param(Window(0, 4, 500), 6, id="the present window counts whole"),
        pytest.param(Window(10, 0, 500), 5, id="the window before by the half that is left"),
        pytest.param(Window(10, 3, 290), 5, id="10 x 0.29 is rounded down to 2"),
        pytest.param(Window(10, 10, 0), 0, id="full"),
    ],
)
def test_what_is_left(window: Window, room: int) -> None:
    assert window.room(TEN) == room


@pytest.mark.parametrize(
    ("window", "cost", "wait_s"),
    [
        pytest.param(Window(0, 10, 600), 1, 0.6, id="a full window: as soon as it is over"),
        pytest.param(Window(0, 10, 600), 5, 1.0, id="5 of 10 fit once 40 % of the next one have passed"),
        pytest.param(Window(10, 5, 600), 1, 0.1, id="1 fits beside 5 while less than 5 of the 10 are left"),
        pytest.param(Window(10, 0, 1000), 10, 0.9, id="10 fit while less than 1 of the 10 is left"),
        pytest.param(Window(0, 0, 1000), 10, 0.0, id="at once"),
    ],
)
def test_when_there_will_be_more(window: Window, cost: int, wait_s: float) -> None:
    assert window.wait_s(TEN, cost) == pytest.approx(wait_s + TICK_S)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, RateLimitItem]:
    """Draw a limit, and a window that it may have."""
    rate = RateLimitItemPerSecond(draw(st.integers(1, 2_000)), draw(st.sampled_from([1, 3, 60])))
    counts = st.integers(0, rate.amount)
    return Window(draw(counts), draw(counts), draw(st.integers(0, rate.get_expiry() * 1000))), rate


@given(windows(), st.data())
def test_the_wait_is_as_long_as_it_has_to_be_and_no_longer(
    given_window: tuple[Window, RateLimitItem], data: st.DataObject
) -> None:
    window, rate = given_window
    cost = data.draw(st.integers(1, rate.amount))
    assume(window.room(rate) < cost)

    wait_ms = window.wait_s(rate, cost) * 1000

    assert later(window, rate, math.ceil(wait_ms)).room(rate) >= cost
    assert later(window, rate, math.floor(wait_ms - TICK_S * 1000 - 0.001)).room(rate) < cost


@given(windows(), st.lists(st.integers(1, 50), max_size=20))
def test_a_share_is_what_one_by_one_would_have_got(
    given_window: tuple[Window, RateLimitItem], costs: list[int]
) -> None:
    window, rate = given_window
    costs = [min(cost, rate.amount) for cost in costs]

    waits = shares(window, rate, costs)

    room, expected = window.room(rate), []
    for cost in costs:
        expected.append(cost <= room)
        room -= cost if cost <= room else 0
    assert [wait_s == 0 for wait_s in waits] == expected


def test_a_window_as_the_library_tells_it() -> None:
    """A count lives for two periods: 1.3 s to live are 0.3 s of the present window."""
    assert Window.of((0, 0.0, 4, 1.3), TEN) == Window(0, 4, 300)
    assert Window.of((7, 0.3, 4, 1.3), TEN) == Window(7, 4, 300)
    assert Window.of((0, 0.0, 0, 0.0), TEN) == Window(0, 0, 1000)  # it begins with the next hit
