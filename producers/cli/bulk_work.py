"""What the commands of a bulk run share: the ledger, the work itself, and what is said of how it went."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from producers.cli.collaborators import Fleet, Tell
from producers.cli.report import FAILED, INTERRUPTED, OK, UNAVAILABLE, USAGE, print_json, tell

if TYPE_CHECKING:
    from producers.bulk.files import Targets
    from producers.bulk.run import Options, Summary
    from producers.bulk.session import Session
    from producers.bulk.submit import Submit
    from producers.cli.interruption import Interruption
    from producers.client import PersonaClient
    from workers.store.bulk_runs import BulkRun, BulkRuns

_DEFAULT_DEADLINE_S = 600.0


@contextmanager
def ledger(*, create: bool = True) -> Iterator["BulkRuns"]:
    """Open the ledger of runs: the database of the local stack, or the one that ION_DATABASE_URL names."""
    from producers.settings import ClientSettings  # noqa: PLC0415
    from workers.store.bulk_runs import BulkRuns  # noqa: PLC0415
    from workers.store.engine import open_store  # noqa: PLC0415

    with open_store(ClientSettings().database_address(), create=create) as store:
        yield BulkRuns(store)


def work(
    opening: "AbstractContextManager[Session]",
    fleet: Fleet,
    options: Mapping[str, Any],
    *,
    shown: "Targets | None" = None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Carry out the run that *opening* gives, and say how it went; return the exit code."""
    from producers.bulk.session import Outside, carry_out  # noqa: PLC0415
    from producers.cli.bulk_progress import watching  # noqa: PLC0415
    from producers.cli.interruption import Interruption, on_signals  # noqa: PLC0415
    from producers.client import PersonaClient  # noqa: PLC0415

    stop = Interruption()
    talk: Tell = _silent if quiet else tell
    deadline_s = float(options.get("deadline") or _DEFAULT_DEADLINE_S)
    with ExitStack() as closing:
        session = closing.enter_context(opening)
        settings = closing.enter_context(fleet.reach(talk))
        client = PersonaClient(settings.model_copy(update={"deadline_s": deadline_s}))
        closing.callback(client.close, timedelta(0))  # whatever is under way then, the run has given up
        watcher = closing.enter_context(
            watching(
                session.input,
                talk,
                before=session.before.counts.read,
                terminal=sys.stderr.isatty(),
                quiet=quiet,
            )
        )
        closing.enter_context(on_signals(stop))
        outside = Outside(submitting(client, session), stop, watcher, _interrupting(stop), watcher.converting)
        summary, state = carry_out(session, options_of(options), outside)
    target = session.target if shown is None else shown
    _print(session.run_id, state, summary, target, quiet=quiet, as_json=as_json)
    _say_the_end(session, summary)
    return exit_code(summary, stop.signal_number)


def tell_complete(run: "BulkRun", target: "Targets", *, quiet: bool, as_json: bool) -> int:
    """Say how a run went that has nothing left to do; return the exit code."""
    from producers.bulk.run import Summary  # noqa: PLC0415

    mark = run.mark
    counts = (mark.read, mark.ok, mark.rejected, mark.failed, mark.blank, mark.upto)
    summary = Summary("complete", "", *counts, mark.worked_ms / 1000, mark.cached)
    if not quiet:
        tell(f"run {run.id} is complete already; --force starts anew")
    _print(run.id, run.state, summary, target, quiet=quiet, as_json=as_json)
    return exit_code(summary)


def _print(
    run_id: str, state: str, summary: "Summary", target: "Targets", *, quiet: bool, as_json: bool
) -> None:
    if as_json:
        print_json({"run": run_id, "state": state, **summary_json(summary, target)})
    elif not quiet:
        _print_summary(run_id, summary, target)


