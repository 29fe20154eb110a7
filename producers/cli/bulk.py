"""``ion bulk run`` and ``ion bulk resume``: a file of messages through the fleet, to its end."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, cast

import typer

from producers.cli.collaborators import collaborators

if TYPE_CHECKING:
    from producers.bulk.session import Plan
    from producers.bulk.sources import Format
    from workers.store.bulk_runs import BulkRun, BulkRuns

RUN_EXAMPLES = (
    "ion bulk run messages.jsonl -o answers.jsonl",
    "ion bulk run messages.csv.gz -o answers.parquet --ignore-columns --json",
    "ion bulk run messages.jsonl -o answers.jsonl --resume",
    "zcat messages.jsonl.gz | ion bulk run - -o - --rejects bad.jsonl > answers.jsonl",
)
RESUME_EXAMPLES = ("ion bulk resume", "ion bulk resume k3f9")


class FormatChoice(StrEnum):
    """How the input is written."""

    AUTO = "auto"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary table.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


def run(  # noqa: PLR0913, PLR0917 - the options of a command
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="IN", help="JSONL, CSV (.gz, .zst too) or Parquet; - is stdin.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="OUT", help="Answers, JSONL or .parquet; - is stdout.")
    ],
    rejects: Annotated[
        str | None, typer.Option(metavar="FILE", help="Rejected lines; OUT.rejects.jsonl by default.")
    ] = None,
    layout: Annotated[FormatChoice, typer.Option("--format", help="How IN is written.")] = FormatChoice.AUTO,
    batch: Annotated[int, typer.Option(min=1, max=5_000, help="Lines in one message on the queue.")] = 500,
    window: Annotated[int, typer.Option(min=1, max=256, help="Most batches in flight.")] = 8,
    patience: Annotated[float, typer.Option(min=1, help="Seconds without an answer to bear.")] = 60.0,
    deadline: Annotated[
        float, typer.Option(min=1, help="Seconds that a batch may wait on the queue, then it goes again.")
    ] = 600.0,
    max_reject_ratio: Annotated[
        float | None, typer.Option(min=0, max=1, help="Stop when more than this share is rejected.")
    ] = None,
    run_id: Annotated[
        str | None, typer.Option(metavar="ID", help="A name for the run, instead of one that is made.")
    ] = None,
    *,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that wrote OUT, if there is one.")
    ] = False,
    ordered: Annotated[
        bool, typer.Option("--ordered/--as-completed", help="Answers in the order of IN, or as they come.")
    ] = True,
    ignore_columns: Annotated[
        bool, typer.Option("--ignore-columns", help="Pass over unknown columns.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite OUT and the rejects file.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Send every line of a file through the fleet; answers come out in the order of the input.

    A line that cannot be used goes to the rejects file with its number and the reason, and the run goes
    on.  Whatever ends a run, it can be resumed, and each line has one result.  Exit code 0 even with
    rejects; 1 if jobs failed, 2 for wrong usage, 3 if the fleet or the database is away.
    """
    from producers.bulk.errors import UnusableOutput  # noqa: PLC0415
    from producers.bulk.files import STDOUT, targets  # noqa: PLC0415
    from producers.bulk.session import Plan, begun, is_complete, resumed  # noqa: PLC0415
    from producers.bulk.sources import format_of, full_path  # noqa: PLC0415
    from producers.cli.bulk_work import ledger, tell_complete, work  # noqa: PLC0415

    if as_json and output == STDOUT:
        raise UnusableOutput("--json", "and -o - both want standard output", "write the answers to a file")
    target = targets(source, output, rejects)
    plan = Plan(
        full_path(source),
        format_of(source) if layout is FormatChoice.AUTO else cast("Format", layout.value),
        target.absolute(),
        ignore_columns,
        {
            "batch": batch,
            "window": window,
            "patience": patience,
            "deadline": deadline,
            "ordered": ordered,
            "max_reject_ratio": max_reject_ratio,
        },
    )
    if run_id is not None:
        _check_id(run_id)
    with ledger() as runs:
        found = _known(runs, plan, run_id) if resume else None
        if found is not None and is_complete(found, plan):
            raise typer.Exit(tell_complete(found, target, quiet=quiet, as_json=as_json))
        if found is None:
            opening = begun(runs, plan, run_id=run_id, force=force)
        else:
            opening = resumed(runs, found.id, plan)
        fleet = collaborators(context).fleet
        raise typer.Exit(work(opening, fleet, plan.options, shown=target, quiet=quiet, as_json=as_json))


def resume(
    context: typer.Context,
    run_id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="The run; by default the newest that can go on."),
    ] = None,
    max_reject_ratio: Annotated[
        float | None, typer.Option(min=0, max=1, help="Stop when more than this share is rejected.")
    ] = None,
    *,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Go on with a run where it was left, with the options that it was started with."""
    from producers.bulk.errors import NotResumable  # noqa: PLC0415
    from producers.bulk.session import resumed  # noqa: PLC0415
    from producers.cli.bulk_work import ledger, work  # noqa: PLC0415

    with ledger() as runs:
        found = _unfinished(runs) if run_id is None else runs.get(run_id)
        if found is None:
            named = "the newest run" if run_id is None else f"run {run_id}"
            raise NotResumable(named, "that could go on is not there", "`ion bulk list` shows all")
        options = dict(found.options)
        if max_reject_ratio is not None:
            options["max_reject_ratio"] = max_reject_ratio
        opening = resumed(runs, found.id)
        raise typer.Exit(work(opening, collaborators(context).fleet, options, quiet=quiet, as_json=as_json))


def _known(runs: "BulkRuns", plan: "Plan", run_id: str | None) -> "BulkRun | None":
    """Return the run that --resume means, if there is one: that of its id, or the last to write OUT here."""
    import socket  # noqa: PLC0415

    if not plan.target.lasting:
        return None
    return runs.of_output(plan.target.output, socket.gethostname()) if run_id is None else runs.get(run_id)


def _unfinished(runs: "BulkRuns") -> "BulkRun | None":
    from producers.bulk.session import could_go_on  # noqa: PLC0415

    return next((run for run in runs.newest(1_000) if could_go_on(run)), None)


def _check_id(run_id: str) -> None:
    from persona_system.errors import InvalidInput, shorten  # noqa: PLC0415

    if not (run_id.isascii() and run_id.replace("-", "").replace("_", "").isalnum() and len(run_id) <= 40):
        raise InvalidInput(
            "--run-id", f"{shorten(run_id)} is not a name", "use up to 40 letters, digits, - _"
        )
