"""T1, T2: workers killed in the midst of work, and workers asked to stop."""

import signal
import threading
import time
from dataclasses import dataclass

from tests.chaos.arena import SERVED_S, Arena, arena
from tests.chaos.scenario import Result, Scenario, Stage, account, broken_account, percentile, times
from tests.support.wait import wait_until

RECOVERY_S = 15.0
_SETTLE_S = 30.0  # without any outcome, what is missing is lost; more than any recovery takes
_PAUSE_S = 0.4  # at most, between two kills
_STOP_S = 10.0  # the soft shutdown's 5 s, and 5 s
_CODES = (0, -signal.SIGTERM)  # the latter where it was asked twice, before it could hear the first


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker was killed at *at* in the midst of *job*."""

    at: float
    worker: str
    job: str


def kill_busy_workers(ring: Arena, stage: Stage, kills: int) -> list[Kill]:
    """Kill a worker's whole process group *kills* times, each time one that is in the midst of a job."""
    rng, never = stage.rng, threading.Event()
    done: list[Kill] = []
    while len(done) < kills:
        never.wait(rng.uniform(0, _PAUSE_S))
        wait_until(lambda: _spare(ring) and _busy(ring), SERVED_S, "a worker is busy and others serve")
        busy = _busy(ring)
        if not busy:
            continue
        worker = rng.choice(busy)
        ring.fleet.kill(worker)
        job = ring.witness.working_on(worker)
        if job is not None and ring.oracle.ended_at(job) is None:
            done.append(Kill(time.monotonic(), worker, job))
        ring.witness.forget(worker)
        ring.fleet.start(worker)
        if len(done) % 10 == 0:
            stage.say(f"{len(done)} of {kills} kills, {ring.oracle.endings():,} jobs ended")
    return done


def _spare(ring: Arena) -> bool:
    """Say whether at most one worker is down: the others keep the load up."""
    return sum(map(ring.fleet.ready, ring.fleet.workers)) >= len(ring.fleet.workers) - 1


def _busy(ring: Arena) -> list[str]:
    """Return the workers that serve and have begun a job whose outcome is not out."""
    found = []
    for worker in ring.fleet.workers:
        job = ring.witness.working_on(worker) if ring.fleet.ready(worker) else None
        if job is not None and ring.oracle.ended_at(job) is None:
            found.append(worker)
    return found


def recoveries(ring: Arena, kills: list[Kill]) -> list[float]:
    """Return how long after a kill the job that it interrupted had its outcome.

    Of several kills that one message suffered, the last one counts: each costs a recovery of its own.
    """
    last = {ring.traffic.message_of(kill.job): kill for kill in kills}
    ends = [(kill, ring.oracle.ended_at(kill.job)) for kill in last.values()]
    return [end - kill.at for kill, end in ends if end is not None]


def kill_nine(stage: Stage) -> Result:
    """Kill workers under load; every accepted job still has one outcome."""
    if stage.system != "stock":
        return _kill_nine(stage, prefetch=1)
    careless, careful = _kill_nine(stage, prefetch=4), _kill_nine(stage, prefetch=1)
    return Result(
        careless.faults + careful.faults,
        f"prefetch 4: {careless.said}; prefetch 1: {careful.said}",
        (*careless.broken, *careful.broken),
        {"prefetch 4": careless.figures, "prefetch 1": careful.figures},
    )


def _kill_nine(stage: Stage, prefetch: int) -> Result:
    kills = stage.pick(25 if stage.system == "stock" else 100, 6)
    with arena(stage, workers=4, prefetch=prefetch) as ring:
        ring.open_up()
        begun, before = time.monotonic(), ring.oracle.endings()
        killed = kill_busy_workers(ring, stage, kills)
        rate = (ring.oracle.endings() - before) / (time.monotonic() - begun)
        ring.traffic.settle(_SETTLE_S)
        ring.traffic.linger(1.0)
        tally, took, reruns = ring.oracle.tally(), recoveries(ring, killed), ring.witness.reruns()
    broken = broken_account(tally)
    if took and percentile(took, 0.99) > RECOVERY_S:
        broken.append(f"the 99th percentile of recovery is {percentile(took, 0.99):.1f} s")
    if tally.statuses.get("dead"):
        broken.append(f"{tally.statuses['dead']} innocent jobs were buried")
    figures = {
        "kills": kills,
        "jobs_per_s": round(rate),
        "statuses": tally.statuses,
        "recovery_p50_s": round(percentile(took, 0.5), 2),
        "recovery_p99_s": round(percentile(took, 0.99), 2),
        "unsure": tally.unsure,
        "reruns": reruns,
    }
    said = f"{account(tally, reruns)}; recovered in {times(took)}; {rate:,.0f} jobs/s meanwhile"
    return Result(kills, said, broken, figures)


