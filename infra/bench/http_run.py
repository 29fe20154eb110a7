"""``ion bench-http``: the gateway beside a bare FastAPI server, on this machine, in one run.

Both are one process each, under the same load, in turns: the machine's speed drifts, so what counts is the
ratio within a round.  Texts that never repeat go all the way through the queue and two workers; known ones
are answered from the cache.
"""

import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from infra.bench.http_load import NUMBER, Answers, Load, Wrk
from infra.bench.http_servers import Server, bare, fleet, gateway, new_api_key
from infra.bench.machine import describe_machine
from infra.demo.messages import load_messages
from persona_system.vocabulary import ALL_KEYS

Progress = Callable[[], None]

BARE = "bare FastAPI"
_KNOWN = 1_000  # texts that are asked again
_BULK = 100  # messages in one bulk request
_WARM_UP_S = 1.0
_FILLING = 3  # rounds of known texts, until this process has their answers
MEMORY_MB = 150.0


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
class Target:
    """What a load has to reach: *ratio* times the bare server's answers a second, *p95_ms* at most."""

    ratio: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One load on the gateway; no *bodies*: it is a GET.  *known*: its caller shows an API key."""

    name: str
    path: str
    connections: int
    target: Target = Target()
    bodies: Callable[[], Sequence[str]] = tuple
    known: bool = True

    def load(self, server: Server, key: str) -> Load:
        """Return what is sent to *server*."""
        headers = (f"X-API-Key: {key}",) if self.known else ()
        return Load(f"{server.url}{self.path}", self.connections, self.bodies(), headers)


def _bodies(*, given_key: bool, again: bool = False) -> list[str]:
    texts = [message.text for message in load_messages()]
    bodies = []
    for text, key in zip(texts[:_KNOWN] if again else texts, cycle(ALL_KEYS), strict=False):
        body: dict[str, Any] = {"user_input": text if again else f"{text} {NUMBER}"}
        if given_key:
            body["resonance_key"] = asdict(key)
        bodies.append(json.dumps(body, ensure_ascii=False))
    return bodies


def _bulk_bodies() -> list[str]:
    bodies = _bodies(given_key=False)
    return [
        f'{{"requests":[{",".join(bodies[start : start + _BULK])}]}}'
        for start in range(0, len(bodies) - _BULK + 1, _BULK)
    ]


_NEW = partial(_bodies, given_key=True)
_AGAIN = partial(_bodies, given_key=True, again=True)
_PROCESS = "/api/v2/process"
_ANSWERED_HERE = Target(p95_ms=5.0)

# a cache that does not pay gets out of the way, and takes some time to pay again: one phase for each
PHASES: tuple[tuple[Case, ...], ...] = (
    (
        Case("process, cached", _PROCESS, 100, Target(1.0, 15.0), _AGAIN),
        Case("the same without a key", _PROCESS, 100, Target(1.0, 15.0), _AGAIN, known=False),
        Case("health", "/api/v2/health", 10, _ANSWERED_HERE),
        Case("personas", "/api/v2/personas", 10, _ANSWERED_HERE),
    ),
    (
        Case("process, key given", _PROCESS, 100, Target(0.5, 40.0), _NEW),
        Case("process, from the text", _PROCESS, 100, Target(0.5, 40.0), partial(_bodies, given_key=False)),
        Case("process, a lone caller", _PROCESS, 1, Target(), _NEW),
        Case("bulk-process of 100", "/api/v2/bulk-process", 1, Target(p95_ms=60.0), _bulk_bodies),
    ),
)


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
        rows = []
        for phase in PHASES:
            loads = {case.name: case.load(ours, key) for case in phase}
            loads[BARE] = Load(f"{plain.url}/process", 100, _NEW())
            servers = {name: plain if name == BARE else ours for name in loads}
            done = _alternate(wrk, loads, servers, effort, progress)
            rows += [_row(case, done[case.name], done[BARE]) for case in phase]
            beside = done[BARE]
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
        for _ in range(_FILLING):
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


def _row(case: Case, rounds: Sequence[Round], beside: Sequence[Round]) -> dict[str, Any]:
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
