"""``ion bench-http``: the gateway beside a bare FastAPI server, on this machine, in one run.

Both are one process each, under the same load, in turns: the machine's speed drifts, so what counts is the
ratio within a round.
"""

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.bench.http_cases import MEMORY_MB, NEW_BODIES, PHASES, Case
from infra.bench.http_load import Answers, Load, Wrk
from infra.bench.http_servers import Server, bare, fleet, gateway, new_api_key
from infra.bench.machine import describe_machine

Progress = Callable[[], None]

BARE = "bare FastAPI"
_WARM_UPS, _WARM_UP_S = 3, 1.0  # until the gateway has all known texts in its own tier


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: each figure is the median of *rounds* rounds of *seconds* each."""

    rounds: int
    seconds: float

    @property
    def total_steps(self) -> int:
        """How many rounds are told of."""
        return self.rounds * sum(len(phase) + 1 for phase in PHASES)


FULL = Effort(rounds=5, seconds=3.0)
QUICK = Effort(rounds=3, seconds=1.0)


@dataclass(frozen=True, slots=True)
class Round:
    """What a load got, and what it cost the server's process in microseconds of CPU for each answer."""

    answers: Answers
    cpu_us: float


def run_bench(effort: Effort, progress: Progress) -> dict[str, Any]:
    """Return the figures, in the shape that ``ion bench-http --json`` prints.

    Starts a stack and servers of its own, in temporary directories, whatever else runs.
    """
    with ExitStack() as open_:
        directory = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="ion-bench-")))
        environment = open_.enter_context(fleet())
        key = new_api_key(environment)
        ours = open_.enter_context(gateway(environment))
        plain = open_.enter_context(bare())
        wrk = Wrk(directory)
        rows: list[dict[str, Any]] = []
        beside: list[Round] = []
        for phase in PHASES:
            loads = {case.name: case.load(ours, key) for case in phase}
            loads[BARE] = Load(f"{plain.url}/process", 100, NEW_BODIES())
            servers = {name: plain if name == BARE else ours for name in loads}
            done = _alternate(wrk, loads, servers, effort, progress)
            rows += [row_of(case, done[case.name], done[BARE]) for case in phase]
            beside += done[BARE]
        memory = ours.memory_mb()
    held = [held for row in rows for held in row["holds"].values()]
    return {
        "machine": describe_machine(),
        "bare": {"connections": 100, **_medians(beside)},
        "loads": rows,
        "memory_mb": {**memory, "target": MEMORY_MB, "holds": memory["rss"] < MEMORY_MB},
        "all_hold": all(held) and memory["rss"] < MEMORY_MB,
    }


def _alternate(
    wrk: Wrk, loads: Mapping[str, Load], servers: Mapping[str, Server], effort: Effort, progress: Progress
) -> dict[str, list[Round]]:
    """Run every load once a round, so that a slow minute hits all of them."""
    for load in loads.values():
        for _ in range(_WARM_UPS):
            wrk.run(load, _WARM_UP_S)
    done: dict[str, list[Round]] = {name: [] for name in loads}
    for _ in range(effort.rounds):
        for name, load in loads.items():
            before_s = servers[name].cpu_s()
            answers = wrk.run(load, effort.seconds)
            spent_s = servers[name].cpu_s() - before_s
            done[name].append(Round(answers, spent_s / answers.count * 1e6))
            progress()
    return done


def row_of(case: Case, rounds: Sequence[Round], beside: Sequence[Round]) -> dict[str, Any]:
    """Return the figures of *case*, with its ratio to the rounds of the bare server *beside*."""
    figures = _medians(rounds)
    ratio = statistics.median(a.answers.per_s / b.answers.per_s for a, b in zip(rounds, beside, strict=True))
    target = {name: value for name, value in asdict(case.target).items() if value is not None}
    holds = {}
    if case.target.ratio is not None:
        holds["ratio"] = ratio >= case.target.ratio
    if case.target.p95_ms is not None:
        holds["p95_ms"] = figures["p95_ms"] <= case.target.p95_ms
    return {
        "load": case.name,
        "connections": case.connections,
        "ratio": round(ratio, 2),
        **figures,
        "target": target,
        "holds": holds,
    }


def _medians(rounds: Sequence[Round]) -> dict[str, float]:
    def median(figure: Callable[[Round], float], digits: int) -> float:
        return round(statistics.median(figure(one) for one in rounds), digits)

    return {
        "requests_per_s": median(lambda one: one.answers.per_s, 1),
        "p50_ms": median(lambda one: one.answers.p50_ms, 2),
        "p95_ms": median(lambda one: one.answers.p95_ms, 2),
        "p99_ms": median(lambda one: one.answers.p99_ms, 2),
        "cpu_us": median(lambda one: one.cpu_us, 0),
    }
