"""The cache benchmark's figures as tables."""

from typing import Any

from rich.console import Console
from rich.table import Table

_LOADS = (
    ("nothing cached, key from the text", "unique_off", "unique_on", "nothing_cached"),
    ("nothing cached, key given", "unique_with_key_off", "unique_with_key_on", "nothing_cached_with_key"),
    ("all cached in workers, from the text", "again_off", "again_workers", "all_cached_in_workers"),
    ("all cached, key from the text", "again_off", "again_on", "all_cached"),
    (
        "all cached in workers, key given",
        "again_with_key_off",
        "again_with_key_workers",
        "all_cached_in_workers_with_key",
    ),
    ("all cached, key given", "again_with_key_off", "again_with_key_on", "all_cached_with_key"),
)


def show(console: Console, figures: dict[str, Any]) -> None:
    """Print *figures*, as ``infra.bench.cache.run_bench`` returns them."""
    machine, path = figures["machine"], figures["batch_path"]
    console.print(
        f"{machine['cores']} cores, {machine['processor']}, Python {machine['python']}", style="dim"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("the batch path, 500 jobs a message")
    for column in ("jobs/s without", "jobs/s with", "ratio"):
        table.add_column(column, justify="right")
    for title, without, with_, ratio in _LOADS:
        table.add_row(
            title,
            f"{path['jobs_per_s'][without]:,}",
            f"{path['jobs_per_s'][with_]:,}",
            f"{path['ratios'][ratio]:.2f}",
        )
    console.print(table)
    console.print(_latencies(figures))
    operations = figures["operations"]
    console.print(
        f"in this process: hit {operations['local_hit_ns']:.0f} ns, "
        f"miss {operations['local_miss_ns']:.0f} ns, "
        f"put and evict {operations['local_put_evict_ns']:,.0f} ns, key {operations['request_id_ns']:.0f} ns"
    )
    stampede = figures["stampede"]
    console.print(
        f"{stampede['processes']} processes on one cold key of {stampede['computing_ms']:.0f} ms: computed "
        f"{stampede['computations_per_round']['mean']:g} times a round, at most "
        f"{stampede['computations_per_round']['max']}"
    )


def _latencies(figures: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("how long")
    for column in ("p50", "p95", "p99"):
        table.add_column(column, justify="right")
    hit = figures["batch_path"]["producer_hit"]
    table.add_row("a hit in the client's process", *(f"{hit[f'p{p}_us']:.0f} us" for p in (50, 95, 99)))
    seen = figures["invalidation"]
    table.add_row(
        f"an invalidation, until {seen['readers']} others serve it no more",
        *(f"{seen[f'p{p}_ms']:.2f} ms" for p in (50, 95, 99)),
    )
    wait = figures["stampede"]["wait"]
    table.add_row("a stampede's waits", *(f"{wait[f'p{p}_ms']:.1f} ms" for p in (50, 95, 99)))
    return table
