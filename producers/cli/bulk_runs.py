"""``ion bulk list``, ``show`` and ``cancel``: the runs that the ledger knows."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from producers.cli.report import print_json, tell

if TYPE_CHECKING:
    from workers.store.bulk_runs import BulkRun

LIST_EXAMPLES = ("ion bulk list", "ion bulk list --limit 100 --json")
SHOW_EXAMPLES = ("ion bulk show k3f9", "ion bulk show k3f9 --json")
CANCEL_EXAMPLES = ("ion bulk cancel k3f9",)

RunId = Annotated[str, typer.Argument(metavar="ID", help="The run, as `ion bulk list` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_runs(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
    *,
    as_json: AsJson = False,
) -> None:
    """Show the runs, newest first: how far each is, and how it ended."""
    from producers.cli.bulk_work import ledger  # noqa: PLC0415

    with ledger() as runs:
        found = runs.newest(limit)
    if as_json:
        print_json([run_json(run) for run in found])
    else:
        _print_table(found)


def show(run_id: RunId, *, as_json: AsJson = False) -> None:
    """Show one run: its state, counts, rate and files, and who works at it."""
    from producers.cli.bulk_work import ledger  # noqa: PLC0415

    with ledger() as runs:
        run = _known(run_id, runs.get(run_id))
    if as_json:
        print_json(run_json(run))
        return
    from producers.cli.report import console  # noqa: PLC0415

    out = console()
    for label, value in _facts(run):
        out.print(f"{label:<9} {value}", markup=False, soft_wrap=True)


def cancel(run_id: RunId, *, as_json: AsJson = False) -> None:
    """Stop a run in good order, wherever it works; it can be resumed all the same."""
    from producers.bulk.session import is_free  # noqa: PLC0415
    from producers.cli.bulk_work import ledger  # noqa: PLC0415

    with ledger() as runs:
        run = _known(run_id, runs.cancel(run_id, is_free))
    if as_json:
        print_json(run_json(run))
    elif run.cancel:
        tell(f"asked process {run.pid} on {run.host} to stop; it writes down what is under way first")
    else:
        tell(f"run {run_id} is {run.state}")


def run_json(run: "BulkRun") -> dict[str, Any]:
    """Return a run as ``--json`` prints it; times in UTC."""
    mark = run.mark
    return {
        "run": run.id,
        "state": state_of(run),
        "reason": run.reason,
        "share": mark.share,
        "read": mark.read,
        "ok": mark.ok,
        "cached": mark.cached,
        "rejected": mark.rejected,
        "failed": mark.failed,
        "blank": mark.blank,
        "last_line": mark.upto,
        "seconds": round(mark.worked_ms / 1000, 3),
        "jobs_per_s": round(_per_s(run), 1),
        "input": run.input,
        "format": run.format,
        "options": run.options,
        "output": run.output,
        "output_bytes": mark.output_bytes,
        "rejects": run.rejects,
        "rejects_bytes": mark.rejects_bytes,
        "started": _utc(run.started_ms),
        "updated": _utc(run.updated_ms),
        "ended": None if run.ended_ms is None else _utc(run.ended_ms),
        "resumed": run.resumed,
        "cancel_asked": run.cancel,
        "host": run.host,
        "pid": run.pid,
    }


def state_of(run: "BulkRun") -> str:
    """Return the state as people see it: a run whose process is gone does not run."""
    from producers.bulk.session import is_free  # noqa: PLC0415

    return "left" if run.owner is not None and is_free(run) else run.state


def _known(run_id: str, run: "BulkRun | None") -> "BulkRun":
    from producers.bulk.errors import NotResumable  # noqa: PLC0415

    if run is None:
        raise NotResumable(f"run {run_id}", "is not in the ledger", "`ion bulk list` shows those that are")
    return run


def _per_s(run: "BulkRun") -> float:
    return (run.mark.ok + run.mark.failed) / (run.mark.worked_ms / 1000) if run.mark.worked_ms else 0.0


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def _facts(run: "BulkRun") -> list[tuple[str, str]]:
    mark = run.mark
    share = "" if mark.share is None else f", {mark.share:.0%} of the input"
    facts = [
        ("run", run.id),
        ("state", state_of(run) + (f": {run.reason}" if run.reason else "")),
        ("read", f"{mark.read:,} records, up to line {mark.upto:,}{share}"),
        ("ok", f"{mark.ok:,}" + (f" ({mark.cached:,} from the cache)" if mark.cached else "")),
        ("rejected", f"{mark.rejected:,}"),
        ("failed", f"{mark.failed:,}"),
        ("blank", f"{mark.blank:,}"),
        ("rate", f"{_per_s(run):,.0f} jobs/s over {mark.worked_ms / 1000:,.1f} s"),
        ("input", f"{run.input} ({run.format})"),
        ("answers", f"{run.output} ({mark.output_bytes:,} bytes)"),
        ("rejects", f"{run.rejects} ({mark.rejects_bytes:,} bytes)"),
        ("started", _utc(run.started_ms) + (f", resumed {run.resumed} times" if run.resumed else "")),
        ("updated", _utc(run.updated_ms)),
        ("process", f"{run.pid} on {run.host}"),
    ]
    if run.cancel:
        facts.append(("asked", "to stop"))
    return facts


def _print_table(found: "list[BulkRun]") -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from producers.cli.report import console  # noqa: PLC0415

    out = console()
    if not found:
        out.print("no run is known here; `ion bulk run IN -o OUT` makes one")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (("run", "left"), ("state", "left"), ("done", "right"), ("read", "right")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for heading in ("rejected", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("started (UTC)", no_wrap=True)
    table.add_column("output", min_width=12, overflow="ellipsis", no_wrap=True)
    styles = {"complete": "green", "running": "cyan", "failed": "red"}
    for run in found:
        mark, state = run.mark, state_of(run)
        table.add_row(
            run.id,
            Text(state, style=styles.get(state, "yellow")),
            "" if mark.share is None else f"{mark.share:.0%}",
            f"{mark.read:,}",
            f"{mark.rejected:,}",
            f"{mark.failed:,}",
            _utc(run.started_ms)[:16].replace("T", " "),
            run.output.rpartition("/")[2],  # `show` has all of it
        )
    out.print(table)
