"""The figures of what observability costs, as a table: ratios first, since they travel between machines."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def show(console: Console, figures: dict[str, Any]) -> None:
    """Print *figures*, as ``infra.bench.observability.run_bench`` returns them."""
    machine, aims, push = figures["machine"], figures["aims"], figures["push"]
    console.print(
        f"{machine['cores']} cores, {machine['processor']}, Python {machine['python']}, "
        f"Celery {machine['versions']['celery']}",
        style="dim",
    )
    console.print(_fleets(figures))
    console.print(
        f"aimed at: {aims['ratio']:.2f} of the throughput, {aims['p95_added_ms']:g} ms more at p95, "
        f"{aims['push_ms']:g} ms for a report"
    )
    console.print(
        f"one process's report, from its memory into the inbox: p50 {push['p50_ms']:.2f} ms, "
        f"p95 {push['p95_ms']:.2f} ms"
    )


def _fleets(figures: dict[str, Any]) -> Table:
    aims = figures["aims"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what is on", no_wrap=True)
    for column in ("batches", "jobs/s", "100 callers", "jobs/s", "p95 of one, ms", "more"):
        table.add_column(column, justify="right")
    for name, loads in figures["fleets"].items():
        ratios, added = figures["ratios"].get(name), figures["p95_added_ms"].get(name)
        table.add_row(
            name,
            _ratio(ratios, "batches", aims["ratio"]),
            f"{loads['batches']['jobs_per_s']:,.0f}",
            _ratio(ratios, "100 callers", aims["ratio"]),
            f"{loads['100 callers']['jobs_per_s']:,.0f}",
            f"{loads['one caller']['p95_ms']:.2f}",
            _added(added, aims["p95_added_ms"]),
        )
    return table


def _ratio(ratios: dict[str, float] | None, load: str, aim: float) -> Text:
    if ratios is None:
        return Text("1.00")
    return Text(f"{ratios[load]:.2f}", style="green" if ratios[load] >= aim else "red")


def _added(added: dict[str, float] | None, aim: float) -> Text:
    if added is None:
        return Text("")
    more = added["one caller"]
    return Text(f"{more:+.2f}", style="green" if more <= aim else "red")
