"""T14: a million jobs wait in the bulk queue, and people go on asking."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec
import psutil
import redis

from infra.demo.messages import load_messages
from tests.chaos.arena import SERVED_S, Arena, arena
from tests.chaos.scenario import Result, Scenario, Stage, broken_account, percentile
from tests.chaos.systems import Ours
from tests.support.wait import wait_until
from workers.contract import names
from workers.contract.payloads import Reply
from workers.contract.wire import decompress

_BATCH = 500
_P99_S = 1.0
_JOB_BYTES = 1_126  # 1.1 KiB
_DEEP_SHARE = 0.8  # of the rate with a short queue
_GROWTH_BYTES = 60_000_000
_KEY = "calm-medium-learning"
_GIVE_UP_S = 300.0

_decode = msgspec.msgpack.Decoder(Reply).decode


@dataclass(slots=True)
class Drain:
    """Reads the flood's replies, and notes how many jobs ended by when."""

    client: "redis.Redis"
    key: str
    jobs: int
    seen: set[str] = field(default_factory=set)
    twice: int = 0
    marks: list[tuple[float, int]] = field(default_factory=list)  # seconds, jobs ended

    def step(self) -> bool:
        """Read some; say whether all have ended."""
        read: Any = self.client.lpop(self.key, 16)
        for packed in read or []:
            for outcome in _decode(decompress(packed)).outcomes:
                self.twice += outcome.id in self.seen
                self.seen.add(outcome.id)
        self.marks.append((time.monotonic(), len(self.seen)))
        return len(self.seen) >= self.jobs

    def rate(self, begin: float, end: float) -> float:
        """Return the jobs a second between two shares of the flood."""
        first = next(mark for mark in self.marks if mark[1] >= begin * self.jobs)
        last = next(mark for mark in self.marks if mark[1] >= end * self.jobs)
        return (last[1] - first[1]) / max(1e-9, last[0] - first[0])


def flood(stage: Stage) -> Result:
    """Queue the flood while no worker runs, then let workers at it, and ask as people do."""
    batches = stage.pick(2_000, 60)
    with arena(stage, workers=2, size=1, window=5, pause_s=0.02) as ring:
        assert isinstance(ring.system, Ours)
        bulk = ring.system.beside(names.BULK, _KEY, [message.text for message in load_messages()])
        before = _used(ring)
        for number in range(batches):
            bulk.publish([f"quick-{number:x}-{place:x}" for place in range(_BATCH)])
        jobs = batches * _BATCH
        per_job = (_used(ring) - before) / jobs
        stage.say(f"{jobs:,} jobs wait, {per_job:.0f} bytes each")
        ring.fleet.start()
        ring.fleet.wait_ready()
        ring.traffic.flow()
        wait_until(lambda: ring.oracle.endings() >= 1, SERVED_S, "the first question is answered")
        drain = Drain(ring.valkey.client, names.reply_key(bulk.reply_to), jobs)
        sizes = _drain(ring, stage, drain)
        bulk.close()
        ring.traffic.settle(30.0)
        tally = ring.oracle.tally()
        waits = sorted(ring.oracle.wait_s("n-"))[:-1]  # the first one waited for the workers' start
    p99 = percentile(waits, 0.99)
    deep, short = drain.rate(0.05, 0.45), drain.rate(0.55, 0.95)
    broken = broken_account(tally)
    for holds, text in (
        (len(drain.seen) == jobs, f"{jobs - len(drain.seen):,} of {jobs:,} bulk jobs have no outcome"),
        (not drain.twice, f"{drain.twice} bulk jobs have two outcomes"),
        (p99 < _P99_S, f"people waited {p99:.2f} s (p99)"),
        (per_job <= _JOB_BYTES, f"a waiting job takes {per_job:.0f} bytes"),
        (
            not stage.full or deep >= _DEEP_SHARE * short,
            f"{deep:,.0f} jobs/s with a long queue, then {short:,.0f}",
        ),
        (sizes[-1] - sizes[0] < _GROWTH_BYTES, f"workers grew by {(sizes[-1] - sizes[0]) / 1e6:.0f} MB"),
    ):
        if not holds:
            broken.append(text)
    said = (
        f"{jobs:,} bulk jobs drained at {drain.rate(0, 0.99):,.0f}/s, {per_job:.0f} bytes each; "
        f"{len(waits):,} people waited {percentile(waits, 0.5) * 1000:.0f} ms median, {p99 * 1000:.0f} ms p99"
    )
    figures = {
        "jobs": jobs,
        "bytes_per_job": round(per_job),
        "deep_per_s": round(deep),
        "short_per_s": round(short),
        "interactive": len(waits),
        "p99_s": round(p99, 3),
        "workers_mb": [round(size / 1e6) for size in (sizes[0], sizes[-1])],
    }
    return Result(1, said, broken, figures)


def _drain(ring: Arena, stage: Stage, drain: Drain) -> list[int]:
    """Read until all have ended, or nothing has for long; return the workers' memory as it went."""
    sizes: list[int] = []
    told, last = 0, time.monotonic()
    while not drain.step():
        seen = len(drain.seen)
        if drain.marks[-1][1] > told:
            last = time.monotonic()
        if seen >= told + drain.jobs // 10 or not sizes:
            told = seen
            sizes.append(_memory(ring))
            stage.say(f"{seen:,} of {drain.jobs:,} drained")
        if time.monotonic() - last > _GIVE_UP_S:
            break
        threading.Event().wait(0.05)
    return [*sizes, _memory(ring)]


def _memory(ring: Arena) -> int:
    return sum(int(psutil.Process(ring.fleet.pid(worker)).memory_info().rss) for worker in ring.fleet.workers)


def _used(ring: Arena) -> int:
    return int(ring.valkey.client.info("memory")["used_memory"])


SCENARIOS = (
    Scenario(
        "T14",
        "a flood: 1,000,000 bulk jobs wait in 2,000 messages while people ask, one at a time",
        "nothing lost, nothing twice; workers' memory stays flat; the long queue slows nothing",
        f"people wait less than {_P99_S:g} s (p99); a waiting job takes at most {_JOB_BYTES:,} bytes",
        flood,
    ),
)
