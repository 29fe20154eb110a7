"""T10: the same message many times, and a worker whose clock is wrong."""

import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import redis

from infra.local.settings import child_environment
from tests.chaos.arena import SERVED_S, arena
from tests.chaos.scenario import Result, Scenario, Stage, account, broken_account
from tests.chaos.systems import Ours
from tests.support.wait import wait_until

_COPIES = 50
_SKEWS_S = (7_200.0, -7_200.0)
_QUIET_S = 3.0
_SKEWED_S = 12.0  # more than two of bare Celery's visibility timeouts


def copies(stage: Stage) -> Result:
    """Put an envelope that waits on the queue there fifty more times; then let workers have them."""
    rounds = stage.pick(5, 1)
    with arena(stage, workers=2, size=20) as ring:
        jobs = []
        for number in range(rounds):
            batch = [f"n-{number:x}-{place:x}" for place in range(1 if stage.system == "stock" else 20)]
            ring.traffic.send(*batch)
            jobs.extend(batch)
            if ring.rabbit is not None:
                assert isinstance(ring.system, Ours)
                for _ in range(_COPIES):
                    ring.system.publish_again()
            else:
                _copy_newest(ring.valkey.client)
        ring.fleet.start()
        ring.fleet.wait_ready()
        wait_until(lambda: not ring.oracle.missing(), SERVED_S, "all are answered")
        _await_quiet(ring.traffic.linger, ring.oracle.endings)
        tally, reruns = ring.oracle.tally(), ring.witness.reruns()
        most = max(len(ends) for ends in ring.oracle.statuses_of(jobs).values())
    said = (
        f"{tally.twice} of {tally.accepted} jobs ended more than once, at most {most} times; {reruns} rerun"
    )
    figures = {"statuses": tally.statuses, "most": most, "reruns": reruns}
    return Result(rounds * _COPIES, said, broken_account(tally), figures)


def _copy_newest(client: "redis.Redis") -> None:
    """Push the newest message of the longest queue again and again, as it is."""
    for key in client.scan_iter(_type="LIST"):
        newest = client.lindex(key, 0)
        if (
            newest is not None
            and client.llen(key)
            and bytes(key).rpartition(b":")[2] in {b"interactive", b"stock"}
        ):
            client.lpush(key, *[newest] * _COPIES)


def _await_quiet(linger: Callable[[float], None], endings: Callable[[], int]) -> None:
    """Return when no outcome has come for a while."""
    seen = -1
    while seen != endings():
        seen = endings()
        linger(_QUIET_S)


def wrong_clock(stage: Stage) -> Result:
    """Let one of two workers be two hours early, then late: its clock moves no message."""
    tallies, reruns = [], 0
    for skew in _SKEWS_S:
        with arena(
            stage,
            workers=2,
            deed="slow",
            window=200,
            worker_env=partial(_skewed, skew),
        ) as ring:
            ring.open_up()
            threading.Event().wait(stage.pick(int(_SKEWED_S), 6))
            ring.traffic.settle(60.0)
            ring.traffic.linger(1.0)
            tallies.append(ring.oracle.tally())
            reruns += ring.witness.reruns()
        stage.say(f"{skew:+.0f} s: {account(tallies[-1])}")
    broken = [text for tally in tallies for text in broken_account(tally)]
    if reruns:
        broken.append(f"{reruns} jobs were run again, though no worker was lost")
    statuses = [dict(tally.statuses) for tally in tallies]
    if any(set(each) != {"ok"} for each in statuses):
        broken.append(f"jobs ended as {statuses}")
    said = f"{'; '.join(account(tally) for tally in tallies)}; {reruns} run again"
    return Result(len(_SKEWS_S), said, broken, {"statuses": statuses, "reruns": reruns})


def _skewed(skew_s: float, worker: str) -> Mapping[str, str]:
    if worker != "worker1":
        return {}
    path = os.pathsep.join([str(Path(__file__).with_name("skew")), child_environment()["PYTHONPATH"]])
    return {"PYTHONPATH": path, "CHAOS_SKEW_S": str(skew_s)}


SCENARIOS = (
    Scenario(
        "T10",
        f"a message that waits is on its queue {_COPIES} more times",
        "each of its jobs has one outcome",
        "one outcome, whatever the number of copies",
        copies,
        systems=("ours", "rabbitmq", "stock"),
        quick=True,
    ),
    Scenario(
        "T10b",
        "one worker's clock is two hours early, then two hours late",
        "nothing lost, nothing twice, nothing even run again",
        "no redelivery",
        wrong_clock,
        systems=("ours", "stock"),
    ),
)
