"""T4: the master behind Sentinel is killed, and its replica takes over."""

import time
from contextlib import AbstractContextManager

from tests.chaos.arena import Arena, arena
from tests.chaos.scenario import Result, Scenario, Stage, account, broken_account, times
from tests.support.sentinel import failover
from tests.support.wait import wait_until

_GAP_S = 5.0
_SETTLE_S = 40.0
_GIVE_UP_S = 90.0
_BEFORE = 500  # jobs that ended before the fault


def master_killed(stage: Stage) -> Result:
    """Kill the master under load, in a set of servers of its own each time."""
    gaps: list[float] = []
    took: list[float] = []
    broken: list[str] = []
    accounts: list[str] = []
    statuses: list[object] = []
    ended = 0
    for number in range(stage.pick(4, 1)):
        with failover() as servers, _arena(stage, servers.url) as ring:
            ring.open_up()
            pids = [ring.fleet.pid(worker) for worker in ring.fleet.workers]
            wait_until(lambda: ring.oracle.endings() > _BEFORE, _GIVE_UP_S, "work is under way")
            old = servers.master()
            killed = time.monotonic()
            servers.kill(old)
            wait_until(lambda: ring.traffic.last_publish_at > killed + 0.2, _GIVE_UP_S, "publishing goes on")  # noqa: B023
            seen = ring.oracle.endings()
            wait_until(lambda: ring.oracle.endings() > seen + _BEFORE, _GIVE_UP_S, "work goes on")  # noqa: B023
            took.append(time.monotonic() - killed)
            gaps.append(ring.traffic.longest_gap_s)
            ring.traffic.settle(_SETTLE_S)
            ring.traffic.linger(1.0)
            tally = ring.oracle.tally()
            ended += sum(
                not ring.fleet.alive(worker) or ring.fleet.pid(worker) != pid
                for worker, pid in zip(ring.fleet.workers, pids, strict=True)
            )
        broken += broken_account(tally)
        accounts.append(account(tally))
        statuses.append(tally.statuses)
        stage.say(f"failover {number + 1}: {accounts[-1]}, nothing was taken for {gaps[-1]:.1f} s")
    if ended:
        broken.append(f"{ended} workers ended")
    if max(gaps) > _GAP_S:
        broken.append(f"producers were refused for {max(gaps):.1f} s")
    said = f"{'; '.join(accounts)}; no publish for {times(gaps)}; {ended} workers ended"
    return Result(len(gaps), said, broken, {"gaps_s": gaps, "took_s": took, "statuses": statuses})


def _arena(stage: Stage, url: str) -> AbstractContextManager[Arena]:
    """Return an arena whose producer never waits for answers, so that a gap is the broker's alone."""
    return arena(stage, workers=2, window=100_000, pause_s=0.04, elsewhere=url)


SCENARIOS = (
    Scenario(
        "T4",
        "`kill -9` of the master behind three Sentinels (down after 1.5 s), under load",
        "nothing acknowledged is lost, nothing twice, no worker ends",
        f"producers are refused for at most {_GAP_S:g} s",
        master_killed,
    ),
)
