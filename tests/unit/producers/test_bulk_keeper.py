"""The thread that keeps the ledger: bytes first, then the commit; and what happens when either fails."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from producers.bulk import keeper
from producers.bulk.collect import Counts, Progress
from producers.bulk.coverage import Coverage
from producers.bulk.errors import LedgerAway, RunBusy, UnusableOutput
from producers.bulk.keeper import Held, Keeper
from producers.bulk.submit import Interrupted
from tests.support.wait import wait_until
from workers.store.bulk_runs import BulkRun, BulkRuns, Holder, Mark
from workers.store.engine import Store, open_store
from workers.store.errors import StoreUnavailable

HOLDER = Holder("mine", "here", 1)


class FlakyRuns(BulkRuns):
    """The ledger, in a database that a test can take away."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.away = False
        self.happened: list[str] = []

    def commit(self, run_id: str, token: str, mark: Mark | None) -> bool | None:
        self._check()
        self.happened.append("renew" if mark is None else f"commit {mark.upto}")
        return super().commit(run_id, token, mark)

    def end(self, run_id: str, token: str, state: str, reason: str) -> bool:
        self._check()
        return super().end(run_id, token, state, reason)

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("the database", "told to be away")


class Run:
    """A run that is kept, and what a test does to it."""

    def __init__(self, runs: FlakyRuns) -> None:
        self.runs = runs
        self.stopped = threading.Event()
        self.urgent = self.breakable = False
        self.reasons: list[str] = []
        self.cancelled = threading.Event()
        self.sync: Callable[[], None] = lambda: runs.happened.append("sync")
        runs.start(
            BulkRun(id="r", input="i", identity="", format="jsonl", options={}, output="o", rejects="r"),
            HOLDER,
        )

    def _sync(self) -> None:
        self.sync()  # as the test has it by now

    @property
    def requested(self) -> bool:
        return self.stopped.is_set()

    def wait(self, seconds: float) -> bool:
        return self.stopped.wait(seconds)

    def waiting(self, why: str, seconds: float) -> None:
        assert seconds > 0
        self.reasons.append(why)

    def keeper(self, patience_s: float = 60) -> Keeper:
        held = Held("r", HOLDER.token, self._sync, lambda: 0.5, worked_ms=1_000)
        made = Keeper(self.runs, held, timedelta(seconds=patience_s), self, self, self.cancelled.set)
        made.start()
        return made

    def known(self) -> BulkRun:
        found = self.runs.get("r")
        assert found is not None
        return found


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setattr(keeper, "COMMIT_EVERY_S", 0.01)
    monkeypatch.setattr(keeper, "_FRESH_S", 0.1)
    monkeypatch.setattr(keeper, "_RENEW_EVERY_S", 0.02)
    with open_store(f"sqlite:///{tmp_path / 'ion.db'}") as store:
        yield Run(FlakyRuns(store))


def progress(line: int) -> Progress:
    return Progress(Counts(read=line, ok=line), Coverage(line, ((line + 5, line + 9),)), 10 * line, 0)


def test_bytes_are_durable_before_the_ledger_knows_of_them(run: Run) -> None:
    kept = run.keeper()
    kept.note(progress(7))
    wait_until(lambda: run.known().mark.upto == 7)
    kept.end("complete", "")

    happened = run.runs.happened
    assert happened[happened.index("commit 7") - 1] == "sync"
    found = run.known()
    assert (found.state, found.mark.beyond, found.mark.output_bytes, found.mark.share) == (
        "complete",
        [(12, 16)],
        70,
        0.5,
    )
    assert found.mark.worked_ms >= 1_000


def test_the_last_progress_is_committed_with_the_end(run: Run) -> None:
    kept = run.keeper()
    for line in range(1, 50):
        kept.note(progress(line))
    kept.end("failed", "the reason")
    assert (run.known().mark.upto, run.known().state, run.known().reason) == (49, "failed", "the reason")


