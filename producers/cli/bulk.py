"""``ion bulk run``: a file of messages through the fleet."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from producers.cli.collaborators import Fleet, Tell, collaborators
from producers.cli.report import FAILED, INTERRUPTED, OK, UNAVAILABLE, USAGE, print_json, tell

if TYPE_CHECKING:
    from producers.bulk.records import Item
    from producers.bulk.run import Options, Summary
    from producers.bulk.sources import Source
    from producers.cli.bulk_files import Targets

RUN_EXAMPLES = (
    "ion bulk run messages.jsonl -o answers.jsonl",
    "ion bulk run messages.csv.gz -o answers.jsonl --ignore-columns --json",
    "zcat messages.jsonl.gz | ion bulk run - -o - --rejects bad.jsonl > answers.jsonl",
)


class FormatChoice(StrEnum):
    """How the input is written."""

    AUTO = "auto"
    JSONL = "jsonl"
    CSV = "csv"


def run(  # noqa: PLR0913, PLR0917 - the options of a command
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="IN", help="JSONL or CSV, .gz too; - is stdin.")],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="OUT", help="Answers, JSONL; - is stdout.")
    ],
    rejects: Annotated[
        str | None, typer.Option(metavar="FILE", help="Rejected lines; OUT.rejects.jsonl by default.")
    ] = None,
    layout: Annotated[FormatChoice, typer.Option("--format", help="How IN is written.")] = FormatChoice.AUTO,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Lines in one message on the queue.")] = 500,
    window: Annotated[int, typer.Option(min=1, max=256, help="Batches in flight.")] = 8,
    patience: Annotated[float, typer.Option(min=1, help="Seconds without an answer to bear.")] = 60.0,
    from_line: Annotated[int, typer.Option(min=1, help="Skip the lines before this one.")] = 1,
    *,
    ignore_columns: Annotated[
        bool, typer.Option("--ignore-columns", help="Pass over unknown columns.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite OUT and the rejects file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Send every line of a file through the fleet; answers come out in the order of the input.

    A line that cannot be used goes to the rejects file with its number and the reason, and the run goes
    on.  Exit code 0 even so; 1 if jobs failed, 2 for wrong usage, 3 if the fleet is away.
    """
    from producers.bulk.errors import UnusableOutput  # noqa: PLC0415
    from producers.bulk.run import Options  # noqa: PLC0415
    from producers.bulk.sources import format_of, open_source, starting_at  # noqa: PLC0415
    from producers.cli.bulk_files import STDOUT, targets  # noqa: PLC0415

    if as_json and output == STDOUT:
        raise UnusableOutput("--json", "and -o - both want standard output", "write the answers to a file")
    target = targets(source, output, rejects)
    kind = format_of(source) if layout is FormatChoice.AUTO else layout.value
    options = Options(batch_jobs=batch, window=window, patience=timedelta(seconds=patience))
    with open_source(source) as opened:
        if kind == "csv":
            from producers.bulk.csv_rows import read_csv, read_header  # noqa: PLC0415

            columns = read_header(opened.name, opened.lines, ignore_columns=ignore_columns)
            items: Iterator[Item] = read_csv(starting_at(opened.lines, from_line), columns)
        else:
            from producers.bulk.jsonl import read_jsonl  # noqa: PLC0415

            items = read_jsonl(starting_at(opened.lines, from_line))
        fleet = collaborators(context).fleet
        summary, code = _through(fleet, opened, items, target, options, force=force, quiet=quiet)
    if as_json:
        print_json(summary_json(summary, target))
    elif not quiet:
        _print_summary(summary, target)
    _say_the_end(summary)
    raise typer.Exit(code)


def _through(
    fleet: Fleet,
    source: "Source",
    items: "Iterator[Item]",
    target: "Targets",
    options: "Options",
    *,
    force: bool,
    quiet: bool,
) -> "tuple[Summary, int]":
    from producers.bulk.collect import Collector  # noqa: PLC0415
    from producers.bulk.run import run as run_bulk  # noqa: PLC0415
    from producers.cli.bulk_files import opened  # noqa: PLC0415
    from producers.cli.bulk_progress import watching  # noqa: PLC0415
    from producers.cli.interruption import Interruption, on_signals  # noqa: PLC0415
    from producers.client import PersonaClient  # noqa: PLC0415

    stop = Interruption()
    talk: Tell = _silent if quiet else tell
    with ExitStack() as closing:
        output, rejects = closing.enter_context(opened(target, force=force))
        client = PersonaClient(closing.enter_context(fleet.reach(talk)))
        closing.callback(client.close, timedelta(0))  # whatever is under way then, the run has given up
        watcher = closing.enter_context(watching(source, talk, terminal=sys.stderr.isatty(), quiet=quiet))
        closing.enter_context(on_signals(stop))
        summary = run_bulk(items, client.submit_batch, Collector(output, rejects), options, stop, watcher)
    return summary, exit_code(summary, stop.signal_number)


def exit_code(summary: "Summary", signal_number: int | None = None) -> int:
    """Return what the run tells a script: rejected lines are no failure, failed jobs are."""
    if summary.end == "interrupted":
        return INTERRUPTED if signal_number is None else 128 + signal_number
    ends = {"unavailable": UNAVAILABLE, "broken_input": USAGE, "broken_output": FAILED}
    return ends.get(summary.end, FAILED if summary.failed else OK)


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


def _print_summary(summary: "Summary", target: "Targets") -> None:
    for label, value in (
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


def _say_the_end(summary: "Summary") -> None:
    if summary.end == "complete":
        if summary.read > summary.blank and not summary.ok and not summary.failed:
            tell("warning: no line could be used; is the format right?  The rejects file says why")
        return
    tell(
        f"error: {summary.reason}; everything up to line {summary.last_line} is written, "
        f"go on with --from-line {summary.last_line + 1} and another -o"
    )
