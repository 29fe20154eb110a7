"""T7, T8: jobs that end or hang their worker, among jobs that do no harm."""

import threading
import time
from collections.abc import Sequence

from tests.chaos.arena import Arena, arena
from tests.chaos.scenario import Result, Scenario, Stage, broken_account
from tests.support.wait import wait_until

_RUNS = 3  # at most, of one poison
_LIMIT_S = 4  # the hard time limit here; 20 s in service
_GIVE_UP_S = 240.0
_STOCK_WATCH_S = 25.0
_NEIGHBOURS = 39
_REVIVE_S = 0.2

CHILD = ("exit", "segv", "memory", "hang", "spin")
MAIN = ("main",)


class Supervisor:
    """Starts workers again that have ended, as ``ion up`` does, and counts."""

    def __init__(self, ring: Arena) -> None:
        self.restarts = 0
        self._ring, self._ended = ring, threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor of the arena", daemon=True)

    def __enter__(self) -> "Supervisor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_REVIVE_S):
            self.restarts += len(self._ring.fleet.revive())


def poison(stage: Stage, kinds: Sequence[str]) -> Result:
    """Put one job of each kind into a batch of forty, under traffic, one kind after the other."""
    runs: dict[str, int] = {}
    took: dict[str, float] = {}
    endings: dict[str, tuple[str, ...]] = {}
    harmed: list[str] = []
    innocent: list[str] = []
    rng = stage.rng
    settings = {"ION_HARD_LIMIT_S": str(_LIMIT_S)}
    with (
        arena(stage, workers=2, pause_s=0.05, window=400, settings=settings) as ring,
        Supervisor(ring) as boss,
    ):
        ring.open_up()
        for kind in kinds:
            bad = f"{kind}-x"
            good = [f"n-{kind}{number:x}" for number in range(_NEIGHBOURS)]
            batch = [*good]
            batch.insert(rng.randrange(len(batch) + 1), bad)
            begun = time.monotonic()
            for part in [batch] if stage.system != "stock" else [[one] for one in batch]:
                ring.traffic.send(*part)
            _await(ring, stage, bad, good)
            took[kind], runs[kind] = time.monotonic() - begun, ring.witness.runs(bad)
            endings |= {kind: ring.oracle.statuses_of([bad])[bad]}
            innocent.extend(good)
            stage.say(
                f"{kind}: {runs[kind]} runs, ended as {endings[kind] or 'nothing'} in {took[kind]:.0f} s"
            )
        if stage.system == "stock":
            ring.traffic.pause()
            tally = ring.oracle.tally()
        else:
            ring.traffic.settle(60.0)
            tally = ring.oracle.tally()
            harmed = [job for job, ends in ring.oracle.statuses_of(innocent).items() if ends != ("ok",)]
    broken = broken_account(tally)
    if harmed:
        broken.append(f"{len(harmed)} of {len(innocent)} neighbours did not end as ok")
    for kind in kinds:
        expected = ("failed",) if kind == "memory" else ("dead",)
        if endings[kind] != expected:
            broken.append(f"{kind} ended as {endings[kind]}, not {expected}")
        if runs[kind] > _RUNS:
            broken.append(f"{kind} was run {runs[kind]} times")
    if dead := tally.statuses.get("dead", 0) - sum("dead" in ends for ends in endings.values()):
        broken.append(f"{dead} innocent jobs were buried")
    each = ", ".join(f"{kind} {runs[kind]} runs, {'/'.join(endings[kind]) or 'no end'}" for kind in kinds)
    said = f"{each}; {len(innocent) - len(harmed)} of {len(innocent)} neighbours ok"
    if stage.system == "stock":
        said = f"after {_STOCK_WATCH_S:g} s each: {each}"
    figures = {"runs": runs, "took_s": took, "statuses": tally.statuses, "restarts": boss.restarts}
    return Result(len(kinds), said, broken, figures)


def _await(ring: Arena, stage: Stage, bad: str, good: Sequence[str]) -> None:
    """Return when the poison and its neighbours have ended; of bare Celery, after a while."""
    if stage.system == "stock":
        threading.Event().wait(_STOCK_WATCH_S)
        return

    def ended() -> bool:
        return all(ends for ends in ring.oracle.statuses_of([bad, *good]).values())

    wait_until(ended, _GIVE_UP_S, f"{bad} and its neighbours end")


def of_the_job(stage: Stage) -> Result:
    """Poison that harms the process that runs it."""
    kinds = CHILD if stage.full and stage.system == "ours" else ("exit", "memory", "hang")
    return poison(stage, [kind for kind in kinds if stage.system != "stock" or kind in {"exit", "hang"}])


def of_the_main_process(stage: Stage) -> Result:
    """Poison that kills the worker's main process."""
    return poison(stage, MAIN)


SCENARIOS = (
    Scenario(
        "T7",
        "a poisonous job in a batch of 40: `os._exit`, segfault, `MemoryError`, an endless loop, one that "
        "holds Python's lock",
        "it ends as dead (a `MemoryError`: as failed), all its neighbours as ok",
        f"at most {_RUNS} runs (hard limit here {_LIMIT_S} s)",
        of_the_job,
        systems=("ours", "rabbitmq", "stock"),
    ),
    Scenario(
        "T8",
        "a job that kills the worker's main process with `kill -9`, under a supervisor",
        "it ends as dead, all its neighbours as ok",
        f"at most {_RUNS} runs",
        of_the_main_process,
        systems=("ours", "rabbitmq", "stock"),
    ),
)
