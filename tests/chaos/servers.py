"""T3, T5: the broker's server is killed, stopped or frozen, and comes back with what it had."""

import threading
import time
from collections.abc import Callable
from functools import partial

from tests.chaos.arena import Arena, arena
from tests.chaos.scenario import Result, Scenario, Stage, account, broken_account, percentile, times
from tests.support.wait import wait_until

_VALKEY_S, _RABBIT_S = 3.0, 20.0  # from up again to the first outcome
_FROZEN_S, _FREEZE_S = 12.0, 12.0
_SETTLED_IN_S = 8.0  # RabbitMQ 3.10 killed within a second of declaring quorum queues may come up without one
_SETTLE_S = 40.0
_GIVE_UP_S = 45.0  # waiting for a first outcome: twice what is promised


def outages(ring: Arena, stage: Stage, count: int, harm: Callable[[], None]) -> list[float]:
    """Do *harm*, which returns when the server is up again, *count* times; return how long work then took."""
    took, rng, never = [], stage.rng, threading.Event()
    for number in range(count):
        never.wait(rng.uniform(0.3, 0.9))
        harm()
        up = time.monotonic()
        wait_until(partial(ring.oracle.first_end_after, up), _GIVE_UP_S, "work goes on")
        took.append((ring.oracle.first_end_after(up) or up) - up)
        if number % 5 == 4:
            stage.say(f"{number + 1} of {count} outages, {ring.oracle.endings():,} jobs ended")
    return took


def judged(
    ring: Arena, stage: Stage, took: list[float], pids: list[int], bound_s: float, what: str
) -> Result:
    """Settle the account of an arena whose server was harmed."""
    ring.traffic.settle(_SETTLE_S)
    ring.traffic.linger(1.0)
    tally, reruns = ring.oracle.tally(), ring.witness.reruns()
    ended = len(pids) - sum(
        ring.fleet.alive(worker) and ring.fleet.pid(worker) == pid
        for worker, pid in zip(ring.fleet.workers, pids, strict=True)
    )
    broken = broken_account(tally)
    if ended:
        broken.append(f"{ended} of {len(pids)} workers ended")
    if took and max(took) > bound_s:
        broken.append(f"it took {max(took):.1f} s to go on")
    said = f"{account(tally, reruns)}, {ended} workers ended; went on after {times(took)}"
    figures = {
        "statuses": tally.statuses,
        "unsure": tally.unsure,
        "reruns": reruns,
        "recovery_p50_s": round(percentile(took, 0.5), 2),
        "recovery_worst_s": round(max(took, default=0.0), 2),
        "refusals": len(ring.traffic.refusals),
        "system": stage.system,
        "fault": what,
    }
    return Result(len(took), said, broken, figures)


def valkey_killed(stage: Stage) -> Result:
    """Kill the server under load; what it had acknowledged is in its file."""
    with arena(stage, workers=2, window=400) as ring:
        ring.open_up()
        pids = [ring.fleet.pid(worker) for worker in ring.fleet.workers]

        def harm() -> None:
            ring.valkey.kill()
            ring.valkey.start()

        took = outages(ring, stage, stage.pick(20, 3), harm)
        return judged(ring, stage, took, pids, _VALKEY_S, "killed")


def valkey_frozen(stage: Stage) -> Result:
    """Stop the server where it is for longer than workers' heartbeats live, then let it go on."""
    with arena(stage, workers=2, window=400) as ring:
        ring.open_up()
        pids = [ring.fleet.pid(worker) for worker in ring.fleet.workers]

        def harm() -> None:
            ring.valkey.freeze()
            threading.Event().wait(_FREEZE_S)
            ring.valkey.thaw()

        took = outages(ring, stage, stage.pick(3, 1), harm)
        return judged(ring, stage, took, pids, _FROZEN_S, "frozen")


def rabbit_restarted(stage: Stage) -> Result:
    """Kill a RabbitMQ node of our own, and stop it in order, in turn."""
    with arena(stage, workers=2, window=400) as ring:
        node = ring.rabbit
        assert node is not None
        ring.open_up()
        threading.Event().wait(_SETTLED_IN_S)
        pids = [ring.fleet.pid(worker) for worker in ring.fleet.workers]
        ways = [node.kill, node.stop]

        def harm() -> None:
            ways[0]()
            ways.reverse()
            node.start()

        took = outages(ring, stage, stage.pick(4, 1), harm)
        return judged(ring, stage, took, pids, _RABBIT_S, "restarted")


SCENARIOS = (
    Scenario(
        "T3",
        "the RabbitMQ node is killed with `kill -9`, or stopped, under load and started again",
        "nothing confirmed is lost, nothing twice, no worker ends",
        f"work goes on within {_RABBIT_S:g} s",
        rabbit_restarted,
        systems=("rabbitmq",),
    ),
    Scenario(
        "T5",
        "`kill -9` of Valkey under load, started again on its append-only file",
        "nothing lost, nothing twice, no worker ends",
        f"work goes on within {_VALKEY_S:g} s",
        valkey_killed,
        systems=("ours", "stock"),
        quick=True,
    ),
    Scenario(
        "T5b",
        f"Valkey stands still for {_FREEZE_S:g} s (SIGSTOP), longer than a heartbeat lives",
        "nothing lost, nothing twice, no worker ends",
        f"work goes on within {_FROZEN_S:g} s",
        valkey_frozen,
    ),
)
