"""T6, T18: between workers and server, connections fall silent, are reset, or are slow."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tests.chaos.arena import Arena, arena
from tests.chaos.scenario import Result, Scenario, Stage, account, broken_account
from tests.chaos.servers import judged
from tests.chaos.systems import Way
from tests.support.proxy import Proxy
from tests.support.wait import wait_until

_BOUND_S = 15.0
_GIVE_UP_S = 45.0  # three times what is promised
_CUT_OFF_S = 15.0
_SLOW_S = 20.0
_FEW = 120  # jobs of 50 ms: what waits must not hide how soon a worker is back


class Lines:
    """A proxy for each worker."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.proxies: dict[str, Proxy] = {}

    def way(self, socket: Path) -> Way:
        """Return each worker's way to the server on *socket*."""

        def url(worker: str) -> str:
            if worker not in self.proxies:
                proxy = self.proxies[worker] = Proxy(str(socket), self._seed)
                proxy.start()
            return f"redis://127.0.0.1:{self.proxies[worker].port}/0"

        return url

    def close(self) -> None:
        """Take them down."""
        for proxy in self.proxies.values():
            proxy.stop()


@contextlib.contextmanager
def lines(seed: int) -> Iterator[Lines]:
    """Make proxies as workers ask for them."""
    made = Lines(seed)
    with contextlib.closing(made):
        yield made


def silence_and_resets(stage: Stage) -> Result:
    """Let every worker's connections fall silent, or be reset, and see how long work stands still."""
    ways: list[tuple[str, Callable[[Proxy], object]]] = [
        ("reset", Proxy.reset_all),
        ("silent", Proxy.black_hole),
    ]
    with lines(stage.seed) as made, arena(stage, workers=2, window=400, way=made.way) as ring:
        ring.open_up()
        pids = [ring.fleet.pid(worker) for worker in ring.fleet.workers]
        took: dict[str, list[float]] = {}
        for _ in range(stage.pick(1 if stage.system == "stock" else 3, 1)):
            for what, harm in ways:
                took.setdefault(what, []).append(_stand_still(ring, made, harm))
                stage.say(f"{what}: went on after {took[what][-1]:.1f} s")
        result = judged(
            ring, stage, [second for each in took.values() for second in each], pids, _BOUND_S, "net"
        )
    worst = ", ".join(f"{what} {max(seconds):.1f} s at worst" for what, seconds in took.items())
    said = f"{result.said.partition('; ')[0]}; went on after: {worst}"
    return Result(result.faults, said, result.broken, {**result.figures, "took_s": took})


def _stand_still(ring: Arena, made: Lines, harm: Callable[[Proxy], object]) -> float:
    """Do *harm* to every line; return how long it takes until every worker works again, at most GIVE_UP."""
    threading.Event().wait(0.5)
    for proxy in made.proxies.values():
        harm(proxy)
    return _until_back(ring, ring.fleet.workers)


def _until_back(ring: Arena, workers: Sequence[str]) -> float:
    """Return how long it takes until each of *workers* has begun a job that was sent after now."""
    begun = time.monotonic()

    def fetches(worker: str) -> bool:
        job = ring.witness.working_on(worker)
        return job is not None and (ring.oracle.accepted_at(job) or 0.0) > begun

    with contextlib.suppress(AssertionError):  # then the figure tells, and breaks the bound
        wait_until(lambda: all(map(fetches, workers)), _GIVE_UP_S)
    return time.monotonic() - begun


def cut_off(stage: Stage) -> Result:
    """Cut one of two workers off for longer than its heartbeat lives: the other takes its batches over."""
    with lines(stage.seed) as made, arena(stage, workers=2, deed="slow", window=_FEW, way=made.way) as ring:
        ring.open_up()
        pids = [ring.fleet.pid(worker) for worker in ring.fleet.workers]
        back: list[float] = []
        for _ in range(stage.pick(2, 1)):
            line = made.proxies["worker1"]
            line.change(refuses=True)
            line.black_hole()
            threading.Event().wait(_CUT_OFF_S)
            line.change(refuses=False)
            back.append(_until_back(ring, ["worker1"]))
            stage.say(f"back after {back[-1]:.1f} s, {ring.oracle.endings():,} jobs ended")
        return _taken_over(judged(ring, stage, back, pids, _BOUND_S, "cut off"))


