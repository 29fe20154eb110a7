"""``cached`` and ``invalidate_cache`` on people's own functions."""

import asyncio
import inspect
import logging
import typing
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from persona_system.cache.decorators import cached, invalidate_cache
from persona_system.cache.lifetime import Lifetime
from persona_system.cache.local import LocalCache
from persona_system.cache.two_tier import TwoTierCache
from persona_system.errors import InvalidInput

LIFE = Lifetime(timedelta(seconds=60))


@dataclass
class Visit:
    day: date
    pages: list[str]


class Point(msgspec.Struct):
    x: int


@pytest.fixture
def cache() -> TwoTierCache:
    return TwoTierCache(LocalCache())


def test_a_function_runs_once_per_arguments(cache: TwoTierCache) -> None:
    calls: list[tuple[int, int]] = []

    @cached(cache, lifetime=LIFE)
    def add(a: int, b: int = 1) -> int:
        calls.append((a, b))
        return a + b

    assert [add(1), add(1, 1), add(a=1, b=1), add(b=1, a=1), add(1, 2)] == [2, 2, 2, 2, 3]
    assert calls == [(1, 1), (1, 2)]


def test_results_come_back_as_what_they_were_and_belong_to_their_caller(cache: TwoTierCache) -> None:
    @cached(cache, lifetime=LIFE)
    def visits(user: str) -> dict[str, tuple[Visit, Point]]:
        return {user: (Visit(date(2026, 1, 2), ["a"]), Point(1))}

    first, second = visits("u"), visits("u")

    assert first == second == visits.uncached("u")
    first["u"][0].pages.append("changed by its caller")
    assert visits("u") == second


def test_none_is_a_result(cache: TwoTierCache) -> None:
    calls: list[int] = []

    @cached(cache, lifetime=LIFE)
    def nothing(a: int) -> str | None:
        calls.append(a)
        return None

    assert (nothing(1), nothing(1), calls) == (None, None, [1])


def test_an_error_is_raised_and_not_kept(cache: TwoTierCache) -> None:
    calls: list[int] = []

    @cached(cache, lifetime=LIFE)
    def fail() -> int:
        calls.append(1)
        raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            fail()
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0, False),
        ("1", 1),
        ("1", b"1"),
        ("1", Decimal("1")),
        ("2026-01-02", date(2026, 1, 2)),
        ([1], (1,)),
        ({1}, [1]),
        ({1}, frozenset({1})),
        ([(1,)], [[1]]),
        ({"a": 1}, [["a", 1]]),
        (Point(1), {"x": 1}),
        (None, "None"),
    ],
)
def test_arguments_that_differ_only_in_type_have_answers_of_their_own(
    cache: TwoTierCache, one: object, other: object
) -> None:
    @cached(cache, lifetime=LIFE)
    def kind(value: object) -> str:
        return type(value).__name__

    assert (kind(one), kind(other)) == (type(one).__name__, type(other).__name__)
    assert kind.key_of(one) != kind.key_of(other)


def test_the_order_of_a_dict_or_a_set_makes_no_difference(cache: TwoTierCache) -> None:
    @cached(cache, lifetime=LIFE)
    def count(*args: Any, **kwargs: Any) -> int:
        return len(args) + len(kwargs)

    assert count.key_of({"a": 1, "b": 2}) == count.key_of({"b": 2, "a": 1})
    assert count.key_of({"b", "a", "c"}) == count.key_of({"c", "b", "a"})
    assert count.key_of(x=1, y=2) == count.key_of(y=2, x=1)
    assert count.key_of("a", x="b") != count.key_of("a", "b")


def test_another_version_or_function_has_other_keys(cache: TwoTierCache) -> None:
    def made(name: str, version: str) -> bytes:
        def function(a: int) -> int:
            return a

        function.__qualname__ = name
        return cached(cache, lifetime=LIFE, version=version)(function).key_of(1)

    assert len({made("f", "1"), made("f", "2"), made("g", "1")}) == 3
    assert made("f", "1") == made("f", "1")


def test_an_argument_that_cannot_be_part_of_a_key_is_named(cache: TwoTierCache) -> None:
    @cached(cache, lifetime=LIFE)
    def send(text: str, to: object) -> list[str]:
        return [text, str(to)]

    for wrong in (object(), 2**70, "\udc80", {(1, 2): 3}, {1, "a"}):
        with pytest.raises(InvalidInput, match=r"argument 'to' cannot be part of a key.*key="):
            send("hello", wrong)


def test_a_call_that_does_not_fit_raises_what_the_function_would(cache: TwoTierCache) -> None:
    @cached(cache, lifetime=LIFE)
    def one(a: int) -> int:
        return a

    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        typing.cast("Callable[[], int]", one)()


def test_only_the_return_annotation_is_looked_at(cache: TwoTierCache) -> None:
    def function(a: "Missing") -> int:  # type: ignore[name-defined]  # noqa: F821
        return int(a)

    assert cached(cache, lifetime=LIFE)(function)(3) == 3


class Shop:
    cache = TwoTierCache(LocalCache())

    def __init__(self, name: str) -> None:
        self.name, self.calls = name, 0

    @cached(lambda: Shop.cache, lifetime=LIFE, key=lambda self, item: (self.name, item))
    def price(self, item: str) -> str:
        self.calls += 1
        return f"{self.name} {item}"


def test_a_method_says_what_of_its_object_matters(cache: TwoTierCache) -> None:
    one, same, other = Shop("one"), Shop("one"), Shop("other")

    assert [shop.price("tea") for shop in (one, same, other)] == ["one tea", "one tea", "other tea"]
    assert [shop.calls for shop in (one, same, other)] == [1, 0, 1]

    def method(self: object) -> int:
        return id(self)

    with pytest.raises(InvalidInput, match="key would hold self"):
        cached(cache, lifetime=LIFE)(method)


