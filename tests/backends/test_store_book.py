"""A worker's way to the database: one that falls silent is given up, and another connection tried."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import postgresql_database
from tests.support.dead_letters import kept_in, letter
from tests.support.proxy import Proxy
from tests.support.wait import wait_until
from workers.dead.letter_book import StoredLetters
from workers.store.errors import StoreUnavailable

BRIEFLY_S = 1.0  # for a server that will never answer
THREAD = "dead-letters"


def left_behind() -> int:
    return sum(thread.name == THREAD for thread in threading.enumerate())


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with postgresql_database() as url:
        with kept_in(url) as letters:
            letters.counts()  # makes the tables
        yield url


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy(("127.0.0.1", 5432))
    made.start()
    yield made
    made.stop()
    wait_until(lambda: left_behind() == 0, what="the calls that were given up have ended")


def test_a_server_that_falls_silent_is_given_up_and_asked_anew(postgresql: str, proxy: Proxy) -> None:
    book = StoredLetters(postgresql.replace(":5432", f":{proxy.port}"), longest_s=30)
    book.keep(letter(1))
    proxy.black_hole()
    book._longest_s = BRIEFLY_S
    with pytest.raises(StoreUnavailable, match="it did not answer in time"):
        book.keep(letter(2))
    book._longest_s = 30
    assert book.keep(letter(2)), "the next call has a connection of its own"
    book.close()
    with kept_in(postgresql) as letters:
        assert {letters.get(letter(number).id).deaths for number in (1, 2)} == {1}


def test_calls_that_were_given_up_do_not_pile_up(postgresql: str, proxy: Proxy) -> None:
    """Three at most; from then on the answer comes at once."""
    book = StoredLetters(postgresql.replace(":5432", f":{proxy.port}"), BRIEFLY_S)
    proxy.change(delay_s=3_600)
    for number in range(10, 16):
        with pytest.raises(StoreUnavailable):
            book.keep(letter(number))
    assert left_behind() <= 3
    book.close()


def test_what_a_call_raises_reaches_its_caller(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    book = StoredLetters(f"sqlite:///{tmp_path / 'file' / 'ion.db'}")
    with pytest.raises(StoreUnavailable, match="make its directory writable"):
        book.keep(letter())
    book.close()


def test_a_book_can_be_closed_and_used_again(tmp_path: Path) -> None:
    book = StoredLetters(f"sqlite:///{tmp_path / 'ion.db'}")
    book.close()
    assert book.keep(letter(1))
    book.close()
    assert not book.keep(letter(1))
    assert book.tidy(int(time.time() * 1000), 5) == 1
    book.close()
