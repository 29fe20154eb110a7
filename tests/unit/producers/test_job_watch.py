"""Jobs that are looked at and followed: one question for all who ask, and nobody waits for ever."""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Sequence
from typing import ParamSpec

import pytest

from persona_system.models import Response
from producers.errors import DeadlineExceeded, Unavailable
from producers.gateway.endpoints.watch import JobWatch
from producers.requests import JobOutcome

PATIENCE_S = 10.0
End = JobOutcome[Response]
P = ParamSpec("P")


def in_a_loop(story: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Let pytest run an asynchronous test."""

    @functools.wraps(story)
    def test(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(story(*args, **kwargs))

    return test


class Store:
    """Knows ends; answers once the gate is open."""

    def __init__(self) -> None:
        self.ends: dict[str, End] = {}
        self.trouble: Exception | None = None
        self.questions: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def outcomes(self, job_ids: Sequence[str]) -> list[End | None]:
        """Answer."""
        self.questions.append(list(job_ids))
        self.asked.set()
        await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        return [self.ends.get(job_id) for job_id in job_ids]


@functools.cache  # errors are equal to themselves only
def end(job_id: str) -> End:
    return JobOutcome(job_id, "expired", None, DeadlineExceeded(job_id))


async def listened(watch: JobWatch, job_id: str) -> list[End | None]:
    return [said async for said in watch.follow(job_id)]


@in_a_loop
async def test_all_who_ask_at_once_are_answered_with_one_question() -> None:
    store = Store()
    store.ends["a"] = end("a")
    watch = JobWatch(store)

    told = await asyncio.gather(*(watch.look(job_id) for job_id in ("a", "b", "a")))

    assert told == [end("a"), None, end("a")]
    assert store.questions == [["a", "b"]]


@in_a_loop
async def test_who_asks_while_a_question_is_under_way_is_part_of_the_next_one() -> None:
    store = Store()
    store.gate.clear()
    watch = JobWatch(store)
    first = asyncio.create_task(watch.look("a"))
    await store.asked.wait()
    later = [asyncio.create_task(watch.look(job_id)) for job_id in ("a", "b", "c")]
    await asyncio.sleep(0)
    store.gate.set()

    assert await asyncio.gather(first, *later) == [None] * 4
    assert store.questions == [["a"], ["a", "b", "c"]]


@pytest.mark.parametrize("trouble", [Unavailable("the reply store", "away"), ValueError("a bug")])
@in_a_loop
async def test_trouble_is_told_to_all_who_asked_and_is_over_when_it_is(trouble: Exception) -> None:
    store = Store()
    store.trouble = trouble
    watch = JobWatch(store)
    told = await asyncio.gather(watch.look("a"), watch.look("b"), return_exceptions=True)
    assert [(type(one), str(one)) for one in told] == [(type(trouble), str(trouble))] * 2

    store.trouble = None
    assert await watch.look("a") is None


@in_a_loop
async def test_who_waits_behind_a_question_that_fails_is_told_as_well() -> None:
    store = Store()
    store.trouble = Unavailable("the reply store", "away")
    store.gate.clear()
    watch = JobWatch(store)
    first = asyncio.create_task(watch.look("a"))
    await store.asked.wait()
    later = asyncio.create_task(watch.look("b"))
    await asyncio.sleep(0)
    store.gate.set()

    told = await asyncio.gather(first, later, return_exceptions=True)
    assert [type(one) for one in told] == [Unavailable, Unavailable]
    assert store.questions == [["a"]]


@in_a_loop
async def test_who_asked_and_left_disturbs_nobody() -> None:
    store = Store()
    store.gate.clear()
    watch = JobWatch(store)
    gone, stays = asyncio.create_task(watch.look("a")), asyncio.create_task(watch.look("a"))
    await store.asked.wait()
    gone.cancel()
    store.gate.set()
    assert await stays is None
    with pytest.raises(asyncio.CancelledError):
        await gone


@in_a_loop
async def test_all_followers_of_a_job_hear_its_end_and_questions_cease() -> None:
    store = Store()
    watch = JobWatch(store, every_s=0.001)
    following = [asyncio.create_task(listened(watch, job_id)) for job_id in ("a", "a", "b")]
    await store.asked.wait()
    store.ends = {"a": end("a"), "b": end("b")}

    async with asyncio.timeout(PATIENCE_S):
        assert await asyncio.gather(*following) == [[end("a")], [end("a")], [end("b")]]
    assert watch._following == {}


@in_a_loop
async def test_a_store_that_is_away_does_not_end_a_stream() -> None:
    store = Store()
    store.trouble = Unavailable("the reply store", "away")
    store.ends["a"] = end("a")
    watch = JobWatch(store, every_s=0.001)
    following = asyncio.create_task(listened(watch, "a"))
    await store.asked.wait()
    store.trouble = None

    async with asyncio.timeout(PATIENCE_S):
        assert await following == [end("a")]


@in_a_loop
async def test_a_listener_hears_something_while_nothing_happens() -> None:
    watch = JobWatch(Store(), every_s=0.001, keep_alive_s=0.001)
    async with asyncio.timeout(PATIENCE_S):
        stream = watch.follow("a")
        assert [await anext(stream), await anext(stream)] == [None, None]


@in_a_loop
async def test_a_closed_watch_ends_every_stream() -> None:
    watch = JobWatch(Store(), every_s=0.001)
    following = [asyncio.create_task(listened(watch, job_id)) for job_id in ("a", "b")]
    await asyncio.sleep(0)
    watch.close()

    async with asyncio.timeout(PATIENCE_S):
        assert await asyncio.gather(*following, listened(watch, "later")) == [[], [], []]
