"""Whose key this is: by the process's copy of the keys, never by a query of its own."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from producers.errors import Unavailable
from producers.gateway.access.key_book import RHYTHM, WHAT, KeyBook, KeyReader, Keys
from producers.gateway.caller import Caller
from producers.gateway.snapshot import Rhythm, Snapshot
from workers.store.api_keys import ApiKey, make_key
from workers.store.errors import StoreUnavailable

NOW_MS = 1_800_000_000_000
NEVER_S, TURN_S = 1e6, 0.02


class World:
    """A database that holds *keys*, a book over it, and a clock; nothing is read unless somebody asks."""

    def __init__(self) -> None:
        self.keys: list[ApiKey] = []
        self.now_s, self.wall_s = 0.0, NOW_MS / 1000
        self.queries = 0
        self.away = False
        self._reader = KeyReader(lambda: self.keys)
        rhythm = Rhythm(NEVER_S, TURN_S, RHYTHM.good_s)
        self.copy: Snapshot[Keys] = Snapshot(WHAT, self._read, rhythm, lambda: self.now_s)
        self.book = KeyBook(self.copy, lambda: self.wall_s)

    def add(self, role: str = "service", user: str | None = None, expires_ms: int | None = None) -> str:
        key, text = make_key("app", role, user, NOW_MS, expires_ms)
        self.keys.append(key)
        return text

    def _read(self) -> Keys:
        self.queries += 1
        if self.away:
            raise StoreUnavailable("the database", "no connection")
        return self._reader.read()


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def with_secret_of(text: str, other: str) -> str:
    """Return the key *text* with the secret of *other*."""
    return "_".join([*text.split("_")[:2], other.split("_")[2]])


def test_a_key_says_who_calls() -> None:
    async def story() -> None:
        world = World()
        user, app, admin = world.add("user", "mina"), world.add("service"), world.add("admin")
        async with world.copy:
            assert await world.book.caller(user) == Caller("mina", "user", "key")
            assert await world.book.caller(app) == Caller(app.split("_")[1], "service", "key")
            assert await world.book.caller(admin) == Caller(admin.split("_")[1], "admin", "key")
            assert world.queries == 1

    run(story())


def test_what_is_not_exactly_a_key_is_nobodys() -> None:
    async def story() -> None:
        world = World()
        text, other = world.add(), world.add()
        swapped = text[:-1] + ("a" if text[-1] != "a" else "b")
        async with world.copy:
            for wrong in (
                swapped,
                with_secret_of(text, other),
                text + "x",
                "ion_",
                "",
                "ion__",
                text.upper(),
            ):
                assert await world.book.caller(wrong) is None

    run(story())


def test_a_new_key_is_never_refused() -> None:
    """Not even while others are, who have just had the keys read."""

    async def story() -> None:
        world = World()
        async with world.copy:
            for _ in range(3):
                assert await world.book.caller(world.add()) is not None
                assert await world.book.caller(make_key("x", "service", None, 0, None)[1]) is None

    run(story())


def test_many_who_guess_share_a_query() -> None:
    """A wrong secret of a known id takes the same way as an unknown id, so neither tells which it was."""

    async def story() -> None:
        world = World()
        known = world.add()
        guesses = [make_key("x", "service", None, 0, None)[1] for _ in range(100)]
        async with world.copy:
            await asyncio.gather(*(world.book.caller(guess) for guess in guesses))
            assert world.queries == 2
            await asyncio.gather(*(world.book.caller(with_secret_of(known, guess)) for guess in guesses))
            assert world.queries == 3

    run(story())


def test_a_query_for_those_who_guess_is_made_once_a_second() -> None:
    assert RHYTHM.asked_s == 1.0


def test_what_is_no_key_at_all_costs_no_query() -> None:
    async def story() -> None:
        world = World()
        async with world.copy:
            await world.book.caller("ion_short_secret")
            assert world.queries == 1

    run(story())


def test_a_revoked_key_is_out_with_the_next_reading() -> None:
    async def story() -> None:
        world = World()
        text = world.add()
        async with world.copy:
            assert await world.book.caller(text) is not None
            world.keys.clear()
            await world.copy.ask()
            assert await world.book.caller(text) is None

    run(story())


def test_the_copy_is_read_often_enough_for_what_is_promised() -> None:
    """Revoked keys are out within 2 s, which leaves half a second for a reading."""
    assert RHYTHM.every_s + 0.5 <= 2.0


def test_a_key_expires_by_the_clock_and_needs_no_reading_for_it() -> None:
    async def story() -> None:
        world = World()
        text = world.add(expires_ms=NOW_MS + 1_000)
        async with world.copy:
            world.away = True
            assert await world.book.caller(text) is not None
            world.wall_s += 1
            assert await world.book.caller(text) is None

    run(story())


def test_without_the_database_the_last_copy_counts_for_ten_minutes() -> None:
    async def story() -> None:
        world = World()
        text = world.add()
        async with world.copy:
            world.away = True
            world.now_s = 600.0
            assert await world.book.caller(text) is not None
            assert (
                await world.book.caller(with_secret_of(text, make_key("x", "user", "u", 0, None)[1])) is None
            )
            world.now_s = 600.1
            with pytest.raises(Unavailable, match="the list of API keys is not available"):
                await world.book.caller(text)

    run(story())


@pytest.mark.parametrize(
    ("role", "user"), [("root", None), ("", None), ("user", ""), ("user", "a\nb"), ("user", "x" * 129)]
)
def test_a_key_that_makes_no_sense_here_is_refused_and_told(
    role: str, user: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A later version may have written it."""

    async def story() -> None:
        world = World()
        text, good = world.add(role, user), world.add()
        async with world.copy:
            assert await world.book.caller(text) is None
            assert await world.book.caller(good) is not None
        assert world.queries == 2
        assert caplog.text.count(f"the key {text.split('_')[1]} ") == 1
        assert text not in caplog.text

    run(story())
