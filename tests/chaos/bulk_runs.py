"""T11: all that takes part in a bulk run is killed again and again, and the run goes on each time."""

import os
import random
import signal
import threading
import time
from pathlib import Path

from infra.local.stack import LocalStack
from tests.chaos.scenario import Result, Scenario, Stage
from tests.support.bulk import BulkProcess, each_line_once, environment, write_messages
from tests.support.stack import start_stack

_ROW_BYTES = 2_800  # of an answer, about
_SHARE = 0.08  # of the run between two kills, on average; so ten kills leave a rest to finish
_VICTIMS = ("worker1", "worker2", "valkey")


def killed_runs(stage: Stage) -> Result:
    """Kill the producer at random places, workers and Valkey at random moments; then let it finish."""
    rows, kills = stage.pick(1_000_000, 10_000), stage.pick(10, 3)
    source, output = stage.directory / "in.jsonl", stage.directory / "out.jsonl"
    write_messages(source, rows)
    rng = stage.rng
    fleet = start_stack(stage.directory / "stack", workers=2)
    ended = threading.Event()
    others: list[str] = []
    killer = threading.Thread(target=_kill_others, args=(fleet, rng.random(), stage, ended, others))
    try:
        env = environment({**fleet.urls.environment(), "ION_STATE_DIR": str(fleet.settings.state_dir)})
        run = BulkProcess(env, source, output, *stage.pick(("--batch", "500"), ("--batch", "200")))
        killer.start()
        done = 0
        for _ in range(kills):
            done += run.kill_when_grown_by(int(rng.uniform(0.2, 1.8) * _SHARE * rows * _ROW_BYTES))
            stage.say(f"{done} kills of the producer, {len(others)} of others, {_mb(output)} MB written")
        begun = time.monotonic()
        summary = run.finish()
        rest_s = time.monotonic() - begun
        ended.set()
        wrong = each_line_once(source, output)
    finally:
        ended.set()
        if killer.ident is not None:
            killer.join()
        fleet.stop()
    broken = list(wrong[:5])
    if not done:
        broken.append("the run ended before it could be killed")
    if summary["read"] != rows or summary["ok"] + summary["rejected"] != rows:
        broken.append(f"the counts do not add up: {summary}")
    killed = ", ".join(f"{others.count(name)} of {name}" for name in _VICTIMS)
    said = f"{rows:,} lines, each with one result, in order" if not wrong else f"{len(wrong)} kinds of faults"
    figures = {
        "rows": rows,
        "starts": run.starts,
        "others": others,
        "rest_s": round(rest_s, 1),
        "summary": summary,
    }
    return Result(done + len(others), f"{said}; kills: {done} of the producer, {killed}", broken, figures)


def _kill_others(
    fleet: LocalStack, seed: float, stage: Stage, ended: threading.Event, killed: list[str]
) -> None:
    """Kill a worker or Valkey at random moments, in turn, until the run ends."""
    rng = random.Random(seed)
    while not ended.wait(rng.uniform(*stage.pick((4.0, 10.0), (2.0, 5.0)))):
        name = _VICTIMS[len(killed) % len(_VICTIMS)]
        for process in fleet.processes():
            if process.name == name and process.pid is not None:
                os.kill(process.pid, signal.SIGKILL)
                killed.append(name)


def _mb(file: Path) -> str:
    return f"{file.stat().st_size / 1e6:,.0f}" if file.exists() else "0"


SCENARIOS = (
    Scenario(
        "T11",
        "a bulk run's producer is killed at random places and resumed; workers and Valkey are killed as well",
        "every line of the input has exactly one result, in order, and the counts agree",
        "exactly once in the output",
        killed_runs,
    ),
)
