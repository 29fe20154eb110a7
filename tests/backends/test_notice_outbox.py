"""The outbox of notices, in memory and on every kind of database there is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.databases import postgresql_database
from workers.monitoring.notices.outbox import LONGEST_WAIT_MS, Ended, MemoryOutbox, Outbox, Waiting
from workers.store.engine import Store, open_store
from workers.store.outbox import SqlOutbox, put

NOW_MS = 1_795_311_000_000
LEASE_MS = 120_000


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outbox]:
    """Each kind of outbox in turn, empty."""
    if request.param == "memory":
        yield MemoryOutbox()
        return
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'ion.db'}" if sqlite else request.getfixturevalue("postgresql")
    with open_store(url) as store:
        made = SqlOutbox(store)
        made.delete(NOW_MS * 2)
        yield made


def claim(outbox: Outbox, now_ms: int = NOW_MS) -> list[tuple[str, str, int]]:
    claimed = outbox.claim(now_ms, now_ms + LEASE_MS, 100)
    return [(one.notice_id, one.channel, one.tries) for one in claimed]


def test_a_notice_goes_once_to_each_of_its_channels_however_often_it_is_put_in(outbox: Outbox) -> None:
    for _ in range(2):
        outbox.put("n1", NOW_MS, b"packed", ["slack", "email"])
    first = outbox.claim(NOW_MS, NOW_MS + LEASE_MS, 100)
    assert sorted(first) == [Waiting("n1", name, NOW_MS, b"packed") for name in ("email", "slack")]
    outbox.settle([Ended("n1", "slack", "sent", NOW_MS), Ended("n1", "email", "sent", NOW_MS)])
    outbox.put("n1", NOW_MS, b"packed", ["slack", "email"])
    assert claim(outbox, NOW_MS + LEASE_MS) == []


def test_what_somebody_has_taken_is_given_to_others_only_when_its_time_is_over(outbox: Outbox) -> None:
    outbox.put("n1", NOW_MS, b"", ["slack"])
    assert claim(outbox) == [("n1", "slack", 0)]
    assert claim(outbox, NOW_MS + LEASE_MS - 1) == []
    assert claim(outbox, NOW_MS + LEASE_MS) == [("n1", "slack", 0)]


def test_what_is_put_off_comes_again_with_its_tries_and_holds_back_what_came_after_it(outbox: Outbox) -> None:
    outbox.put("fired", NOW_MS, b"", ["slack"])
    claim(outbox)
    outbox.settle([Ended("fired", "slack", "waiting", NOW_MS, NOW_MS + 5_000, "no answer")])
    outbox.put("resolved", NOW_MS + 1, b"", ["slack", "email"])
    assert claim(outbox, NOW_MS + 100) == [("resolved", "email", 0)]
    assert claim(outbox, NOW_MS + 5_000) == [("fired", "slack", 1), ("resolved", "slack", 0)]


def test_what_has_ended_stays_ended(outbox: Outbox) -> None:
    outbox.put("n1", NOW_MS, b"", ["slack"])
    claim(outbox)
    outbox.settle([Ended("n1", "slack", "sent", NOW_MS)])
    outbox.settle([Ended("n1", "slack", "waiting", NOW_MS, NOW_MS, "too late")])
    assert claim(outbox) == []
    assert outbox.tally(0)["slack"].sent == 1


def test_a_clock_that_steps_back_holds_nothing_up(outbox: Outbox) -> None:
    """Something was put off until 12:00:05; then the clock went back to 11:00."""
    outbox.put("n1", NOW_MS, b"", ["slack"])
    claim(outbox)
    outbox.settle([Ended("n1", "slack", "waiting", NOW_MS, NOW_MS + 5_000)])
    assert claim(outbox, NOW_MS - 3_600_000) == [("n1", "slack", 1)]
    assert LONGEST_WAIT_MS > LEASE_MS


def test_only_so_many_are_given_out_the_oldest_first(outbox: Outbox) -> None:
    for number in range(5):
        outbox.put(f"n{number}", NOW_MS - number, b"", ["slack"])
    given = outbox.claim(NOW_MS, NOW_MS + LEASE_MS, 2)
    assert [one.notice_id for one in given] == ["n4", "n3"]


def test_the_tally_tells_what_became_of_notices_and_what_is_wrong_now(outbox: Outbox) -> None:
    for number in range(4):
        outbox.put(f"n{number}", NOW_MS + number, b"", ["slack"])
    claim(outbox, NOW_MS + 10)
    outbox.settle(
        [
            Ended("n0", "slack", "sent", NOW_MS + 10),
            Ended("n1", "slack", "merged", NOW_MS + 10),
            Ended("n2", "slack", "failed", NOW_MS + 20, why="status 404: no_service"),
        ]
    )
    tally = outbox.tally(NOW_MS)["slack"]
    assert (tally.sent, tally.merged, tally.failed, tally.waiting) == (1, 1, 1, 1)
    assert (tally.why, tally.last_ms) == ("status 404: no_service", NOW_MS + 10)
    assert outbox.tally(NOW_MS + 100) == {}
    assert outbox.sent(NOW_MS) == {"slack": 1}
    assert outbox.sent(NOW_MS + 11) == {}


def test_it_knows_what_was_put_in(outbox: Outbox) -> None:
    assert not outbox.knows("digest-2026-11-22")
    outbox.put("digest-2026-11-22", NOW_MS, b"", ["email"])
    assert outbox.knows("digest-2026-11-22")


def test_a_notice_is_put_in_with_the_change_that_it_tells_of_or_not_at_all(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'ion.db'}") as store:
        outbox = SqlOutbox(store)
        with pytest.raises(ZeroDivisionError):
            _put_and_fail(store)
        assert claim(outbox) == []
        with store.writing() as connection:
            put(connection, "n1", NOW_MS, b"", ["slack"])
            put(connection, "n1", NOW_MS, b"", ["slack"])
        assert claim(outbox) == [("n1", "slack", 0)]


def test_old_notices_go_with_their_deliveries(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'ion.db'}") as store:
        outbox = SqlOutbox(store)
        for number in range(3):
            outbox.put(f"n{number}", NOW_MS + number, b"", ["slack", "email"])
        assert outbox.delete(NOW_MS + 2) == 2
        with store.reading() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM notice_deliveries")) == 2


def test_memory_is_bounded() -> None:
    outbox = MemoryOutbox(most=3)
    for number in range(5):
        outbox.put(f"n{number}", NOW_MS, b"", ["slack"])
    assert [one[0] for one in claim(outbox)] == ["n2", "n3", "n4"]


def _put_and_fail(store: Store) -> None:
    with store.writing() as connection:
        put(connection, "n1", NOW_MS, b"", ["slack"])
        raise ZeroDivisionError
