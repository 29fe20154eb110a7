"""The tasks of dead letters, called as the plain functions that they are."""

import logging
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.dead_letters import letter
from workers.contract.dead_letters import MAX_RAW_BYTES, DeadLetter, Reason, letter_id
from workers.store.letters import LAST_MS, Filter, State, died_again, first_kept, kept_id, matches, merged
from workers.tasks import dead
from workers.tasks.dead import Retention

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000


class Book:
    """Takes letters, and remembers what it was asked to delete."""

    def __init__(self, deletes: int = 0) -> None:
        self.letters: list[DeadLetter] = []
        self.tidied: list[tuple[int, int]] = []
        self._deletes = deletes

    def keep(self, letter: DeadLetter) -> bool:
        self.letters.append(letter)
        return True

    def tidy(self, before_ms: int, most: int) -> int:
        self.tidied.append((before_ms, most))
        return self._deletes


def test_a_letter_is_kept_as_it_came() -> None:
    book = Book()
    dead.keep(msgspec.msgpack.encode(letter()), book, NOW_MS)
    assert book.letters == [letter()]


def test_a_reason_of_a_later_version_does_not_cost_the_letter() -> None:
    """While a fleet is updated, older workers meet letters of newer ones."""
    book = Book()
    later = msgspec.structs.asdict(letter()) | {"reason": "abducted", "more": 1}
    dead.keep(msgspec.msgpack.encode(later), book, NOW_MS)
    assert book.letters == [letter(reason=Reason.INTERNAL)]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"my private words",
        b"\xc1",
        msgspec.msgpack.encode({"id": "x"}),
        msgspec.msgpack.encode(letter())[:-1],
        msgspec.msgpack.encode(msgspec.structs.asdict(letter()) | {"reason": ["unhashable"]}),
        b"\x91" * 100_000,  # nested deeper than any decoder goes
    ],
)
def test_what_is_no_letter_is_kept_as_the_bytes_that_it_is(
    payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    book = Book()
    with caplog.at_level(logging.INFO):
        dead.keep(payload, book, NOW_MS)
    [kept] = book.letters
    assert (kept.reason, kept.code, kept.queue) == (Reason.MALFORMED, "UNREADABLE_LETTER", "dead")
    assert (kept.payload, kept.size_bytes) == (payload[:MAX_RAW_BYTES], len(payload))
    assert (kept.id, kept.at_ms) == (letter_id(payload), NOW_MS)
    assert "private" not in caplog.text


def test_tidying_deletes_by_age_and_by_number_and_tells_how_many(caplog: pytest.LogCaptureFixture) -> None:
    """30 days before now, and at most 5 letters."""
    book = Book(deletes=7)
    with caplog.at_level(logging.INFO):
        dead.tidy(book, Retention(timedelta(days=30), 5), NOW_MS)
    assert book.tidied == [(NOW_MS - 30 * DAY_MS, 5)]
    assert "deleted 7 old dead letters" in caplog.text


# -- what a row says --------------------------------------------------------------------------------

ANYTHING = st.text(st.characters(), max_size=300)  # surrogates and NUL included


@given(ANYTHING, st.integers(-(2**70), 2**70), st.binary(max_size=10))
def test_a_row_fits_every_database(text: str, number: int, payload: bytes) -> None:
    row = first_kept(
        letter(
            id=text,
            at_ms=number,
            code=text,
            problem=text,
            task=text,
            persona=text,
            job_ids=[text],
            deliveries=number,
            size_bytes=number,
            payload=payload,
        )
    )
    said = (row.id, row.code, row.problem, row.task, row.persona, *row.job_ids)
    assert all("\0" not in each and each.encode() is not None for each in said)
    assert 0 <= row.last_ms <= LAST_MS
    assert 0 <= row.deliveries < 2**31
    assert 0 < len(row.id) <= 128


@given(st.text(max_size=200))
def test_an_id_that_is_kept_stays_itself(text: str) -> None:
    assert kept_id(kept_id(text)) == kept_id(text)


@given(st.lists(st.integers(0, 9), min_size=1), st.randoms(use_true_random=False))
def test_deaths_may_be_told_in_any_order_and_any_number_of_times(
    times: list[int], random: "st.DataObject"
) -> None:
    """Each death counts once, and the row ends the same."""

    def row_of(order: list[int]) -> object:
        row = first_kept(letter(at_ms=order[0]))
        for at_ms in order[1:]:
            row = died_again(row, letter(at_ms=at_ms))
        return row

    shuffled = [*times, *times]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert row_of(times) == row_of(shuffled)
    assert row_of(times).deaths == len(set(times))  # type: ignore[attr-defined]


def test_a_story_is_told_in_order_and_nothing_twice() -> None:
    story = first_kept(letter(at_ms=5)).story
    assert merged([*story, *story]) == story


ROW = first_kept(letter(at_ms=100, persona="Lua"))


@pytest.mark.parametrize(
    ("wanted", "matched"),
    [
        (Filter(), True),
        (Filter(reasons=(Reason.CRASHED, Reason.HUNG)), True),
        (Filter(reasons=(Reason.HUNG,)), False),
        (Filter(queue="interactive"), True),
        (Filter(queue="bulk"), False),
        (Filter(task="persona.process"), True),
        (Filter(task="persona"), False),
        (Filter(persona="Lua"), True),
        (Filter(persona="lua"), False),
        (Filter(before_ms=101), True),
        (Filter(before_ms=100), False),
        (Filter(after_ms=99), True),
        (Filter(after_ms=100), False),
        (Filter(state=State.KEPT), True),
        (Filter(state=State.RETRIED), False),
        (Filter(queue="interactive", persona="Elro"), False),
    ],
)
def test_what_a_filter_lets_through(wanted: Filter, matched: bool) -> None:  # noqa: FBT001 - a table
    assert matches(ROW, wanted) is matched
