"""The benchmark's figures as tables: ratios first, since they travel between machines."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_BAR_CHARS = 24


def show(console: Console, figures: dict[str, Any]) -> None:
    """Print *figures*, as ``run_bench`` returns them."""
    machine, bare = figures["machine"], figures["baseline"]
    console.print(
        f"{machine['cores']} cores, {machine['processor']}, Python {machine['python']}, "
        f"Celery {machine['versions']['celery']}",
        style="dim",
    )
    console.print(_speeds(figures))
    console.print(
        f"bare Celery, one job a message: {bare['jobs_per_s']:,.0f} jobs/s at best, "
        f"p50 {bare['p50_ms']:.2f} ms and p95 {bare['p95_ms']:.2f} ms for a lone caller"
    )
    limit = figures["limit"]["jobs_per_s_one_core"]
    console.print(f"the pure work, on one core and without a queue: {limit:,.0f} jobs/s")
    memory = ", ".join(f"{name} {mb:.0f}" for name, mb in figures["rss_mb"].items())
    console.print(f"memory in MB: {memory}")


def _speeds(figures: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("load")
    for column in ("x bare", "jobs/s", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(column, justify="right")
    table.add_column("")
    rows = [(f"{row['callers']:,} callers", row) for row in figures["callers"]]
    rows.append(("bulk", figures["bulk"]))
    most = max(row["ratio"] for _, row in rows)
    for name, row in rows:
        latencies = [f"{row[key]:.2f}" if key in row else "-" for key in ("p50_ms", "p95_ms", "p99_ms")]
        bar = Text("█" * max(1, round(_BAR_CHARS * row["ratio"] / most)), style="cyan")
        table.add_row(name, f"{row['ratio']:.1f}", f"{row['jobs_per_s']:,.0f}", *latencies, bar)
    return table
