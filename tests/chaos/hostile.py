"""T13: messages that nobody should send, among ordinary work."""

import threading
from pathlib import Path

import psutil

from tests.chaos.arena import Arena, arena
from tests.chaos.poison import Supervisor
from tests.chaos.scenario import Result, Scenario, Stage, account, broken_account
from tests.chaos.stock_worker import QUEUE
from tests.support.hostile import envelopes, item_of, items
from tests.support.wait import wait_until
from workers.contract import names
from workers.store.dead_letters import DeadLetterStore
from workers.store.engine import open_store
from workers.store.letters import Filter

_GROWTH_BYTES = 50_000_000  # of one worker
_GIVE_UP_S = 120.0
_STOCK_EVERY, _STOCK_PAUSE_S = 3, 1.5  # bare Celery gets each third, and time to die of it


def hostile(stage: Stage) -> Result:
    """Push every hostile message under traffic; workers live on and each message is kept once."""
    marker = stage.directory / "was-run"
    stock = stage.system == "stock"
    queue = QUEUE if stock else names.INTERACTIVE
    raw = [item_of(envelope, queue) for envelope in envelopes(marker)]
    raw += [item.make() for item in items(queue)]
    with arena(stage, workers=2, pause_s=0.02, window=100) as ring:
        ring.open_up()
        if stock:
            return _stock(ring, raw[::_STOCK_EVERY])
        pids = [ring.fleet.pid(worker) for worker in ring.fleet.workers]
        before = _memory(pids)
        for number, one in enumerate(raw):
            ring.valkey.client.lpush(f"{names.BROKER_PREFIX}{queue}", one)
            if number % 20 == 19:
                stage.say(f"{number + 1} of {len(raw)} pushed, {ring.oracle.endings():,} jobs ended")
            threading.Event().wait(0.02)
        different = len(set(raw))
        wait_until(lambda: _letters(stage.directory) >= different - 2, _GIVE_UP_S, "all are kept")
        seen = ring.oracle.endings()
        wait_until(lambda: ring.oracle.endings() > seen + 100, _GIVE_UP_S, "work goes on")
        ring.traffic.settle(30.0)
        tally, kept = ring.oracle.tally(), _letters(stage.directory)
        growth = max(after - then for after, then in zip(_memory(pids), before, strict=True))
        same = [ring.fleet.pid(worker) for worker in ring.fleet.workers] == pids
        alive = all(ring.fleet.alive(worker) for worker in ring.fleet.workers)
    broken = broken_account(tally)
    if not (same and alive):
        broken.append("a worker ended")
    if marker.exists():
        broken.append("code in a message was run")
    if growth > _GROWTH_BYTES:
        broken.append(f"a worker grew by {growth / 1e6:.0f} MB")
    if kept < different:
        broken.append(f"{different - kept} of {different} messages are not among the dead letters")
    said = f"{kept} of {different} kept as dead letters, no worker ended; {account(tally)}"
    figures = {
        "pushed": len(raw),
        "kept": kept,
        "growth_mb": round(growth / 1e6, 1),
        "statuses": tally.statuses,
    }
    return Result(len(raw), said, broken, figures)


def _stock(ring: Arena, raw: list[bytes]) -> Result:
    with Supervisor(ring) as boss:
        for one in raw:
            ring.valkey.client.lpush(QUEUE, one)
            threading.Event().wait(_STOCK_PAUSE_S)
    ring.traffic.pause()
    said = f"workers ended {boss.restarts} times over {len(raw)} messages"
    return Result(len(raw), said, [said] if boss.restarts else [], {"ended": boss.restarts})


def _letters(directory: Path) -> int:
    with open_store(f"sqlite:///{directory}/ion.db") as store:
        return DeadLetterStore(store).count(Filter())


def _memory(pids: list[int]) -> list[int]:
    return [int(psutil.Process(pid).memory_info().rss) for pid in pids]


SCENARIOS = (
    Scenario(
        "T13",
        "hostile messages: bombs, forgeries, rubbish, bad headers and bodies, among ordinary work",
        "no worker ends, nothing in them is run, each is kept once as a dead letter, other work is unharmed",
        "all kept; no worker grows by 50 MB",
        hostile,
        systems=("ours", "stock"),
    ),
)
