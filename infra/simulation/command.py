"""``ion simulate``: what the result cache would reach, on traffic that can be repeated."""

from pathlib import Path
from typing import Annotated

import typer


def simulate_cache(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Within 20 s, on shorter traces.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other traces.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    plots: Annotated[
        Path | None, typer.Option(help="Draw SVGs into this directory, too (needs matplotlib).")
    ] = None,
) -> None:
    """Simulate the result cache beside Belady's optimum, other policies and the legacy design."""
    from infra.progress import steps  # noqa: PLC0415
    from infra.simulation.run import full, run_simulation  # noqa: PLC0415
    from infra.simulation.run import quick as quick_effort  # noqa: PLC0415
    from infra.simulation.show import show  # noqa: PLC0415
    from producers.cli.report import console, print_json  # noqa: PLC0415

    effort = quick_effort(seed) if quick else full(seed)
    with steps(console(stderr=True)) as step, step("simulating", effort.total_steps) as advance:
        figures = run_simulation(effort, lambda: advance(1))
    if plots is not None:
        from infra.simulation.plots import draw  # noqa: PLC0415

        draw(figures, plots)
    if as_json:
        print_json(figures)
    else:
        show(console(), figures)
