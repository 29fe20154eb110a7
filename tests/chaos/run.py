"""Run the fault suite: ``make chaos``, or ``python -m tests.chaos.run --only T1,T5 --quick``.

A complete, full run writes docs/guarantees.md, whatever the results; others only show what they measured.
Exit code 1: some promise did not hold.
"""

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.chaos.catalogue import SCENARIOS
from tests.chaos.report import write_report
from tests.chaos.scenario import NotHere, Result, Scenario, Stage, SystemName
from tests.chaos.verdict import Run

SEED = 20_261_121


def run_one(scenario: Scenario, system: SystemName, *, seed: int = SEED, full: bool) -> Run:
    """Run *scenario* on *system*; a scenario that breaks down itself counts as a promise not kept."""
    begun = time.monotonic()
    label = f"{scenario.id:<4} {system:<9}"

    def say(text: str) -> None:
        print(f"{label} {time.monotonic() - begun:5.0f} s  {text}", flush=True)

    say(scenario.fault)
    result, why = None, ""
    with tempfile.TemporaryDirectory(prefix="ion-chaos", ignore_cleanup_errors=True) as directory:
        try:
            result = scenario.run(Stage(system, seed, full, Path(directory), say))
        except NotHere as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - one scenario's failure must not hide the others' results
            traceback.print_exc()
            result = Result(0, "did not finish", [f"it broke down: {type(error).__name__}: {error}"])
    run = Run(scenario, system, result, why, time.monotonic() - begun)
    say(why or f"{'FAILED' if run.failed else 'done'}: {run.result.said if run.result else ''}")
    for promise in run.result.broken if run.result else ():
        say(f"  {'not held' if run.failed else 'stock'}: {promise}")
    return run


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.chaos.run", description=__doc__)
    parser.add_argument("--only", default="", help="scenarios, such as T1,T5; default: all")
    parser.add_argument("--system", default="", help="ours, rabbitmq or stock; default: all that apply")
    parser.add_argument("--quick", action="store_true", help="as few faults as the tests' subset has")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    only = {name for name in options.only.split(",") if name}
    runs = [
        run_one(scenario, system, seed=options.seed, full=not options.quick)
        for scenario in SCENARIOS
        if not only or scenario.id in only
        for system in scenario.systems
        if not options.system or system == options.system
    ]
    if not (only or options.system or options.quick):
        write_report(runs, options.seed)
    return int(any(run.failed for run in runs))


if __name__ == "__main__":
    sys.exit(main())