def options_of(given: Mapping[str, Any]) -> "Options":
    """Return the options of a run as the ledger keeps them; what is not there has its default."""
    from producers.bulk.run import Options  # noqa: PLC0415

    names = {"batch": "batch_jobs", "window": "window", "ordered": "ordered"}
    chosen = {field: given[name] for name, field in names.items() if given.get(name) is not None}
    if given.get("patience") is not None:
        chosen["patience"] = timedelta(seconds=given["patience"])
    return Options(**chosen, max_reject_ratio=given.get("max_reject_ratio"))


def submitting(client: "PersonaClient", session: "Session") -> "Submit":
    """Return what sends a chunk of *session*; operators see in Flower which run it is, and how far."""
    from producers.bulk.answer import BULK_PROCESS  # noqa: PLC0415

    sent = session.before.counts.read

    def submit(requests: Sequence[Any]) -> Any:
        nonlocal sent
        sent += len(requests)
        share = session.held.share()
        far = f"{sent:,} sent" if share is None else f"{sent:,} sent, {share:.0%}"
        note = f"run {session.run_id}, {far}"
        return client.submit_batch_as(BULK_PROCESS, requests, BULK_PROCESS.queue, note)

    return submit


def _interrupting(stop: "Interruption") -> Callable[[], None]:
    """Return what stops the run from another thread as Ctrl-C would, even while it waits for its input."""
    main = threading.main_thread().ident
    assert main is not None  # noqa: S101 - it runs

    def interrupt() -> None:
        if not stop.requested:
            signal.pthread_kill(main, signal.SIGINT)

    return interrupt


def exit_code(summary: "Summary", signal_number: int | None = None) -> int:
    """Return what the run tells a script: rejected lines are no failure, failed jobs are."""
    if summary.end == "interrupted":
        return INTERRUPTED if signal_number is None else 128 + signal_number
    ends = {"complete": FAILED if summary.failed else OK, "unavailable": UNAVAILABLE, "broken_input": USAGE}
    return ends.get(summary.end, FAILED)


def summary_json(summary: "Summary", target: "Targets") -> dict[str, Any]:
    """Return the summary as ``--json`` prints it."""
    return {
        "end": summary.end,
        "reason": summary.reason,
        "read": summary.read,
        "ok": summary.ok,
        "cached": summary.cached,
        "rejected": summary.rejected,
        "failed": summary.failed,
        "blank": summary.blank,
        "last_line": summary.last_line,
        "seconds": round(summary.seconds, 3),
        "jobs_per_s": round(summary.jobs_per_s, 1),
        "output": target.output,
        "rejects": target.rejects,
    }


def _silent(line: str) -> None:
    """Say nothing."""


def _print_summary(run_id: str, summary: "Summary", target: "Targets") -> None:
    for label, value in (
        ("run", f"  {run_id}"),
        ("read", f"{summary.read:>12,}"),
        ("ok", f"{summary.ok:>12,}" + (f"  ({summary.cached:,} from the cache)" if summary.cached else "")),
        ("rejected", f"{summary.rejected:>12,}"),
        ("failed", f"{summary.failed:>12,}"),
        ("blank", f"{summary.blank:>12,}"),
        ("seconds", f"{summary.seconds:>12,.1f}"),
        ("jobs/s", f"{summary.jobs_per_s:>12,.0f}"),
        ("answers", f"  {'standard output' if target.output == '-' else target.output}"),
        ("rejects", f"  {target.rejects}"),
    ):
        tell(f"{label:<9}{value}")


def _say_the_end(session: "Session", summary: "Summary") -> None:
    if summary.end == "complete":
        if summary.read > summary.blank and not summary.ok and not summary.failed:
            tell("warning: no line could be used; is the format right?  The rejects file says why")
        return
    written = f"error: {summary.reason}; everything up to line {summary.last_line} is written"
    if not session.target.lasting:
        tell(f"{written}, and a run into a pipe cannot go on")
    elif session.input.name == "standard input":
        tell(f"{written}, pipe the same data again with --resume")
    else:
        tell(f"{written}, go on with `ion bulk resume {session.run_id}`")
