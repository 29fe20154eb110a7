"""T9: the broker's memory is full; the cache's server is gone."""

import threading
import time
from functools import partial

from tests.chaos.arena import SERVED_S, arena
from tests.chaos.poison import Supervisor
from tests.chaos.scenario import Result, Scenario, Stage, account, broken_account
from tests.chaos.systems import Ours
from tests.support.valkey import server
from tests.support.wait import wait_until

_RESUME_S = 10.0
_FULL_S = 5.0
_GIVE_UP_S = 60.0


def full_broker(stage: Stage) -> Result:
    """Let the server refuse every write for some seconds, under load, then give it room."""
    rounds = stage.pick(3, 1)
    took: list[float] = []
    ended = 0
    with arena(stage, workers=2, window=400) as ring:
        ring.open_up()
        for number in range(rounds):
            pids = [ring.fleet.pid(worker) for worker in ring.fleet.workers]
            ring.valkey.client.config_set("maxmemory", "1mb")  # less than what it holds
            threading.Event().wait(_FULL_S)
            ring.valkey.client.config_set("maxmemory", "0")
            free = time.monotonic()
            ended += sum(
                not ring.fleet.alive(worker) or ring.fleet.pid(worker) != pid
                for worker, pid in zip(ring.fleet.workers, pids, strict=True)
            )
            with Supervisor(ring):
                wait_until(partial(ring.oracle.first_end_after, free), _GIVE_UP_S, "work goes on")
            took.append((ring.oracle.first_end_after(free) or free) - free)
            stage.say(f"{number + 1} of {rounds}: went on after {took[-1]:.1f} s, {ended} workers ended")
        refused = sorted(set(ring.traffic.refusals))
        ring.traffic.settle(40.0)
        ring.traffic.linger(1.0)
        tally, reruns = ring.oracle.tally(), ring.witness.reruns()
    broken = broken_account(tally)
    if ended:
        broken.append(f"{ended} workers ended")
    if max(took) > _RESUME_S:
        broken.append(f"it took {max(took):.1f} s to go on")
    if stage.system != "stock" and not set(refused) <= {"Overloaded", "Unavailable"}:
        broken.append(f"a producer was told {', '.join(refused)}")
    told = ", ".join(refused) or "nothing"
    said = (
        f"{account(tally, reruns)}, {ended} workers ended; producers were told {told}; "
        f"went on after {max(took):.1f} s at worst"
    )
    figures = {"statuses": tally.statuses, "refused": refused, "took_s": took, "reruns": reruns}
    return Result(rounds, said, broken, figures)


def cache_gone(stage: Stage) -> Result:
    """Kill the cache's server under load: answers are computed instead."""
    with server() as cache:
        settings = {"ION_CACHE_URL": cache.url}
        with arena(stage, workers=2, window=400, settings=settings) as ring:
            assert isinstance(ring.system, Ours)
            ring.system.use_cache = True
            ring.open_up()
            keys = int(cache.client.dbsize())
            cache.kill()
            before = ring.oracle.endings()
            wait_until(
                lambda: ring.oracle.endings() > before + 2_000, SERVED_S, "jobs are answered all the same"
            )
            ring.traffic.settle(40.0)
            tally = ring.oracle.tally()
    broken = broken_account(tally)
    if set(tally.statuses) != {"ok"}:
        broken.append(f"jobs ended as {dict(tally.statuses)}")
    if not keys:
        broken.append("the cache had not been in use")
    return Result(1, f"{account(tally)}, all ok", broken, {"statuses": tally.statuses, "cached": keys})


SCENARIOS = (
    Scenario(
        "T9",
        f"the broker's memory is full for {_FULL_S:g} s (`maxmemory`, `noeviction`), under load",
        "producers get a typed refusal; nothing accepted is lost, nothing twice, no worker ends",
        f"work goes on within {_RESUME_S:g} s of there being room",
        full_broker,
        systems=("ours", "stock"),
        quick=True,
    ),
    Scenario(
        "T9b",
        "the cache's server is killed under load",
        "every job is answered, computed anew",
        "no bound on time",
        cache_gone,
    ),
)
