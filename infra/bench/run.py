"""Run the benchmark: bare Celery and the product in turns, on one server, in one run.

The machine's speed drifts, so what counts is the ratio within a run: rounds of both alternate, and each
figure is the median over its rounds.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from celery import Celery

from infra.bench import measure
from infra.bench.baseline import baseline_url, create_baseline_app
from infra.bench.machine import describe_machine
from infra.bench.measure import Round
from infra.bench.texts import keyed_requests
from infra.local.process import ProcessSpec
from infra.local.settings import LocalSettings, child_environment
from infra.local.stack import LocalStack
from infra.local.supervisor import Supervisor
from persona_system.pipeline import load_pipeline
from producers import PersonaRequest
from producers.settings import ClientSettings

CALLERS = (1, 10, 100, 500, 2000)
_SUBMITTERS = (1, 4, 16)  # threads of the baseline; its best throughput is compared with
_BULK_BATCH, _BULK_WINDOW = 1000, 8
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: each figure is the median of *rounds* rounds of *seconds* each."""

    rounds: int
    seconds: float

    @property
    def total_steps(self) -> int:
        """How many loads are run, one at a time."""
        return self.rounds * (len(_SUBMITTERS) + len(CALLERS) + 2)


FULL = Effort(rounds=5, seconds=2.0)
QUICK = Effort(rounds=3, seconds=0.7)

Progress = Callable[[], None]  # called after each load
Load = Callable[[float], Round]


def run_bench(effort: Effort, progress: Progress) -> dict[str, Any]:
    """Return the figures, in the shape that ``ion bench --json`` prints.

    Starts a stack of its own, in a temporary directory, whatever else runs.
    """
    requests = keyed_requests()
    with tempfile.TemporaryDirectory(prefix="ion-bench-") as directory:
        local = LocalSettings(  # without a cache: this is about the queue
            state_dir=Path(directory),
            broker_url=None,
            reply_url=None,
            log_level="WARNING",
            cache=False,
            beat=False,
        )
        with LocalStack(local) as stack, _bare_workers(stack.urls.broker_url) as (bare, bare_rss_mb):
            client = ClientSettings.model_validate(
                {"broker_url": stack.urls.broker_url, "reply_url": stack.urls.reply_url, "cache_url": ""}
            )
            rounds = _alternate(_plan(bare, client, requests), effort, progress)
            rss_mb = {p.name: round((p.rss_bytes or 0) / _MB, 1) for p in stack.processes()}
    rss_mb |= {
        "producer": round(psutil.Process().memory_info().rss / _MB, 1),
        "bare_celery_worker": bare_rss_mb,
    }
    return _report(rounds, rss_mb)


def _plan(bare: Celery, client: ClientSettings, requests: Sequence[PersonaRequest]) -> dict[str, Load]:
    """Return every load by name; each is told for how many seconds to run."""
    pipeline = load_pipeline()
    return {
        **{f"bare {n}": partial(measure.baseline, bare, requests, n) for n in _SUBMITTERS},
        **{f"callers {n}": partial(measure.callers, client, requests, n) for n in CALLERS},
        "bulk": partial(measure.bulk, client, requests, _BULK_BATCH, _BULK_WINDOW),
        "limit": partial(measure.limit, pipeline, requests),
    }


def _alternate(plan: Mapping[str, Load], effort: Effort, progress: Progress) -> dict[str, list[Round]]:
    """Run every load once a round, so that a slow minute hits all of them."""
    done: dict[str, list[Round]] = {name: [] for name in plan}
    for _ in range(effort.rounds):
        for name, load in plan.items():
            done[name].append(load(effort.seconds))
            progress()
    return done


@contextmanager
def _bare_workers(broker_url: str) -> Iterator[tuple[Celery, float]]:
    """Run two bare Celery workers of the solo pool; give the app to submit with, and one's RSS in MB."""
    url = baseline_url(broker_url)
    app = create_baseline_app(url)
    names = [f"bare{index}@ion" for index in (1, 2)]
    specs = [_bare_spec(app, name, url) for name in names]
    supervisor = Supervisor([specs], _ignore, inherited=child_environment())
    try:
        supervisor.start()
        pid = supervisor.status()[0].pid
        yield app, 0.0 if pid is None else round(psutil.Process(pid).memory_info().rss / _MB, 1)
    finally:
        supervisor.stop()
        app.close()


def _bare_spec(app: Celery, name: str, url: str) -> ProcessSpec:
    command = (*(sys.executable, "-m", "celery", "-A", "infra.bench.baseline_entry", "worker"), "--pool=solo")
    return ProcessSpec(
        name=name,
        argv=(*command, "-n", name, "--loglevel=WARNING", "--without-gossip", "--without-mingle"),
        env={"ION_BASELINE_BROKER_URL": url},
        ready=lambda: bool(app.control.ping([name], timeout=0.5)),
    )


def _ignore(name: str, line: str) -> None:
    """Drop a log line."""


def _report(rounds: Mapping[str, Sequence[Round]], rss_mb: Mapping[str, float]) -> dict[str, Any]:
    speed = {name: statistics.median(r.jobs_per_s for r in done) for name, done in rounds.items()}
    bare = max(speed[f"bare {n}"] for n in _SUBMITTERS)

    def percentile(name: str, percent: float) -> float:
        return round(statistics.median(r.percentile_ms(percent) for r in rounds[name]), 3)

    return {
        "machine": describe_machine(),
        "baseline": {
            "jobs_per_s": round(bare, 1),
            "p50_ms": percentile("bare 1", 50),
            "p95_ms": percentile("bare 1", 95),
            "by_submitters": {str(n): round(speed[f"bare {n}"], 1) for n in _SUBMITTERS},
        },
        "callers": [
            {
                "callers": n,
                "jobs_per_s": round(speed[f"callers {n}"], 1),
                "ratio": round(speed[f"callers {n}"] / bare, 2),
                **{f"p{p}_ms": percentile(f"callers {n}", p) for p in (50, 95, 99)},
            }
            for n in CALLERS
        ],
        "bulk": {"jobs_per_s": round(speed["bulk"], 1), "ratio": round(speed["bulk"] / bare, 2)},
        "limit": {"jobs_per_s_one_core": round(speed["limit"], 1)},
        "rss_mb": dict(rss_mb),
    }
