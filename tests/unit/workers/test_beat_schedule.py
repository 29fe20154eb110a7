"""When ticks are due: one a slot, none ahead, and what becomes of those that were missed."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import celeryconfig
from workers.beat.schedule import due, next_slot_ms, slot_of
from workers.contract import names
from workers.contract.periodic import Missed, Periodic, read_table, table

SKIP = Periodic("skip", "a.task", 60, "skip")
ONCE = Periodic("once", "a.task", 60, "once")
ALL = Periodic("all", "a.task", 60, "all", at_most=3)
MINUTE_MS = 60_000


@pytest.mark.parametrize(
    ("entry", "last", "now_s", "expected"),
    [
        # the slot after the last one, as soon as it has begun
        *((entry, 9, 600, [10]) for entry in (SKIP, ONCE, ALL)),
        # it has its tick already
        *((entry, 10, 659, []) for entry in (SKIP, ONCE, ALL)),
        # a clock that went back by three minutes
        *((entry, 13, 600, []) for entry in (SKIP, ONCE, ALL)),
        # five slots missed, and the sixth has just begun
        (SKIP, 4, 601, [10]),
        (ONCE, 4, 601, [10]),
        (ALL, 4, 601, [8, 9, 10]),
        # likewise, and its first half is over: the next one is nearer than the one that should have been
        (SKIP, 4, 630, []),
        (ONCE, 4, 630, [10]),
        (ALL, 4, 630, [8, 9, 10]),
        # nothing was missed by an entry that is new
        (SKIP, None, 630, []),
        (SKIP, None, 629, [10]),
        (ONCE, None, 630, [10]),
        (ALL, None, 630, [10]),
    ],
)
def test_what_is_due(entry: Periodic, last: int | None, now_s: int, expected: list[int]) -> None:
    """Slots of a minute: slot 10 is [600 s, 660 s)."""
    last_ms = None if last is None else last * MINUTE_MS
    assert list(due(entry, last_ms, now_s * 1000)) == expected


@st.composite
def entries(draw: st.DrawFn) -> Periodic:
    missed: Missed = draw(st.sampled_from(["skip", "once", "all"]))
    at_most = draw(st.integers(1, 20)) if missed == "all" else 1
    return Periodic("an entry", "a.task", draw(st.integers(1, 100)), missed, at_most)


@given(entry=entries(), steps_ms=st.lists(st.integers(-500_000, 500_000), max_size=50))
def test_however_the_clock_goes_each_slot_has_one_tick_at_most(entry: Periodic, steps_ms: list[int]) -> None:
    """Beat looks at any moments at all: it sleeps, its machine sleeps, the server's clock is set."""
    now_ms, last_ms, sent = 10_000_000, None, list[int]()
    for step_ms in steps_ms:
        now_ms += step_ms
        slots = due(entry, last_ms, now_ms)
        assert len(slots) <= entry.at_most
        assert all(slot * entry.period_ms <= now_ms for slot in slots), "none lies ahead"
        sent += slots
        last_ms = slots[-1] * entry.period_ms if slots else last_ms

    assert sent == sorted(set(sent)), "each once, in order"


@given(entry=entries(), looks_ms=st.lists(st.integers(0, 400), min_size=60, max_size=60))
def test_who_looks_often_enough_misses_nothing(entry: Periodic, looks_ms: list[int]) -> None:
    """Looks are less than half of the shortest period apart, so each policy sends each slot once."""
    now_ms = 10_000_000 - 10_000_000 % entry.period_ms
    first, last_ms, sent = slot_of(entry, now_ms), None, list[int]()
    for step_ms in looks_ms:
        slots = due(entry, last_ms, now_ms)
        sent += slots
        last_ms = slots[-1] * entry.period_ms if slots else last_ms
        now_ms += step_ms

    assert sent == list(range(first, sent[-1] + 1))
    assert slot_of(entry, now_ms - looks_ms[-1]) == sent[-1]


@given(entry=entries(), other=entries(), last_ms=st.integers(0, 10**8), later_ms=st.integers(0, 10**6))
def test_a_period_may_change(entry: Periodic, other: Periodic, last_ms: int, later_ms: int) -> None:
    """The slots of the new one begin after the last of the old one, and it waits for a period at most."""
    begun_ms = slot_of(entry, last_ms) * entry.period_ms
    slots = due(other, begun_ms, begun_ms + later_ms)

    assert all(slot * other.period_ms > begun_ms for slot in slots)
    if other.missed != "skip" and later_ms >= other.period_ms:
        assert slots


@given(entry=entries(), now_ms=st.integers(0, 10**13))
def test_beat_sleeps_until_the_next_slot_begins(entry: Periodic, now_ms: int) -> None:
    wait_ms = next_slot_ms([entry], now_ms)

    assert wait_ms is not None
    assert slot_of(entry, now_ms + wait_ms) == slot_of(entry, now_ms + wait_ms - 1) + 1


def test_beat_wakes_for_the_first_of_several() -> None:
    assert next_slot_ms([SKIP, Periodic("often", "a.task", 7, "skip")], MINUTE_MS + 1) == 63_000 - 60_001
    assert next_slot_ms([], MINUTE_MS) is None


def test_our_own_table_is_as_it_was_meant() -> None:
    ours = {entry.name: entry for entry in read_table(celeryconfig.beat_schedule)}

    assert {name: (entry.period_s, entry.missed) for name, entry in ours.items() if name in CACHE} == CACHE
    assert {entry.queue for entry in ours.values()} == {names.MAINTENANCE}
    assert table(*ours.values()) == celeryconfig.beat_schedule


def test_the_documentation_has_the_table_as_it_is() -> None:
    page = (Path(__file__).parents[3] / "docs" / "periodic.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z.]+)` \| ([\d,]+) s \| (\w+) \|", page, re.MULTILINE)

    told = {name: (int(period.replace(",", "")), missed) for name, period, missed in rows}
    assert len(told) == len(rows)
    assert told == {
        entry.name: (entry.period_s, entry.missed) for entry in read_table(celeryconfig.beat_schedule)
    }


CACHE = {names.CACHE_WARM: (60, "once"), names.CACHE_PREFETCH: (30, "skip")}


@given(entry=entries())
def test_a_message_is_void_before_the_next_one_comes(entry: Periodic) -> None:
    assert 0 < entry.life_ms < entry.period_ms
    assert read_table(table(entry)) == (entry,)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"task": ""}, "task"),
        ({"period_s": 0}, "period_s"),
        ({"missed": "never"}, "missed"),
        ({"at_most": 0}, "at_most"),
        ({"at_most": 2, "missed": "once"}, "at_most"),
        ({"at_most": 1_001, "missed": "all"}, "at_most"),
        ({"queue": "maintainance"}, "queue"),
    ],
)
def test_an_entry_that_would_not_do_what_it_says_is_refused(changes: dict[str, object], field: str) -> None:
    good: dict[str, object] = {"name": "n", "task": "a.task", "period_s": 60, "missed": "once"}
    with pytest.raises(ValueError, match=field):
        Periodic(**{**good, **changes})  # type: ignore[arg-type]  # that is the point


def test_two_entries_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="one name"):
        table(SKIP, SKIP)


@pytest.mark.parametrize("entry", [{}, {"task": "t", "schedule": 1, "options": {"queue": "bulk"}}])
def test_an_entry_without_a_policy_is_refused(entry: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="for_celery"):
        Periodic.of_celery("stray", entry)
