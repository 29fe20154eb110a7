"""A run as the ledger knows it: begun, or resumed where its last process left it, then carried out.

Nothing is touched before everything is known to fit: the input is the same, the files are what the run
left, the ledger takes the run, and nobody else works at it.

Errors: those of the package; StoreUnavailable when the ledger is away before the run starts.
"""

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import cast

from msgspec.structs import replace

from producers.bulk.collect import Collector, Counts, Progress
from producers.bulk.coverage import Coverage, coverage_of
from producers.bulk.errors import BulkError, ChangedInput, NotResumable, RunBusy, UnusableInput
from producers.bulk.files import Files, Targets
from producers.bulk.inputs import Input, open_input
from producers.bulk.keeper import Held, Keeper
from producers.bulk.parquet import to_parquet
from producers.bulk.run import End, Options, Summary, Surroundings, Watcher, run
from producers.bulk.sources import STDIN, Format
from producers.bulk.submit import Stop, Submit
from workers.store.bulk_runs import (
    CANCELLED,
    COMPLETE,
    FAILED,
    INTERRUPTED,
    REPLACED,
    RUNNING,
    BulkRun,
    BulkRuns,
    Holder,
    Mark,
)
from workers.store.errors import StoreUnavailable

_LETTERS = "23456789abcdefghjkmnpqrstvwxyz"  # none that are taken for one another
_ID_LETTERS = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do: *source* and *target* are full paths."""

    source: str
    kind: Format
    target: Targets
    ignore_columns: bool = False
    options: dict[str, int | float | bool | None] = field(default_factory=dict)  # to show, and to resume with


@dataclass(frozen=True, slots=True)
class Session:
    """A run that this process holds, with its files open."""

    run_id: str
    target: Targets
    input: Input
    files: Files
    before: Progress
    held: Held
    runs: BulkRuns


@contextmanager
def begun(runs: BulkRuns, plan: Plan, *, run_id: str | None = None, force: bool = False) -> Iterator[Session]:
    """Begin a run; the ledger has it then, and whoever yields has to see it through ``carry_out``."""
    with open_input(plan.source, plan.kind, ignore_columns=plan.ignore_columns) as source:
        if not force:
            Files.refuse_existing(plan.target)
        with closing(Files(plan.target)) as files:
            holder = _this_process()
            run = BulkRun(
                id="",
                input=plan.source,
                identity=source.identity,
                format=plan.kind,
                options={**plan.options, "ignore_columns": plan.ignore_columns},
                output=plan.target.output,
                rejects=plan.target.rejects,
                mark=_mark_of(source.done),
            )
            taken_id = _register(runs, run, holder, run_id)
            with _let_go(runs, taken_id, holder, FAILED, "did not start"):
                files.cut()
                before = Progress(Counts(last_line=source.done.upto), source.done)
                yield _session(runs, taken_id, plan.target, source, files, before, holder, 0)


@contextmanager
def resumed(runs: BulkRuns, run_id: str, plan: Plan | None = None) -> Iterator[Session]:
    """Take up a run where it was left; *plan*, if given, has to be that of the run."""
    holder = _this_process()
    run, ours = runs.take(run_id, holder, is_free)
    if run is None:
        raise NotResumable(f"run {run_id}", "is not in the ledger", "`ion bulk list` shows those that are")
    if not ours:
        where = f"process {run.pid} on {run.host}"
        raise RunBusy(f"run {run_id}", f"is under way in {where}", f"wait, or `ion bulk cancel {run_id}`")
    state = INTERRUPTED if run.state == RUNNING else run.state
    with ExitStack() as opened, _let_go(runs, run_id, holder, state, run.reason):
        yield _reopened(runs, run, holder, plan, opened)


@contextmanager
def _let_go(runs: BulkRuns, run_id: str, holder: Holder, state: str, reason: str) -> Iterator[None]:
    """Give up the lease of a run that could not be carried out; one that was has none any more."""
    try:
        yield
    except BaseException:
        with suppress(StoreUnavailable):  # then the lease runs out
            runs.end(run_id, holder.token, state, reason)
        raise


def _reopened(runs: BulkRuns, run: BulkRun, holder: Holder, plan: Plan | None, opened: ExitStack) -> Session:
    _check_resumable(run, plan)
    mark = run.mark
    done = coverage_of(mark.upto, mark.beyond)
    kind, ignore = cast("Format", run.format), bool(run.options.get("ignore_columns"))
    source = opened.enter_context(open_input(run.input, kind, done, ignore_columns=ignore))
    _check_identity(run, source)
    target = Targets(run.output, run.rejects)
    files = opened.enter_context(closing(Files(target)))
    files.cut(mark.output_bytes, mark.rejects_bytes)
    before = Progress(_counts_of(mark), done, mark.output_bytes, mark.rejects_bytes)
    return _session(runs, run.id, target, source, files, before, holder, mark.worked_ms)


def is_complete(run: BulkRun, plan: Plan) -> bool:
    """Tell whether *run* has done all of *plan*; raise ChangedInput if its input has changed since."""
    if run.state != COMPLETE:
        return False
    _check_plan(run, plan)
    with open_input(plan.source, plan.kind, ignore_columns=plan.ignore_columns) as source:
        _check_identity(run, source)
    return True


def is_free(run: BulkRun) -> bool:
    """Tell whether nobody works at a run whose lease is held."""
    return run.stale or (run.host == socket.gethostname() and not _lives(run.pid))


def could_go_on(run: BulkRun) -> bool:
    """Tell whether ``ion bulk resume`` could take the run up, as far as the ledger knows."""
    ended = run.state in {COMPLETE, REPLACED} or (run.owner is not None and not is_free(run))
    return not ended and run.input != STDIN and Targets(run.output, run.rejects).lasting


@dataclass(frozen=True, slots=True)
class Outside:
    """What a run works with: *submit* sends, *converting* is told of rows that became Parquet."""

    submit: Submit
    stop: Stop
    watcher: Watcher
    cancelled: Callable[[], None]
    converting: Callable[[int], None]


def carry_out(session: Session, options: Options, outside: Outside) -> tuple[Summary, str]:
    """Take the run to its end; return how it went, and the state that the ledger has now."""
    asked: list[bool] = []

    def cancelled() -> None:
        asked.append(True)
        outside.cancelled()

    keeper = Keeper(session.runs, session.held, options.patience, outside.stop, outside.watcher, cancelled)
    keeper.start()
    try:
        collector = Collector(session.files.output, session.files.rejects, session.before)
        around = Surroundings(outside.stop, outside.watcher, keeper, monotonic)
        summary = run(session.input.items, outside.submit, collector, options, around)
        if summary.end == "complete" and session.target.parquet:
            to_parquet(session.target.spool, session.target.output, outside.converting)
    except BaseException as error:
        with suppress(BulkError):  # what went wrong first is what counts
            keeper.end(FAILED, str(error) if isinstance(error, BulkError) else type(error).__name__)
        raise
    state = CANCELLED if asked and summary.end == "interrupted" else _state_after(summary.end)
    keeper.end(state, summary.reason)
    if state == COMPLETE and session.target.parquet:
        Path(session.target.spool).unlink(missing_ok=True)
    return summary, state


def _state_after(end: End) -> str:
    return {"complete": COMPLETE, "interrupted": INTERRUPTED}.get(end, FAILED)


def _register(runs: BulkRuns, run: BulkRun, holder: Holder, run_id: str | None) -> str:
    if run_id is not None:
        if not runs.start(replace(run, id=run_id), holder):
            raise NotResumable(f"run {run_id}", "exists already", "choose another --run-id, or --resume it")
        return run_id
    while True:
        made = "".join(secrets.choice(_LETTERS) for _ in range(_ID_LETTERS))
        if runs.start(replace(run, id=made), holder):
            return made


def _session(  # noqa: PLR0913, PLR0917 - a private constructor
    runs: BulkRuns,
    run_id: str,
    target: Targets,
    source: Input,
    files: Files,
    before: Progress,
    holder: Holder,
    worked_ms: int,
) -> Session:
    def share() -> float | None:
        return min(source.position() / source.total, 1.0) if source.total else None

    held = Held(run_id, holder.token, files.sync, share, worked_ms)
    return Session(run_id, target, source, files, before, held, runs)


def _check_resumable(run: BulkRun, plan: Plan | None) -> None:
    again = "start anew with --force"
    if run.state == COMPLETE:
        raise NotResumable(f"run {run.id}", "is complete", again)
    if run.state == REPLACED:
        raise NotResumable(f"run {run.id}", f"cannot go on: {run.reason}", again)
    if not Targets(run.output, run.rejects).lasting:
        raise NotResumable(f"run {run.id}", "wrote to a pipe or a device", again)
    if plan is None:
        if run.input == STDIN:
            raise UnusableInput(
                "standard input", "is gone", "pipe the same data again: ion bulk run - -o OUT --resume"
            )
        return
    _check_plan(run, plan)


def _check_identity(run: BulkRun, source: Input) -> None:
    if source.identity != run.identity:
        problem = f"is not what run {run.id} began with: its size, time or first bytes differ"
        raise ChangedInput(source.name, problem, "put it back, or start anew with --force")


def _check_plan(run: BulkRun, plan: Plan) -> None:
    given = (plan.source, plan.kind, plan.target.output, plan.target.rejects, plan.ignore_columns)
    known = (run.input, run.format, run.output, run.rejects, bool(run.options.get("ignore_columns")))
    if given != known:
        problem = "was started with another input, format, output or --ignore-columns"
        fix = f"see `ion bulk show {run.id}`; or start anew with --force"
        raise NotResumable(f"run {run.id}", problem, fix)


def _this_process() -> Holder:
    return Holder(secrets.token_hex(8), socket.gethostname(), os.getpid())


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        return True
    return True


def _counts_of(mark: Mark) -> Counts:
    return Counts(mark.read, mark.ok, mark.rejected, mark.failed, mark.blank, mark.upto, mark.cached)


def _mark_of(done: Coverage) -> Mark:
    return Mark(done.upto, list(done.beyond))
