"""T11: the producer of a bulk run is killed again and again, and the run goes on each time."""

import os
import signal
import time

from tests.chaos.scenario import Result, Scenario, Stage
from tests.support.bulk import BulkProcess, each_line_once, environment, write_messages
from tests.support.stack import start_stack

_ROW_BYTES = 2_800  # of an answer, about
_SHARE = 0.08  # of the run between two kills, on average; so ten kills leave a rest to finish


def killed_producers(stage: Stage) -> Result:
    """Kill the producer at random places, and a worker and Valkey on the way; then let it finish."""
    rows, kills = stage.pick(100_000, 10_000), stage.pick(10, 3)
    source, output = stage.directory / "in.jsonl", stage.directory / "out.jsonl"
    write_messages(source, rows)
    rng = stage.rng
    fleet = start_stack(stage.directory / "stack")
    try:
        env = environment({**fleet.urls.environment(), "ION_STATE_DIR": str(fleet.settings.state_dir)})
        run = BulkProcess(env, source, output)
        done = 0
        for number in range(kills):
            done += run.kill_when_grown_by(int(rng.uniform(0.2, 1.8) * _SHARE * rows * _ROW_BYTES))
            victim = {kills // 3: "worker1", 2 * kills // 3: "valkey"}.get(number)
            for process in fleet.processes():
                if process.name == victim and process.pid is not None:
                    os.kill(process.pid, signal.SIGKILL)
            stage.say(f"{done} kills, {output.stat().st_size / 1e6:,.0f} MB written")
        begun = time.monotonic()
        summary = run.finish()
        rest_s = time.monotonic() - begun
        wrong = each_line_once(source, output)
    finally:
        fleet.stop()
    broken = list(wrong[:5])
    if not done:
        broken.append("the run ended before it could be killed")
    if summary["read"] != rows or summary["ok"] + summary["rejected"] != rows:
        broken.append(f"the counts do not add up: {summary}")
    said = (
        f"{rows:,} lines, each with one result, in order"
        if not wrong
        else f"{len(wrong)} faults in the files"
    )
    figures = {"rows": rows, "starts": run.starts, "rest_s": round(rest_s, 1), "summary": summary}
    return Result(done, f"{said}; {run.starts} starts", broken, figures)


SCENARIOS = (
    Scenario(
        "T11",
        "a bulk run's producer is killed at random places and resumed; a worker and Valkey, too, are killed",
        "every line of the input has exactly one result, in order, and the counts agree",
        "exactly once in the output",
        killed_producers,
    ),
)
