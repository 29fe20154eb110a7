"""A copy of something that is kept elsewhere: when it is read, and for how long it counts."""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from producers.errors import Unavailable
from producers.gateway.aside import Aside
from producers.gateway.snapshot import Rhythm, Snapshot
from tests.support.wait import wait_until
from workers.store.errors import StoreUnavailable

NEVER_S = 1e6
RHYTHM = Rhythm(every_s=NEVER_S, asked_s=1.0, good_s=600.0)


class Source:
    """What is copied: counts how often it is read, and is away when told so."""

    def __init__(self) -> None:
        self.value, self.reads = "first", 0
        self.failure: Exception | None = None

    def read(self) -> str:
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return "".join(self.value)  # equal, and another object


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def made(rhythm: Rhythm = RHYTHM) -> tuple[Snapshot[str], Source, Clock]:
    source, clock = Source(), Clock()
    return Snapshot("the copy", source.read, rhythm, clock), source, clock


def test_it_is_read_when_it_is_opened() -> None:
    async def story() -> None:
        copy, source, _ = made()
        async with copy:
            assert (copy.value, source.reads) == ("first", 1)

    run(story())


def test_it_is_read_again_and_again() -> None:
    async def story() -> None:
        copy, source, _ = made(Rhythm(every_s=0.001, asked_s=NEVER_S, good_s=600.0))
        async with copy:
            source.value = "second"
            await asyncio.to_thread(wait_until, lambda: copy.value == "second")

    run(story())


def test_whoever_asks_has_it_read_and_many_who_ask_at_once_share_one_reading() -> None:
    async def story() -> None:
        copy, source, _ = made()
        async with copy:
            source.value = "second"
            await asyncio.gather(*(copy.ask() for _ in range(100)))
            assert (copy.value, source.reads) == ("second", 2)

    run(story())


def test_asking_is_heeded_once_in_a_while_whoever_asks() -> None:
    async def story() -> None:
        copy, source, clock = made()
        async with copy:
            await copy.ask()
            clock.now_s = 0.99
            await copy.ask()
            assert source.reads == 2
            clock.now_s = 1.0
            await copy.ask()
            assert source.reads == 3

    run(story())


def test_whoever_needs_the_next_reading_waits_for_its_turn() -> None:
    async def story() -> None:
        copy, source, clock = made()
        async with copy:
            await copy.next()
            assert source.reads == 2
            waiting = [asyncio.create_task(copy.next()) for _ in range(100)]
            await asyncio.sleep(0)
            assert source.reads == 2
            source.value = "second"
            clock.now_s = 1.0
            await asyncio.gather(*waiting)
            assert (copy.value, source.reads) == ("second", 3)

    run(story())


def test_whoever_comes_while_it_is_read_waits_for_the_reading_after_that() -> None:
    """What was changed before they came is in the copy that they see."""

    async def story() -> None:
        read, go = asyncio.Event(), threading.Event()
        loop, seen = asyncio.get_running_loop(), []

        def reading() -> int:
            seen.append(1)
            loop.call_soon_threadsafe(read.set)
            go.wait(10)
            return len(seen)

        go.set()
        async with Snapshot("the copy", reading, Rhythm(NEVER_S, 0.0, NEVER_S)) as copy:
            go.clear()
            read.clear()
            first = asyncio.create_task(copy.next())
            await read.wait()
            second = asyncio.create_task(copy.next())
            await asyncio.sleep(0)
            go.set()
            await first
            await second
            assert copy.value == 3

    run(story())


def test_the_last_copy_counts_while_its_source_is_away_and_not_for_ever() -> None:
    async def story() -> None:
        copy, source, clock = made()
        async with copy:
            source.failure = OSError()
            clock.now_s = 600.0
            await copy.ask()
            assert copy.value == "first"
            clock.now_s = 600.1
            with pytest.raises(Unavailable, match="the copy is not available"):
                _ = copy.value

    run(story())


def test_without_any_copy_nothing_counts_until_there_is_one() -> None:
    async def story() -> None:
        copy, source, _ = made()
        source.failure = OSError()
        async with copy:
            with pytest.raises(Unavailable):
                _ = copy.value
            source.failure = None
            await copy.ask()
            assert copy.value == "first"

    run(story())


def test_an_equal_copy_is_the_same_one() -> None:
    """So that whoever worked something out from it sees by identity that nothing changed."""

    async def story() -> None:
        copy, source, clock = made()
        async with copy:
            before = copy.value
            await copy.ask()
            assert (copy.value is before, source.reads) == (True, 2)
            source.value = "second"
            clock.now_s = 1.0
            await copy.ask()
            assert copy.value is not before

    run(story())


def test_an_outage_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        copy, source, clock = made()
        source.failure = StoreUnavailable("the database", "locked")
        async with copy:
            for clock.now_s in (0.0, 1.0, 2.0):
                await copy.ask()
            source.failure = None
            clock.now_s = 3.0
            await copy.ask()

    run(story())
    assert [record.getMessage() for record in caplog.records] == [
        "the copy: not read, and tried again: the database is not available: locked",
        "the copy: read again",
    ]


def test_what_a_strange_error_says_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        copy, source, _ = made()
        source.failure = ValueError("a secret")
        async with copy:
            pass

    run(story())
    assert "ValueError" in caplog.text
    assert "a secret" not in caplog.text


# -- beside the loop --------------------------------------------------------------------------------


def test_a_call_that_takes_too_long_is_left_behind() -> None:
    never = threading.Event()

    async def story() -> None:
        with pytest.raises(Unavailable, match="the thing is not available: it did not answer in time"):
            await Aside("the thing", patience_s=0.01).run(never.wait)

    run(story())
    never.set()


def test_calls_that_were_left_behind_do_not_pile_up() -> None:
    """Two at most; the third is not even begun."""
    never, begun = threading.Event(), []

    def call() -> None:
        begun.append(1)
        never.wait()

    async def story() -> None:
        aside = Aside("the thing", patience_s=0.01, most=2)
        for _ in range(5):
            with pytest.raises(Unavailable):
                await aside.run(call)
        await asyncio.to_thread(wait_until, lambda: len(begun) >= 2)
        assert len(begun) == 2
        never.set()
        async with asyncio.timeout(10):
            assert await _patiently(aside, lambda: "again") == "again"

    run(story())


async def _patiently(aside: Aside, call: Any) -> Any:
    while True:
        try:
            return await aside.run(call)
        except Unavailable:
            continue


def test_what_a_call_raises_reaches_its_caller() -> None:
    def call() -> None:
        raise KeyError("it")

    async def story() -> None:
        with pytest.raises(KeyError, match="it"):
            await Aside("the thing", 10).run(call)

    run(story())


def test_the_loop_goes_on_meanwhile() -> None:
    async def story() -> None:
        go = threading.Event()
        answer = asyncio.create_task(Aside("the thing", 10).run(lambda: go.wait(10)))
        await asyncio.sleep(0)
        go.set()  # which a loop that is held up could not do
        assert await answer

    run(story())
