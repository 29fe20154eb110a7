"""``ion bench-cache``: what the cache costs and what it gains, on this machine, in one run."""

import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.bench import cache_fleet, cache_micro, cache_processes
from infra.bench.machine import describe_machine
from infra.local.commands import cache_spec
from infra.local.settings import LocalSettings, child_environment
from infra.local.supervisor import Supervisor

Progress = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: rounds of the fleets' loads and seconds of each, rounds among processes."""

    rounds: int
    seconds: float
    process_rounds: int
    stampede: int = 50  # processes

    @property
    def total_steps(self) -> int:
        """How many steps are told of."""
        return 3 + self.rounds * cache_fleet.LOADS


FULL = Effort(rounds=7, seconds=1.5, process_rounds=300)
QUICK = Effort(rounds=3, seconds=0.5, process_rounds=60)


def run_bench(effort: Effort, progress: Progress) -> dict[str, Any]:
    """Return the figures, in the shape that ``ion bench-cache --json`` prints.

    Starts servers and fleets of its own, in temporary directories, whatever else runs.
    """
    operations = cache_micro.operations()
    progress()
    with _cache_server() as url:
        invalidation = cache_processes.invalidation(url, readers=4, rounds=effort.process_rounds)
        progress()
        stampede = cache_processes.stampede(url, effort.stampede, rounds=max(10, effort.process_rounds // 10))
        progress()
    return {
        "machine": describe_machine(),
        "operations": operations,
        "invalidation": invalidation,
        "stampede": stampede,
        "batch_path": cache_fleet.batch_path(effort.rounds, effort.seconds, progress),
    }


@contextmanager
def _cache_server() -> Any:
    with tempfile.TemporaryDirectory(prefix="ion-bench-") as directory:
        (Path(directory) / "run").mkdir()
        socket = Path(directory) / "cache.sock"
        settings = LocalSettings(state_dir=Path(directory))
        supervisor = Supervisor([[cache_spec(settings, socket, {})]], _ignore, inherited=child_environment())
        try:
            supervisor.start()
            yield f"unix://{socket}"
        finally:
            supervisor.stop()


def _ignore(name: str, line: str) -> None:
    """Drop a log line."""
