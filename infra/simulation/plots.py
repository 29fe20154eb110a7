"""The simulation's figures as SVGs, for the documentation; needs matplotlib, which users do not."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "ion"  # the same figures give the same file
mpl.rcParams["svg.fonttype"] = "none"

import matplotlib.pyplot as plt  # noqa: E402  the backend is chosen first

_COLOURS = {"product": "#0b7285", "S3-FIFO": "#868e96", "LRU": "#dee2e6"}


def draw(figures: dict[str, Any], directory: Path) -> list[Path]:
    """Write the plots of *figures* into *directory*; return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    return [_policies(figures, directory), _tiers(figures, directory)]


def _policies(figures: dict[str, Any], directory: Path) -> Path:
    """Draw each policy's share of the optimum, family by family."""
    families = figures["one_cache"][str(figures["size"])]["families"]
    plot, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    width = 0.8 / len(_COLOURS)
    for number, (name, colour) in enumerate(_COLOURS.items()):
        places = [place + (number - 1) * width for place in range(len(families))]
        shares = [row["of_optimum"][name] for row in families.values()]
        axes.bar(places, shares, width, label=name, color=colour)
    axes.set_xticks(range(len(families)), [f"{name}\n{row['optimum']:.2f}" for name, row in families.items()])
    axes.set_ylim(0.5, 1.0)
    axes.set_ylabel("hits / optimum's hits")
    axes.set_xlabel(f"trace, with the optimum's hit rate; one cache of {figures['size']:,} entries")
    return _saved(plot, directory / "cache-policies.svg")


def _tiers(figures: dict[str, Any], directory: Path) -> Path:
    """Draw where a fleet's answers come from."""
    rates = figures["fleet"]["rates"]
    rows = {f"{name}, {workers} workers": row for name, by in rates.items() for workers, row in by.items()}
    plot, axes = plt.subplots(figsize=(9, 2.6), layout="constrained")
    places = range(len(rows))
    local, shared = ([row[tier] for row in rows.values()] for tier in ("local", "shared"))
    axes.barh(places, local, color="#0b7285", label="in the process")
    axes.barh(places, shared, left=local, color="#66d9e8", label="in the store")
    combined = [row["combined"] for row in rows.values()]
    axes.barh(places, [1 - c for c in combined], left=combined, color="#f1f3f5", label="computed")
    axes.set_yticks(places, list(rows))
    axes.invert_yaxis()
    axes.set_xlim(0.5, 1.0)
    axes.set_xlabel("share of all requests, trace base")
    return _saved(plot, directory / "cache-tiers.svg")


def _saved(plot: Any, path: Path) -> Path:
    plot.axes[0].spines[["top", "right"]].set_visible(False)
    plot.legend(loc="outside upper center", ncols=3, frameon=False)
    plot.savefig(path, metadata={"Date": None})
    plt.close(plot)
    return path
