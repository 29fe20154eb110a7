"""The audit log in the database, on every kind of database there is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.databases import postgresql_database
from workers.store.audit import AuditStore, Entry
from workers.store.engine import Store, open_store

HOSTILE = "\0 \udc80 'quoted' \"\\ \u202e ; DROP TABLE audit_log --"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each kind of database in turn, with an empty log."""
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'ion.db'}" if sqlite else request.getfixturevalue("postgresql")
    with open_store(url) as made:
        with made.writing() as connection:
            connection.execute(sa.text("DELETE FROM audit_log"))
        yield made


@pytest.fixture
def log(store: Store) -> AuditStore:
    return AuditStore(store)


def entry(at_ms: int = 1_000, **given: Any) -> Entry:
    fields = {"subject": "mina", "role": "admin", "proof": "key", "action": "cache.clear"}
    return Entry(at_ms=at_ms, **{**fields, **given})


def test_an_entry_comes_back_as_it_was_kept(log: AuditStore) -> None:
    given = entry(target="user:42", allowed=False, request_id="r-1", address="2001:db8::1")
    log.append(given)
    assert log.find(0, 10) == [given]


def test_the_newest_entries_come_first_also_within_a_millisecond(log: AuditStore) -> None:
    for at_ms, target in ((2_000, "b"), (1_000, "a"), (2_000, "c")):
        log.append(entry(at_ms, target=target))
    assert [found.target for found in log.find(0, 10)] == ["c", "b", "a"]
    assert [found.target for found in log.find(0, 2)] == ["c", "b"]


def test_entries_are_asked_for_by_their_time(log: AuditStore) -> None:
    for at_ms in (1_000, 2_000):
        log.append(entry(at_ms))
    assert [found.at_ms for found in log.find(2_000, 10)] == [2_000]
    assert (log.count(2_000), log.count(0)) == (1, 2)


def test_whatever_a_text_holds_can_be_kept(log: AuditStore) -> None:
    """An attacker who could make the log fail could act without a trace."""
    log.append(entry(subject=HOSTILE, target=HOSTILE * 100, request_id=HOSTILE, address=HOSTILE))
    (kept,) = log.find(0, 10)
    assert "DROP TABLE" in kept.subject
    assert len(kept.target) == 500


def test_a_purge_deletes_what_is_older_and_says_who_did_it(log: AuditStore) -> None:
    for at_ms in (1_000, 2_000, 3_000):
        log.append(entry(at_ms))
    purged_by = entry(4_000, subject="operator", action="audit.purge")
    assert log.purge(2_000, purged_by) == 1
    assert [found.at_ms for found in log.find(0, 10)] == [4_000, 3_000, 2_000]
    assert log.find(0, 1) == [purged_by]
