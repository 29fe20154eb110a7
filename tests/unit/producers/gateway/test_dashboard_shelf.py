"""However many look, a page is made once a second."""

import asyncio
import threading

import pytest

from producers.errors import Unavailable
from producers.gateway.call import Call
from producers.gateway.dashboards.pages import shown
from producers.gateway.dashboards.shelf import FRESH_S, MOST, Shelf


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_fifty_who_ask_at_once_are_one_making() -> None:
    made: list[int] = []
    loops: set[int] = set()

    def make() -> int:
        made.append(1)
        loops.add(threading.get_ident())
        return len(made)

    async def ask() -> list[int]:
        shelf: Shelf[int] = Shelf("it")
        return await asyncio.gather(*(shelf.get("page", make) for _ in range(50)))

    assert asyncio.run(ask()) == [1] * 50
    assert threading.get_ident() not in loops  # the event loop makes nothing


def test_it_is_made_anew_after_a_second_and_apart_for_each_key() -> None:
    clock, made = Clock(), []

    def make() -> int:
        made.append(1)
        return len(made)

    async def ask() -> list[int]:
        shelf: Shelf[int] = Shelf("it", clock)
        first = await shelf.get("a", make)
        again = await shelf.get("a", make)
        other = await shelf.get("b", make)
        clock.now += FRESH_S
        return [first, again, other, await shelf.get("a", make)]

    assert asyncio.run(ask()) == [1, 1, 2, 3]


def test_a_failure_is_told_to_all_and_tried_again_later() -> None:
    clock, tried = Clock(), []

    def fail() -> int:
        tried.append(1)
        raise Unavailable("it", "told to be away")

    async def ask() -> None:
        shelf: Shelf[int] = Shelf("it", clock)
        for _ in range(3):
            with pytest.raises(Unavailable):
                await shelf.get("a", fail)
        clock.now += FRESH_S
        assert await shelf.get("a", lambda: 7) == 7

    asyncio.run(ask())
    assert len(tried) == 1


def test_it_does_not_grow() -> None:
    async def ask() -> int:
        shelf: Shelf[int] = Shelf("it")
        for number in range(3 * MOST):
            await shelf.get(number, lambda: 1)
        return len(shelf._made)

    assert asyncio.run(ask()) <= MOST


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (b"Basic b3BzOmlvbl9rZXk=", b"Bearer ion_key"),
        (b"basic Omlvbl9rZXk=", b"Bearer ion_key"),
        (b"Basic b25seS1hLW5hbWU=", b"Bearer "),
        (b"Basic ???", b"Bearer "),
        (b"Basic", b"Bearer "),
        (b"Bearer ion_key", b"Bearer ion_key"),
    ],
    ids=["name-and-key", "key-only", "name-only", "no-base64", "nothing", "bearer"],
)
def test_the_password_of_basic_is_the_key(given: bytes, understood: bytes) -> None:
    """What cannot be read is shown as credentials all the same, so that it is refused and counted."""
    call = Call({"type": "http"}, {b"authorization": given}, "r1")
    assert shown(call).headers[b"authorization"] == understood
    assert call.headers[b"authorization"] == given