def frozen_worker(stage: Stage) -> Result:
    """Stop a worker in the midst of its batch for longer than its heartbeat lives, and let it go on."""
    with arena(stage, workers=2, deed="slow", window=_FEW) as ring:
        ring.open_up()
        pids = [ring.fleet.pid(worker) for worker in ring.fleet.workers]
        back: list[float] = []
        for _ in range(stage.pick(3, 1)):
            ring.fleet.send("worker1", signal.SIGSTOP, group=True)
            threading.Event().wait(_CUT_OFF_S)
            ring.fleet.send("worker1", signal.SIGCONT, group=True)
            back.append(_until_back(ring, ["worker1"]))
            stage.say(f"back after {back[-1]:.1f} s, {ring.oracle.endings():,} jobs ended")
        return _taken_over(judged(ring, stage, back, pids, _BOUND_S, "frozen"))


def _taken_over(result: Result) -> Result:
    """Return *result*; if no batch was begun twice, the fault missed and proves nothing."""
    if result.figures["reruns"]:
        return result
    return replace(result, broken=[*result.broken, "no batch had to be taken over: the fault missed"])


def slow_line(stage: Stage) -> Result:
    """Delay every chunk by 50 ms and reset one in a hundred."""
    with lines(stage.seed) as made, arena(stage, workers=2, window=400, way=made.way) as ring:
        ring.open_up()
        for proxy in made.proxies.values():
            proxy.change(delay_s=0.05, reset_chance=0.01)
        before = ring.oracle.endings()
        threading.Event().wait(stage.pick(int(_SLOW_S), 5))
        meanwhile = ring.oracle.endings() - before
        for proxy in made.proxies.values():
            proxy.change(delay_s=0.0, reset_chance=0.0)
        ring.traffic.settle(40.0)
        ring.traffic.linger(1.0)
        tally, reruns = ring.oracle.tally(), ring.witness.reruns()
    broken = broken_account(tally)
    if not meanwhile:
        broken.append("nothing was answered meanwhile")
    rate = meanwhile / stage.pick(int(_SLOW_S), 5)
    figures = {"statuses": tally.statuses, "reruns": reruns, "jobs_per_s": round(rate)}
    return Result(1, f"{account(tally, reruns)}; {rate:,.0f} jobs/s meanwhile", broken, figures)


SCENARIOS = (
    Scenario(
        "T6",
        "all live connections of the workers fall silent (black hole), or are reset",
        "nothing lost, nothing twice, no worker ends",
        f"every worker works again within {_BOUND_S:g} s",
        silence_and_resets,
        systems=("ours", "stock"),
        quick=True,
    ),
    Scenario(
        "T6b",
        f"one of two workers is cut off for {_CUT_OFF_S:g} s in the midst of its batch, and comes back",
        "the other takes over; what the first finishes late has no effect",
        f"it works again within {_BOUND_S:g} s",
        cut_off,
    ),
    Scenario(
        "T6c",
        f"one of two workers stands still for {_CUT_OFF_S:g} s (SIGSTOP) within its batch, and goes on",
        "the other takes over; what the first finishes late has no effect",
        f"it works again within {_BOUND_S:g} s",
        frozen_worker,
        systems=("ours", "stock"),
    ),
    Scenario(
        "T18",
        "a bad line: each packet 50 ms late, one in a hundred resets its connection",
        "nothing lost, nothing twice",
        "work goes on",
        slow_line,
        systems=("ours", "stock"),
    ),
)