def test_the_lease_is_renewed_while_nothing_is_written(run: Run) -> None:
    kept = run.keeper()
    wait_until(lambda: run.runs.happened.count("renew") >= 3)
    kept.end("complete", "")


def test_a_cancellation_is_noticed_and_told_once(run: Run) -> None:
    kept = run.keeper()
    run.runs.cancel("r", lambda _: False)
    assert run.cancelled.wait(10)
    kept.end("cancelled", "")
    assert run.known().state == "cancelled"


def test_a_ledger_that_is_away_makes_the_run_wait_until_it_is_back(run: Run) -> None:
    kept = run.keeper()
    run.runs.away = True
    kept.note(progress(1))
    back = threading.Timer(0.2, lambda: setattr(run.runs, "away", False))
    back.start()

    wait_until(lambda: _noted(kept, 2) and bool(run.reasons))
    back.join()
    kept.end("complete", "")

    assert "the ledger is away: told to be away" in run.reasons
    assert run.known().mark.upto == 2


def _noted(kept: Keeper, line: int) -> bool:
    kept.hold()
    kept.note(progress(line))
    return True


def test_a_ledger_that_stays_away_ends_the_run_after_its_patience(run: Run) -> None:
    kept = run.keeper(patience_s=0.3)
    run.runs.away = True
    with pytest.raises(LedgerAway, match="told to be away"):
        wait_until(lambda: not _noted(kept, 1))
    with pytest.raises(LedgerAway):
        kept.end("failed", "")


def test_a_stop_ends_the_waiting_for_the_ledger(run: Run) -> None:
    kept = run.keeper()
    run.runs.away = True
    run.stopped.set()
    with pytest.raises(Interrupted):
        wait_until(lambda: not _noted(kept, 1))
    run.urgent = True
    with pytest.raises(LedgerAway):
        kept.end("interrupted", "")


def test_a_run_that_another_process_took_over_ends_here(run: Run) -> None:
    kept = run.keeper()
    run.runs.take("r", Holder("other", "here", 2), lambda _: True)
    with pytest.raises(RunBusy, match="taken over"):
        wait_until(lambda: not _noted(kept, 1))
    kept.end("failed", "")
    assert (run.known().owner, run.known().state, run.known().mark.upto) == ("other", "running", 0)


def test_what_is_not_durable_is_not_committed(run: Run) -> None:
    def fail() -> None:
        raise UnusableOutput("out", "cannot be written", "make room")

    kept = run.keeper()
    kept.note(progress(3))
    wait_until(lambda: run.known().mark.upto == 3)
    run.sync = fail
    with pytest.raises(UnusableOutput):
        wait_until(lambda: not _noted(kept, 4))
    kept.end("failed", "out cannot be written")
    assert (run.known().mark.upto, run.known().state) == (3, "failed")


def test_files_that_fail_at_the_very_end_make_the_run_fail(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise UnusableOutput("out", "cannot be written", "make room")

    monkeypatch.setattr(keeper, "COMMIT_EVERY_S", 60)
    kept = run.keeper()
    run.sync = fail
    kept.note(progress(3))
    with pytest.raises(UnusableOutput):
        kept.end("complete", "")
    assert (run.known().mark.upto, run.known().state) == (0, "failed")


def test_a_bug_ends_the_run_rather_than_only_the_thread(run: Run) -> None:
    def crash() -> None:
        raise ZeroDivisionError

    run.sync = crash
    kept = run.keeper()
    with pytest.raises(LedgerAway, match="ZeroDivisionError"):
        wait_until(lambda: not _noted(kept, 1))
    kept.close()


def test_a_process_that_was_stopped_for_long_does_not_write_where_another_took_over(run: Run) -> None:
    run.runs.take("r", Holder("other", "elsewhere", 2), lambda _: True)
    kept = run.keeper()
    kept._renewed -= 30  # as if it had been stopped for half a minute
    with pytest.raises(RunBusy):
        kept.hold()
    kept.end("failed", "")
