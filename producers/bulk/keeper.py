"""Keeps the ledger of a run: a thread of its own that makes the files durable, then says so.

The rule that makes a run exact: bytes first, then one commit that says "the input up to here, the files up
to these bytes".  Whatever the files hold beyond it is cut off when the run goes on, and sent again.
The same thread renews the lease and hears when somebody cancels the run.

While the ledger is away the run waits, and says so, for as long as it is patient.

Units:   seconds of a monotonic clock.
Errors:  LedgerAway, RunBusy, UnusableOutput and Interrupted, raised in the run's own thread by ``hold``.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from producers.bulk.collect import Progress
from producers.bulk.errors import BulkError, LedgerAway, RunBusy, UnusableOutput
from producers.bulk.submit import Interrupted, Stop, Waiting
from workers.store.bulk_runs import FAILED, BulkRuns, Mark
from workers.store.errors import StoreUnavailable

COMMIT_EVERY_S = 0.25
_RENEW_EVERY_S = 1.0  # so often is the lease renewed, and a cancellation noticed, while nothing is written
_FRESH_S = 3.0  # a lease that was renewed so long ago, of the 10 s that it holds, is not written under
_LONGEST_BACKOFF_S = 2.0


@dataclass(frozen=True, slots=True)
class Held:
    """A run that this process holds: *sync* makes its files durable, *share* tells how far the input is read.

    *worked_ms*: how long earlier processes worked at it.
    """

    run_id: str
    token: str
    sync: Callable[[], None]
    share: Callable[[], float | None]
    worked_ms: int = 0


class Keeper:
    """Takes note of a run's progress; *cancelled* is called once if somebody cancels the run."""

    def __init__(
        self,
        runs: BulkRuns,
        held: Held,
        patience: timedelta,
        stop: Stop,
        watcher: Waiting,
        cancelled: Callable[[], None],
    ) -> None:
        self._runs, self._held, self._patience_s = runs, held, patience.total_seconds()
        self._stop, self._watcher, self._cancelled = stop, watcher, cancelled
        self._started = monotonic()
        self._lock = threading.Lock()
        self._latest: Progress | None = None  # what was noted and not committed
        self._error: BulkError | None = None  # why the run has to end
        self._renewed = monotonic()
        self._why_away = "no answer"
        self._told = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="ion-ledger", daemon=True)

    def start(self) -> None:
        """Begin to keep."""
        self._thread.start()

    def note(self, progress: Progress) -> None:
        """Take note of what is written."""
        with self._lock:
            self._latest = progress

    def hold(self) -> None:
        """Return when the run is ours to write, for some seconds: at once, unless the ledger is away.

        A process that was stopped for long does not write where another one has taken over meanwhile.
        """
        while True:
            if self._error is not None:
                raise self._error
            age_s = monotonic() - self._renewed
            if age_s < _FRESH_S:
                return
            left_s = self._patience_s - age_s
            if left_s <= 0:
                raise self._away()
            self._watcher.waiting(f"the ledger is away: {self._why_away}", left_s)
            if self._stop.wait(min(left_s, COMMIT_EVERY_S)):
                raise Interrupted("stopped on request")

    def end(self, state: str, reason: str) -> None:
        """Commit the last of it and how the run ended; raise LedgerAway, RunBusy or UnusableOutput.

        A ledger that is away now is given the rest of the run's patience, unless the user is in a hurry.
        """
        self.close()
        known = self._error  # the run has raised it
        if isinstance(known, RunBusy):
            return
        deadline = monotonic() + self._patience_s
        while not self._ended(known, state, reason):
            left_s = deadline - monotonic()
            if left_s <= 0 or self._stop.urgent:
                raise self._away()
            self._watcher.waiting(f"the ledger is away: {self._why_away}", left_s)
            threading.Event().wait(min(left_s, COMMIT_EVERY_S))
        if self._error is not known and self._error is not None:
            raise self._error

    def close(self) -> None:
        """Keep no longer."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _ended(self, known: BulkError | None, state: str, reason: str) -> bool:
        try:
            self._commit()
            if self._error is not known:  # the files failed at the very end
                state, reason = FAILED, str(self._error)
            if not self._runs.end(self._held.run_id, self._held.token, state, reason):
                self._error = self._taken_over()
        except StoreUnavailable as error:
            self._why_away = error.why
            return False
        return True

    def _keep(self) -> None:
        pause_s = COMMIT_EVERY_S
        while not self._ending.wait(pause_s):
            if self._error is not None:
                return
            if self._latest is None and monotonic() - self._renewed < _RENEW_EVERY_S:
                continue
            try:
                self._commit()
            except StoreUnavailable as error:
                self._why_away = error.why
                pause_s = min(2 * pause_s, _LONGEST_BACKOFF_S)
            else:
                pause_s = COMMIT_EVERY_S

    def _commit(self) -> None:
        """Make the files durable, then say so; StoreUnavailable leaves what is to be said for next time."""
        if self._error is not None:
            return
        with self._lock:
            progress, self._latest = self._latest, None
        try:
            if progress is not None:
                self._held.sync()
            mark = None if progress is None else self._mark(progress)
            asked_at = monotonic()
            cancel = self._runs.commit(self._held.run_id, self._held.token, mark)
        except StoreUnavailable:
            with self._lock:
                if self._latest is None:
                    self._latest = progress
            raise
        except UnusableOutput as error:
            self._error = error
            return
        except Exception as error:  # noqa: BLE001 - a bug must end the run, not only this thread
            self._error = LedgerAway("the ledger of runs", f"failed: {type(error).__name__}", "report it")
            return
        if cancel is None:
            self._error = self._taken_over()
            return
        self._renewed, self._why_away = asked_at, "no answer"
        if cancel and not self._told:
            self._told = True
            self._cancelled()

    def _mark(self, progress: Progress) -> Mark:
        counts, done = progress.counts, progress.done
        return Mark(
            done.upto,
            list(done.beyond),
            progress.output_bytes,
            progress.rejects_bytes,
            counts.read,
            counts.ok,
            counts.cached,
            counts.rejected,
            counts.failed,
            counts.blank,
            self._held.share(),
            self._held.worked_ms + int((monotonic() - self._started) * 1000),
        )

    def _away(self) -> LedgerAway:
        return LedgerAway("the ledger of runs", f"is away: {self._why_away}", "see ION_DATABASE_URL")

    def _taken_over(self) -> RunBusy:
        return RunBusy(
            f"run {self._held.run_id}", "was taken over by another process", "`ion bulk show` tells by which"
        )
