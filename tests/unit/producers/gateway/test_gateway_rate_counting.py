"""Many hits are counted by one question, with the outcome that they would have had one by one."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute

from producers.errors import Unavailable
from producers.gateway.access.rate_counting import Counting
from producers.gateway.access.rate_counts import Counts, Hit
from producers.gateway.access.rate_window import Window
from tests.support.async_wait import until

LIMIT = 20
RATE = RateLimitItemPerMinute(LIMIT)
PATIENT_S, AT_ONCE_S, NEVER_S = 30.0, 0.001, 1e6


class Ledger:
    """Counts in one window that never ends; *meanwhile* is called before each count, as others would act."""

    def __init__(self, meanwhile: Callable[["Ledger"], None] = lambda _: None) -> None:
        self.taken: Counter[str] = Counter()
        self.questions: list[dict[str, int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fault: Exception | None = None
        self.closed = False
        self._meanwhile = meanwhile

    async def count(self, hits: Sequence[Hit]) -> list[bool]:
        self.questions.append({hit.key: hit.cost for hit in hits})
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        self._meanwhile(self)
        counted = [self.taken[hit.key] + hit.cost <= hit.rate.amount for hit in hits]
        self.taken.update({hit.key: hit.cost for hit, yes in zip(hits, counted, strict=True) if yes})
        return counted

    async def windows(self, hits: Sequence[Hit]) -> list[Window]:
        return [Window(0, self.taken[hit.key], 60_000) for hit in hits]

    async def close(self) -> None:
        self.closed = True


def one_by_one(hits: Sequence[tuple[str, int]]) -> list[bool]:
    """Return who is let in when each asks for itself: the model."""
    taken: Counter[str] = Counter()
    let_in = []
    for key, cost in hits:
        let_in.append(taken[key] + cost <= LIMIT)
        taken[key] += cost if let_in[-1] else 0
    return let_in


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


async def count_all(counting: Counting, hits: Sequence[tuple[str, int]]) -> list[bool]:
    """Count *hits* in one turn of the loop; tell who was let in."""
    waits = await asyncio.gather(*(counting.count(Hit(RATE, key, cost)) for key, cost in hits))
    return [wait_s == 0 for wait_s in waits]


HITS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, LIMIT)), max_size=30)


@given(st.lists(HITS, max_size=4))
def test_those_who_come_together_get_what_they_would_have_got_one_by_one(
    turns: list[list[tuple[str, int]]],
) -> None:
    async def story() -> None:
        ledger = Ledger()
        counting = Counting(lambda: ledger, PATIENT_S)
        let_in = [passed for hits in turns for passed in await count_all(counting, hits)]

        assert let_in == one_by_one([hit for hits in turns for hit in hits])
        assert len(ledger.questions) <= 2 * len(turns)
        await counting.close()

    run(story)


@given(HITS, st.lists(st.integers(0, 7), max_size=5))
def test_others_who_take_meanwhile_never_make_it_too_much(
    hits: list[tuple[str, int]], stolen: list[int]
) -> None:
    """Another process counts as well, between this one's look at what is left and its taking it."""

    def steal(ledger: Ledger) -> None:
        if stolen:
            ledger.taken["a"] += min(stolen.pop(), LIMIT - ledger.taken["a"])

    async def story() -> None:
        ledger = Ledger(steal)
        counting = Counting(lambda: ledger, PATIENT_S)
        let_in = await count_all(counting, hits)

        granted: Counter[str] = Counter()
        for (key, cost), passed in zip(hits, let_in, strict=True):
            granted[key] += cost if passed else 0
        assert all(granted[key] <= ledger.taken[key] <= LIMIT for key in granted)
        await counting.close()

    run(story)


def test_one_question_for_all_of_a_turn() -> None:
    async def story() -> None:
        ledger = Ledger()
        counting = Counting(lambda: ledger, PATIENT_S)
        assert all(await count_all(counting, [("a", 1)] * 5 + [("b", 2)] * 3))

        assert ledger.questions == [{"a": 5, "b": 6}]
        await counting.close()

    run(story)


def test_who_comes_while_it_asks_is_counted_by_the_next_question() -> None:
    async def story() -> None:
        ledger = Ledger()
        counting = Counting(lambda: ledger, PATIENT_S)
        ledger.open.clear()
        first = asyncio.create_task(counting.count(Hit(RATE, "a", 1)))
        await until(lambda: ledger.questions)
        others = [asyncio.create_task(counting.count(Hit(RATE, key, 1))) for key in "aaab"]
        await asyncio.sleep(0)
        ledger.open.set()

        assert await asyncio.gather(first, *others) == [0.0] * 5
        assert ledger.questions == [{"a": 1}, {"a": 3, "b": 1}]
        await counting.close()

    run(story)