class Opaque:
    pass


def _no_annotation():  # type: ignore[no-untyped-def]  # noqa: ANN202, RUF100
    return 1


def _opaque() -> list[Opaque]:
    return []


def _unknown() -> "NoSuchType":  # type: ignore[name-defined]  # noqa: F821
    return 1


def _generator() -> typing.Iterator[int]:
    yield 1


@pytest.mark.parametrize("function", [_no_annotation, _opaque, _unknown, _generator])
def test_a_result_that_could_not_come_back_is_refused_at_once(
    cache: TwoTierCache, function: Callable[[], object]
) -> None:
    with pytest.raises(InvalidInput, match="return annotation"):
        cached(cache, lifetime=LIFE)(function)


def test_a_result_that_would_come_back_changed_is_not_kept(
    cache: TwoTierCache, caplog: pytest.LogCaptureFixture
) -> None:
    results: list[Any] = [{"pair": (1, 2)}, {"private": object()}, {"pair": [1, 2]}]
    left = iter(results)

    @cached(cache, lifetime=LIFE)
    def anything() -> dict[str, Any]:
        return typing.cast("dict[str, Any]", next(left))

    with caplog.at_level(logging.WARNING):
        assert [anything() for _ in range(5)] == [*results, results[2], results[2]]
    assert cache.counters.counts()["functions"] == {"not_packable": 2}
    assert len(caplog.records) == 1
    assert "private" not in caplog.text


def test_a_kept_result_that_the_annotation_cannot_read_is_computed_again(cache: TwoTierCache) -> None:
    def made(annotation: type, value: object) -> Callable[[], object]:
        def function() -> object:
            return value

        function.__annotations__["return"] = annotation
        return cached(cache, lifetime=LIFE)(function)

    assert made(str, "text")() == "text"
    assert made(int, 5)() == 5
    assert made(int, 6)() == 6  # the unreadable one was dropped; this is computed and kept
    assert made(int, 7)() == 6


def test_tags_void_what_they_name(cache: TwoTierCache) -> None:
    calls: list[str] = []

    @cached(cache, lifetime=LIFE, tags=lambda user: (f"user:{user}",))
    def history(user: str) -> int:
        calls.append(user)
        return len(calls)

    @invalidate_cache(cache, tags=lambda user, **_: (f"user:{user}",))
    def write(user: str, *, fail: bool = False) -> str:
        if fail:
            raise ConnectionResetError
        return user

    assert [history("a"), history("b")] == [1, 2]
    with pytest.raises(ConnectionResetError):
        write("a", fail=True)
    assert [history("a"), history("b")] == [1, 2]  # nothing was written
    assert write("a") == "a"
    assert [history("a"), history("b")] == [3, 2]
    cache.invalidate(history.tag)
    assert [history("a"), history("b")] == [4, 5]


def test_tags_are_tuples_of_text(cache: TwoTierCache) -> None:
    with pytest.raises(InvalidInput, match="tags"):
        cached(cache, lifetime=LIFE, tags=typing.cast("Any", "user:1"))
    with pytest.raises(InvalidInput, match="tags"):
        invalidate_cache(cache, tags=typing.cast("Any", "user:1"))


def test_importing_connects_to_nothing_and_the_cache_is_got_once() -> None:
    got: list[TwoTierCache] = []

    def get() -> TwoTierCache:
        got.append(TwoTierCache(LocalCache()))
        return got[-1]

    @cached(get, lifetime=LIFE)
    def one() -> int:
        return 1

    assert got == []
    assert (one(), one(), len(got)) == (1, 1, 1)


def test_coroutines_stay_coroutines_and_share_one_run(cache: TwoTierCache) -> None:
    calls: list[int] = []

    @cached(cache, lifetime=LIFE, tags=("squares",))
    async def square(a: int) -> int:
        calls.append(a)
        await asyncio.sleep(0)
        return a * a

    @invalidate_cache(cache, tags=("squares",))
    async def change() -> int:
        return 5

    async def story() -> None:
        assert await asyncio.gather(*[square(3) for _ in range(10)]) == [9] * 10
        assert calls == [3]
        assert await change() == 5
        assert await square(3) == 9
        assert calls == [3, 3]

    assert inspect.iscoroutinefunction(square)
    assert inspect.iscoroutinefunction(change)
    asyncio.run(story())


def test_a_cancelled_caller_does_not_hurt_the_others(cache: TwoTierCache) -> None:
    async def story() -> None:
        begun, go = asyncio.Event(), asyncio.Event()
        calls: list[int] = []

        @cached(cache, lifetime=LIFE)
        async def slow(a: int) -> int:
            calls.append(a)
            begun.set()
            await go.wait()
            return a

        impatient, patient = [asyncio.create_task(slow(1)) for _ in range(2)]
        await begun.wait()
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        go.set()
        assert (await patient, calls) == (1, [1])

    asyncio.run(story())


def test_the_computation_ends_with_its_last_caller(cache: TwoTierCache) -> None:
    async def story() -> None:
        calls: list[str] = []
        begun = asyncio.Event()

        @cached(cache, lifetime=LIFE)
        async def slow() -> int:
            calls.append("begun")
            begun.set()
            if len(calls) > 1:
                return 2
            try:
                await asyncio.Event().wait()
            finally:
                calls.append("ended")
            return 1

        only = asyncio.create_task(slow())
        await begun.wait()
        only.cancel()
        with pytest.raises(asyncio.CancelledError):
            await only
        assert await slow() == 2
        assert calls == ["begun", "ended", "begun"]

    asyncio.run(story())
