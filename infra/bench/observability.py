"""``ion bench-observability``: what it costs the fleet that operators see everything, in one run.

Four fleets of one machine take turns, so that a slow minute hits all of them.  Each has what the one before
has, and more: nothing; metrics and events, with a subscriber and the periodic collection; Flower, to which
workers send task events; Sentry at its default sampling, at an address that takes everything.

What counts are the ratios within a round, of which the median is told.  Units: jobs a second, milliseconds.
"""

import socket
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kombu import Connection, Exchange, Queue

import celeryconfig
from infra.bench import measure
from infra.bench.machine import describe_machine
from infra.bench.measure import Round
from infra.bench.observability_push import push_times
from infra.bench.observability_sink import sink
from infra.bench.texts import keyed_requests
from infra.flower.settings import FlowerSettings
from infra.local.commands import worker_command
from infra.local.flower import flower_spec
from infra.local.settings import LocalSettings, child_environment
from infra.local.stack import LocalStack
from infra.local.supervisor import Supervisor
from producers import PersonaRequest
from producers.settings import ClientSettings
from workers.monitoring.events import EXCHANGE

NOTHING, MEASURED, FLOWER, SENTRY = FLEETS = ("nothing", "metrics and events", "and Flower", "and Sentry")
MOST_LOST, MOST_ADDED_MS, MOST_PUSH_MS = 0.10, 1.0, 5.0  # what is aimed at

_BULK_BATCH, _BULK_WINDOW = 1000, 8
_LOADS = ("batches", "one caller", "100 callers")


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: each load for *seconds* on each fleet, in each of *rounds*."""

    rounds: int
    seconds: float
    pushes: int

    @property
    def total_steps(self) -> int:
        """How many steps are told of."""
        return 1 + len(FLEETS) + self.rounds * len(FLEETS) * len(_LOADS)


FULL = Effort(rounds=9, seconds=2.0, pushes=300)
QUICK = Effort(rounds=3, seconds=0.7, pushes=100)

Progress = Callable[[], None]
Load = Callable[[float], Round]


def run_bench(effort: Effort, progress: Progress) -> dict[str, Any]:
    """Return the figures, in the shape that ``ion bench-observability --json`` prints.

    Starts fleets of its own, in temporary directories, whatever else runs.
    """
    pushes = push_times(effort.pushes)
    progress()
    requests = keyed_requests()
    rounds: dict[tuple[str, str], list[Round]] = {}
    with ExitStack() as closing:
        plans: dict[str, dict[str, Load]] = {}
        for name in FLEETS:
            plans[name] = _plan(closing.enter_context(_fleet(name)), requests)
            progress()
        for number in range(effort.rounds):
            for load in _LOADS:
                for name in _turned(number):
                    rounds.setdefault((name, load), []).append(plans[name][load](effort.seconds))
                    progress()
    return {"machine": describe_machine(), "push": pushes, **_report(rounds)}


def _turned(number: int) -> Sequence[str]:
    """Return the fleets, another one first in each round: who goes first finds other caches warm."""
    turn = number % len(FLEETS)
    return (*FLEETS[turn:], *FLEETS[:turn])


def _plan(client: ClientSettings, requests: Sequence[PersonaRequest]) -> dict[str, Load]:
    loads: tuple[Load, ...] = (
        partial(measure.bulk, client, requests, _BULK_BATCH, _BULK_WINDOW),
        partial(measure.callers, client, requests, 1),
        partial(measure.callers, client, requests, 100),
    )
    return dict(zip(_LOADS, loads, strict=True))


@contextmanager
def _fleet(name: str) -> Iterator[ClientSettings]:
    """Run the fleet *name*; give the settings of a client of it."""
    watched = name != NOTHING
    with ExitStack() as closing:
        directory = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="ion-bench-")))
        switches = {"ION_MONITORING": str(watched), "ION_TRAIL": str(watched), "ION_SENTRY_DSN": ""}
        if name == SENTRY:
            switches["ION_SENTRY_DSN"] = closing.enter_context(sink())
        local = LocalSettings(  # without a cache: this is about the queue
            state_dir=directory,
            broker_url=None,
            reply_url=None,
            log_level="WARNING",
            cache=False,
            beat=watched,
            flower=False,  # in its place below, at a port of its own
        )

        def switched(settings: LocalSettings, index: int) -> tuple[str, ...]:
            words = [f"{variable}={value}" for variable, value in switches.items()]
            return ("env", *words, *worker_command(settings, index))

        stack = closing.enter_context(LocalStack(local, worker_command=switched))
        urls = stack.urls
        if watched:
            closing.enter_context(_subscriber(urls.broker_url))
        if name in (FLOWER, SENTRY):
            closing.enter_context(_flower(local, urls.environment()))
        yield ClientSettings.model_validate(
            {
                "broker_url": urls.broker_url,
                "reply_url": urls.reply_url,
                "cache_url": "",
                "monitoring": watched,
            }
        )


@contextmanager
def _subscriber(broker_url: str) -> Iterator[None]:
    """Keep a queue that every event goes to; nobody reads it, which costs the fleet as much as if one did."""
    settings: dict[str, Any] = celeryconfig.broker_settings(broker_url)
    with Connection(
        settings["broker_url"], transport_options=settings["broker_transport_options"]
    ) as connection:
        Queue("bench", Exchange(EXCHANGE, type="topic"), "#")(connection.channel()).declare()
        yield


@contextmanager
def _flower(local: LocalSettings, env: dict[str, str]) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    settings = FlowerSettings(port=port, basic_auth=None)
    ours = {**env, "ION_STATE_DIR": str(local.state_dir), "ION_FLOWER_PORT": str(port)}
    spec = flower_spec(settings, local, ours)
    supervisor = Supervisor([[spec]], _ignore, inherited=child_environment())
    try:
        supervisor.start()
        yield
    finally:
        supervisor.stop()


def _ignore(name: str, line: str) -> None:
    """Drop a log line."""


def _report(rounds: dict[tuple[str, str], list[Round]]) -> dict[str, Any]:
    return {
        "fleets": {
            name: {
                load: {
                    "jobs_per_s": round(statistics.median(r.jobs_per_s for r in rounds[name, load]), 1),
                    **_latencies(rounds[name, load]),
                }
                for load in _LOADS
            }
            for name in FLEETS
        },
        "ratios": {
            name: {load: _ratio(rounds[name, load], rounds[NOTHING, load]) for load in _LOADS}
            for name in FLEETS[1:]
        },
        "p95_added_ms": {
            name: {load: _added(rounds[name, load], rounds[NOTHING, load]) for load in _LOADS[1:]}
            for name in FLEETS[1:]
        },
        "aims": {"ratio": 1 - MOST_LOST, "p95_added_ms": MOST_ADDED_MS, "push_ms": MOST_PUSH_MS},
    }


def _latencies(done: Sequence[Round]) -> dict[str, float]:
    if not done[0].latencies_ms:
        return {}
    return {f"p{p}_ms": round(statistics.median(r.percentile_ms(p) for r in done), 3) for p in (50, 95)}


def _ratio(watched: Sequence[Round], bare: Sequence[Round]) -> float:
    """Return the median of the ratios of throughput within each round."""
    return round(
        statistics.median(a.jobs_per_s / b.jobs_per_s for a, b in zip(watched, bare, strict=True)), 3
    )


def _added(watched: Sequence[Round], bare: Sequence[Round]) -> float:
    """Return the median of what each round's p95 is longer by."""
    pairs = zip(watched, bare, strict=True)
    return round(statistics.median(a.percentile_ms(95) - b.percentile_ms(95) for a, b in pairs), 3)