def test_who_has_gone_is_not_counted() -> None:
    async def story() -> None:
        ledger = Ledger()
        counting = Counting(lambda: ledger, PATIENT_S)
        ledger.open.clear()
        first = asyncio.create_task(counting.count(Hit(RATE, "a", 1)))
        await until(lambda: ledger.questions)
        gone, stays = (asyncio.create_task(counting.count(Hit(RATE, "a", cost))) for cost in (7, 2))
        await asyncio.sleep(0)
        gone.cancel()
        ledger.open.set()

        assert [await first, await stays] == [0.0, 0.0]
        assert ledger.questions == [{"a": 1}, {"a": 2}]
        await counting.close()

    run(story)


def test_the_refused_are_told_how_long_to_wait() -> None:
    """One more fits once the present window is over, in 60 s; five 12 s later, when 20 x 48 / 60 are left."""

    async def story() -> None:
        counting = Counting(Ledger, PATIENT_S)
        waits = await asyncio.gather(*(counting.count(Hit(RATE, "a", cost)) for cost in (18, 1, 1, 1, 5)))

        assert waits == [0.0, 0.0, 0.0, pytest.approx(60, abs=0.01), pytest.approx(72, abs=0.01)]
        await counting.close()

    run(story)


# -- when the store is away ---------------------------------------------------------------------------


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged since this was asked last."""
    said = [record.getMessage().partition(":")[0] for record in caplog.records]
    caplog.clear()
    return said


ALONE = "rate limits are counted by each process for itself"
TOGETHER = "rate limits are shared again"


def test_each_process_counts_by_itself_until_the_store_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        ledger = Ledger()
        counting = Counting(lambda: ledger, PATIENT_S, AT_ONCE_S)
        ledger.fault = ConnectionResetError("gone")

        assert await count_all(counting, [("a", 1)] * (LIMIT + 3)) == [True] * LIMIT + [False] * 3
        assert await count_all(counting, [("a", 1)]) == [False]
        assert lines(caplog) == [ALONE]
        tried = len(ledger.questions)
        await until(lambda: len(ledger.questions) > tried + 2)  # without a word about it
        ledger.fault = None
        await until(lambda: caplog.records)
        assert lines(caplog) == [TOGETHER]
        assert await count_all(counting, [("a", 1)]) == [True]
        assert ledger.taken["a"] == 1
        await counting.close()

    run(story)


def test_a_store_that_is_silent_keeps_nobody_longer_than_its_patience() -> None:
    """Those who wait for the answer that never comes are counted here, and all who come later at once."""

    async def story() -> None:
        ledger = Ledger()
        ledger.open.clear()
        counting = Counting(lambda: ledger, 0.01, NEVER_S)

        assert await count_all(counting, [("a", 1)] * 3) == [True] * 3
        assert await count_all(counting, [("a", LIMIT - 3), ("a", 1)]) == [True, False]
        assert ledger.questions == [{"a": 3}]
        await counting.close()

    run(story)


def test_a_fleet_that_is_not_there_is_a_store_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        fleet: list[Counts] = []

        def open_shared() -> Counts:
            if not fleet:
                raise Unavailable("the fleet", "no stack runs here; start one with `ion up`")
            return fleet[0]

        counting = Counting(open_shared, PATIENT_S, AT_ONCE_S)
        assert await count_all(counting, [("a", 1)]) == [True]
        assert "start one with `ion up`" in caplog.text
        fleet.append(Ledger())
        await until(lambda: TOGETHER in caplog.text)
        await counting.close()

    run(story)


def test_a_store_that_takes_no_writes_is_away_until_it_does(caplog: pytest.LogCaptureFixture) -> None:
    """It is tried with a hit, as a full or read-only server would answer a ping; the hit costs nobody any."""

    async def story() -> None:
        ledger = Ledger()
        counting = Counting(lambda: ledger, PATIENT_S, AT_ONCE_S)
        ledger.fault = OSError("READONLY")
        await count_all(counting, [("a", 1)])
        await until(lambda: len(ledger.questions) > 1)
        assert ledger.questions[1] == {"probe": 0}
        await counting.close()

    run(story)
    assert TOGETHER not in caplog.text


def test_a_fault_of_ours_reaches_whoever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        def broken(*_: object) -> list[float]:
            raise KeyError("a fault")

        monkeypatch.setattr("producers.gateway.access.rate_counting.shares", broken)
        counting = Counting(Ledger, PATIENT_S, NEVER_S)
        ends = await asyncio.gather(
            *(counting.count(Hit(RATE, "a", LIMIT)) for _ in range(2)), return_exceptions=True
        )
        assert [type(end) for end in ends] == [KeyError, KeyError]
        await counting.close()

    run(story)


def test_closing_wakes_whoever_waits_and_closes_the_store() -> None:
    async def story() -> None:
        ledger = Ledger()
        counting = Counting(lambda: ledger, PATIENT_S)
        ledger.open.clear()
        asked = asyncio.create_task(counting.count(Hit(RATE, "a", 1)))
        await until(lambda: ledger.questions)
        gathered = asyncio.create_task(counting.count(Hit(RATE, "a", 1)))
        await asyncio.sleep(0)
        await counting.close()

        assert ledger.closed
        for task in (asked, gathered):
            with pytest.raises(asyncio.CancelledError):
                await task

    run(story)
