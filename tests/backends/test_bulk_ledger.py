"""The ledger of bulk runs, on SQLite and PostgreSQL: who holds a run, how far it is, how it ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.databases import postgresql_database
from workers.store.bulk_runs import (
    CANCELLED,
    COMPLETE,
    FAILED,
    KEPT_MS,
    LEASE_MS,
    REPLACED,
    RUNNING,
    BulkRun,
    BulkRuns,
    Holder,
    Mark,
)
from workers.store.engine import Store, open_store

ONE, OTHER = Holder("token-1", "here", 1), Holder("token-2", "here", 2)
MARK = Mark(10, [(21, 30)], 1_000, 0, 20, 18, 3, 1, 1, 0, 0.25, 1_500)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    server = request.param == "postgresql"
    url = str(request.getfixturevalue("postgresql")) if server else f"sqlite:///{tmp_path / 'ion.db'}"
    with open_store(url) as opened:
        yield opened
        with opened.writing() as connection:
            connection.execute(sa.text("DELETE FROM bulk_runs"))


@pytest.fixture
def runs(store: Store) -> BulkRuns:
    return BulkRuns(store)


def new(run_id: str = "abcd", output: str = "/out.jsonl") -> BulkRun:
    return BulkRun(
        id=run_id,
        input="/in.jsonl",
        identity="5 bytes",
        format="jsonl",
        options={"batch": 500, "max_reject_ratio": None},
        output=output,
        rejects="/out.rejects.jsonl",
    )


def known(runs: BulkRuns, run_id: str = "abcd") -> BulkRun:
    found = runs.get(run_id)
    assert found is not None
    return found


def age(store: Store, run_id: str, ms: int) -> None:
    with store.writing() as connection:
        told = sa.text("UPDATE bulk_runs SET updated_ms = updated_ms - :ms WHERE id = :id")
        connection.execute(told, {"ms": ms, "id": run_id})


def is_held(run: BulkRun) -> bool:
    return run.stale


def test_a_run_is_what_was_written_of_it(runs: BulkRuns) -> None:
    assert runs.start(new(), ONE)
    assert runs.commit("abcd", ONE.token, MARK) is False

    run = known(runs)
    assert (run.mark, run.options, run.state) == (MARK, {"batch": 500, "max_reject_ratio": None}, RUNNING)
    assert (run.owner, run.host, run.pid, run.resumed) == ("token-1", "here", 1, 0)
    assert not run.stale
    assert [found.id for found in runs.newest(5)] == [run.id]
    assert runs.get("nobody") is None


def test_an_id_is_given_once(runs: BulkRuns) -> None:
    assert runs.start(new(), ONE)
    assert not runs.start(new(), OTHER)
    assert known(runs).owner == ONE.token


def test_a_run_has_one_holder_until_its_lease_is_over(runs: BulkRuns, store: Store) -> None:
    runs.start(new(), ONE)
    found, ours = runs.take("abcd", OTHER, is_held)
    assert (found is not None, ours) == (True, False)

    age(store, "abcd", LEASE_MS + 1_000)
    found, ours = runs.take("abcd", OTHER, is_held)
    assert ours
    assert known(runs).resumed == 1
    assert runs.take("nobody", OTHER, is_held) == (None, False)


def test_whoever_lost_a_run_changes_nothing_any_more(runs: BulkRuns, store: Store) -> None:
    runs.start(new(), ONE)
    age(store, "abcd", LEASE_MS + 1_000)
    runs.take("abcd", OTHER, is_held)

    assert runs.commit("abcd", ONE.token, MARK) is None
    assert not runs.end("abcd", ONE.token, COMPLETE, "")
    assert (known(runs).mark, known(runs).state) == (Mark(), RUNNING)


def test_renewing_the_lease_says_nothing_of_the_mark(runs: BulkRuns) -> None:
    runs.start(new(), ONE)
    runs.commit("abcd", ONE.token, MARK)
    assert runs.commit("abcd", ONE.token, None) is False
    assert known(runs).mark == MARK


def test_a_run_that_ended_can_be_taken_up_at_once(runs: BulkRuns) -> None:
    runs.start(new(), ONE)
    assert runs.end("abcd", ONE.token, FAILED, "the disk was full")
    assert (known(runs).state, known(runs).reason, known(runs).owner) == (FAILED, "the disk was full", None)

    _, ours = runs.take("abcd", OTHER, is_held)
    assert ours
    assert (known(runs).state, known(runs).reason, known(runs).ended_ms) == (RUNNING, "", None)


def test_cancelling_asks_a_holder_and_marks_what_nobody_holds(runs: BulkRuns) -> None:
    runs.start(new(), ONE)
    asked = runs.cancel("abcd", is_held)
    assert asked is not None
    assert (asked.state, asked.cancel) == (RUNNING, True)
    assert runs.commit("abcd", ONE.token, None) is True

    runs.end("abcd", ONE.token, FAILED, "")
    marked = runs.cancel("abcd", is_held)
    assert marked is not None
    assert marked.state == CANCELLED
    assert runs.cancel("nobody", is_held) is None


def test_a_complete_run_cannot_be_cancelled(runs: BulkRuns) -> None:
    runs.start(new(), ONE)
    runs.end("abcd", ONE.token, COMPLETE, "")
    cancelled = runs.cancel("abcd", is_held)
    assert cancelled is not None
    assert cancelled.state == COMPLETE


def test_a_run_that_overwrites_an_output_replaces_the_one_that_wrote_it(runs: BulkRuns) -> None:
    runs.start(new("aaaa"), ONE)
    runs.start(new("bbbb", "/other.jsonl"), ONE)
    runs.start(new("cccc"), OTHER)

    assert {run.id: run.state for run in runs.newest(9)} == {
        "aaaa": REPLACED,
        "bbbb": RUNNING,
        "cccc": RUNNING,
    }
    found = runs.of_output("/out.jsonl", "here")
    assert found is not None
    assert found.id == "cccc"
    assert runs.of_output("/out.jsonl", "elsewhere") is None
    assert runs.commit("aaaa", ONE.token, None) is None


def test_old_runs_are_forgotten_when_another_one_starts(runs: BulkRuns, store: Store) -> None:
    runs.start(new("aaaa"), ONE)
    runs.end("aaaa", ONE.token, COMPLETE, "")
    runs.start(new("bbbb", "/other.jsonl"), ONE)
    age(store, "aaaa", KEPT_MS + 1)
    runs.start(new("cccc", "/third.jsonl"), ONE)
    assert {run.id for run in runs.newest(9)} == {"bbbb", "cccc"}