def stops(stage: Stage) -> Result:
    """Ask busy workers to stop, in each way there is; they end in time, with code 0, and lose nothing."""
    ways = {
        "SIGTERM": (signal.SIGTERM,),
        "SIGQUIT": (signal.SIGQUIT,),
        "SIGTERM twice": (signal.SIGTERM,) * 2,
    }
    if stage.system == "stock":
        ways = {"SIGTERM": (signal.SIGTERM,)}  # it takes half a minute
    rounds = stage.pick(2 if stage.system == "stock" else 10, 1)
    took: dict[str, list[float]] = {}
    codes: list[int | None] = []
    with arena(stage, workers=3) as ring:
        ring.open_up()
        for turn in range(rounds):
            for way, signals in ways.items():
                taken, ended = _stop_one(ring, stage, signals)
                took.setdefault(way, []).extend(taken)
                codes.extend(ended)
            stage.say(f"{turn + 1} of {rounds} rounds of stops, {ring.oracle.endings():,} jobs ended")
        ring.traffic.settle(_SETTLE_S)
        tally, reruns = ring.oracle.tally(), ring.witness.reruns()
    broken = broken_account(tally)
    worst = max(second for seconds in took.values() for second in seconds)
    if worst > _STOP_S:
        broken.append(f"a stop took {worst:.1f} s")
    if strange := [code for code in codes if code not in _CODES]:
        broken.append(f"{len(strange)} of {len(codes)} stops ended with {sorted(set(map(str, strange)))}")
    each = "; ".join(f"{way} {times(seconds)}" for way, seconds in took.items())
    figures = {"stops": len(codes), "statuses": tally.statuses, "reruns": reruns, "worst_s": round(worst, 2)}
    return Result(len(codes), f"{account(tally, reruns)}; {each}", broken, figures)


def _stop_one(
    ring: Arena, stage: Stage, signals: tuple[signal.Signals, ...]
) -> tuple[list[float], list[int | None]]:
    """Stop one busy worker (of bare Celery, which is slow at it: all of them at once), and start it again."""
    wait_until(lambda: _busy(ring), SERVED_S, "some worker is busy")
    busy = _busy(ring) or list(ring.fleet.workers)
    chosen = busy if stage.system == "stock" else [stage.rng.choice(busy)]
    asked = time.monotonic()
    for worker in chosen:
        for what in signals:
            ring.fleet.send(worker, what)
            threading.Event().wait(0.05)
    taken, codes = [], []
    for worker in chosen:
        codes.append(ring.fleet.wait(worker, 60.0))
        taken.append(time.monotonic() - asked)
        ring.fleet.kill(worker)
        ring.witness.forget(worker)
        ring.fleet.start(worker)
    return taken, codes


SCENARIOS = (
    Scenario(
        "T1",
        "`kill -9` of a busy worker's process group, at random, under load",
        "nothing lost, nothing twice, nobody buried",
        f"redelivered and answered within {RECOVERY_S:g} s (p99)",
        kill_nine,
        systems=("ours", "rabbitmq", "stock"),
        quick=True,
    ),
    Scenario(
        "T2",
        "a busy worker is asked to stop: SIGTERM, SIGQUIT, SIGTERM twice",
        "nothing lost, nothing twice, exit code 0 (asked twice: or ended by the signal)",
        f"gone within {_STOP_S:g} s",
        stops,
        systems=("ours", "stock"),
        quick=True,
    ),
)
