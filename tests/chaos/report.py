"""Write docs/guarantees.md, and its raw figures beside it, from a complete run of the suite."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.bench.machine import describe_machine
from tests.chaos.scenario import Scenario, SystemName
from tests.chaos.verdict import Run

DOCS = Path(__file__).parents[2] / "docs"
_HEAD = """# What holds when things break

Written by `make chaos` and by nothing else: every figure is of one run of the fault suite (`tests/chaos/`).
What is promised, and what is not, is in [delivery.md](delivery.md).

- **lost**: an accepted job without an outcome. **twice**: a job with two outcomes. **run again**: a job that
  was begun twice because its worker was lost; allowed, as only one outcome is recorded.
- Who counts is the suite's own process and a Valkey of its own; no fault touches either.
- *Bare Celery* runs the same script with Celery's own Redis transport, late acknowledgement, and a visibility
  timeout of 5 s with a sweep a second (by default an hour, and 100 s). Its outcome is an effect that its task
  notes, so **twice** there is an effect that happened twice.
"""


def write_report(runs: Sequence[Run], seed: int, directory: Path = DOCS) -> None:
    """Write the table and the figures of a complete run."""
    when = datetime.now(UTC)
    machine = describe_machine()
    text = "\n".join([_HEAD, _about(runs, seed, when, machine), "", *_table(runs), "", *_failures(runs)])
    (directory / "guarantees.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    raw = {
        "at": when.isoformat(timespec="seconds"),
        "seed": seed,
        "machine": machine,
        "runs": [_raw(run) for run in runs],
    }
    path = directory / "guarantees.json"
    path.write_text(json.dumps(raw, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _about(runs: Sequence[Run], seed: int, when: datetime, machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    took = sum(run.took_s for run in runs) / 60
    return (
        f"Run on {when:%Y-%m-%d at %H:%M} UTC in {took:.0f} minutes with seed {seed}, on "
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gb']:g} GB, "
        f"{machine['system']}, Python {machine['python']}; {versions}."
    )


def _table(runs: Sequence[Run]) -> Iterable[str]:
    yield "| | fault | what must hold | measured | on RabbitMQ | bare Celery on Redis | how often |"
    yield "|---|---|---|---|---|---|---|"
    for scenario in dict.fromkeys(run.scenario for run in runs):
        own = {run.system: run for run in runs if run.scenario is scenario}
        cells = [
            scenario.id,
            scenario.fault,
            f"{scenario.holds}; {scenario.bound}",
            *(_cell(own.get(system)) for system in _SYSTEMS),
            _often(own.values(), scenario),
        ]
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


_SYSTEMS: tuple[SystemName, ...] = ("ours", "rabbitmq", "stock")


def _cell(run: Run | None) -> str:
    if run is None:
        return "-"
    if run.result is None:
        return f"not run: {run.why}"
    if run.system == "stock":
        return run.result.said
    return f"{'**does not hold**' if run.failed else 'holds'}: {run.result.said}"


def _often(runs: Iterable[Run], scenario: Scenario) -> str:
    counts = {run.system: run.result.faults for run in runs if run.result is not None}
    return " / ".join(f"{counts[system]:,}" for system in scenario.systems if system in counts) or "-"


def _failures(runs: Sequence[Run]) -> Iterable[str]:
    failed = [run for run in runs if run.failed]
    if not failed:
        yield "Everything that is promised held in this run."
        return
    yield "## What did not hold in this run"
    yield ""
    for run in failed:
        for promise in [run.why] if run.result is None else run.result.broken:
            yield f"- {run.scenario.id}, {run.system}: {promise}"


def _raw(run: Run) -> dict[str, Any]:
    result = run.result
    return {
        "id": run.scenario.id,
        "system": run.system,
        "took_s": round(run.took_s, 1),
        "not_run": run.why,
        "faults": result.faults if result else 0,
        "said": result.said if result else "",
        "broken": list(result.broken) if result else [],
        "figures": result.figures if result else {},
    }
