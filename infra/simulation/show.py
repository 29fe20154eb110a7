"""The simulation's figures as tables."""

from typing import Any

from rich.console import Console
from rich.table import Table

from infra.simulation.policies import POLICIES


def show(console: Console, figures: dict[str, Any]) -> None:
    """Print *figures*, as ``run_simulation`` returns them."""
    console.print(
        f"seed {figures['seed']}; {figures['requests']:,} requests over one cache, "
        f"{figures['fleet_requests']:,} over a fleet",
        style="dim",
    )
    for size, result in figures["one_cache"].items():
        console.print(_one_cache(int(size), result))
    console.print(_fleet(figures["fleet"]))
    console.print(_stale(figures["fleet"]["stale_by_seconds_between_invalidations"]))
    for line in _scenes(figures["scenes"]):
        console.print(line)


def _one_cache(size: int, result: dict[str, Any]) -> Table:
    table = _table(f"one cache of {size:,}: share of the optimum's hits", "trace", "optimum", *POLICIES)
    for family, row in result["families"].items():
        best = max(row["of_optimum"].values())
        shares = [_best(share, best) for share in row["of_optimum"].values()]
        table.add_row(family, f"{row['optimum']:.3f}", *shares)
    means = result["mean_of_optimum"]
    best = max(means.values())
    table.add_row("mean", "", *(_best(share, best) for share in means.values()), style="bold")
    return table


def _fleet(fleet: dict[str, Any]) -> Table:
    table = _table(
        "a fleet on base: share of all requests",
        *("design", "workers", "local", "store", "combined", "computed", "refreshed"),
    )
    for name, by_workers in fleet["rates"].items():
        for workers, row in by_workers.items():
            rates = [f"{row[tier]:.4f}" for tier in ("local", "shared", "combined")]
            table.add_row(name, workers, *rates, f"{row['computed']:,}", f"{row['refreshed']:,}")
            for endpoint, part in row["endpoints"].items():
                cells = (f"{part['local']:.4f}", "", f"{part['combined']:.4f}", "", "")
                table.add_row(f"  of {endpoint}: {part['requests']:,}", "", *cells, style="dim")
    return table


def _stale(stale: dict[str, Any]) -> Table:
    table = _table(
        "stale answers, one tag in fifty voided regularly", "design", "every s", "stale", "share", "local"
    )
    for name, by_s in stale.items():
        for every_s, row in by_s.items():
            cells = (f"{row['stale']:,}", f"{row['share']:.2%}", f"{row['local']:.4f}")
            table.add_row(name, every_s, *cells)
    return table


def _scenes(scenes: dict[str, Any]) -> list[str]:
    lines = [
        f"bulk scan, {name}: everybody else's local hit rate {row['without']:.4f} -> {row['with']:.4f}"
        for name, row in scenes["scan"].items()
    ]
    restarted = scenes["restart"]
    lines.append(
        f"restarted worker, first 300 look-ups: {restarted['cold']:.4f} cold, "
        f"{restarted['warm']:.4f} warmed, {restarted['steady']:.4f} if it had gone on"
    )
    for family, row in scenes["prefetch"].items():
        precision = "-" if row["precision"] is None else f"{row['precision']:.3f}"
        lines.append(
            f"prefetching on {family}: local {row['local_without']:.4f} -> {row['local_with']:.4f}, "
            f"precision {precision} of {row['prefetched']:,}, extra work {row['extra_work']:.3%}"
        )
    return lines


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _best(share: float, best: float) -> str:
    return f"[green]{share:.4f}[/green]" if share == best else f"{share:.4f}"
