"""The gateway's figures as a table: ratios first, since they travel between machines."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_COLUMNS = ("x bare", "req/s", "p50 ms", "p95 ms", "p99 ms", "CPU us", "target")


def show(console: Console, figures: dict[str, Any]) -> None:
    """Print *figures*, as ``infra.bench.http_run.run_bench`` returns them."""
    machine = figures["machine"]
    versions = " ".join(f"{name} {machine['versions'][name]}" for name in ("fastapi", "uvicorn"))
    console.print(
        f"{machine['cores']} cores, {machine['processor']}, Python {machine['python']}, {versions}",
        style="dim",
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("load (connections)")
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    for row in figures["loads"]:
        table.add_row(
            f"{row['load']} ({row['connections']})", f"{row['ratio']:.2f}", *_speeds(row), _verdict(row)
        )
    table.add_row(f"bare FastAPI ({figures['bare']['connections']})", "1", *_speeds(figures["bare"]))
    console.print(table)
    memory = figures["memory_mb"]
    console.print(
        f"memory of the gateway: {memory['rss']:.0f} MB, {memory['uss']:.0f} of them its own alone "
        f"(target: below {memory['target']:.0f})"
    )
    if not figures["all_hold"]:
        console.print("not every target was reached", style="yellow")


def _speeds(row: dict[str, Any]) -> list[str]:
    latencies = [f"{row[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms")]
    return [f"{row['requests_per_s']:,.0f}", *latencies, f"{row['cpu_us']:,.0f}"]


def _verdict(row: dict[str, Any]) -> Text:
    target = row["target"]
    parts = []
    if "ratio" in target:
        parts.append((f"x{target['ratio']:.1f}", row["holds"]["ratio"]))
    if "p95_ms" in target:
        parts.append((f"p95<{target['p95_ms']:.0f}", row["holds"]["p95_ms"]))
    texts = [Text(text, "green" if holds else "red") for text, holds in parts]
    return Text(" ").join(texts)
