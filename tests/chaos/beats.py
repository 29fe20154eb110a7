"""T12: several beats at once, whose leader is killed or stands still."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from infra.local.settings import child_environment
from infra.local.urls import socket_urls
from tests.chaos.scenario import Result, Scenario, Stage, times
from tests.chaos.stock_worker import QUEUE
from tests.support.beats import ALL, ENTRIES, Beats, beats_over
from tests.support.valkey import server
from tests.support.wait import wait_until

_TAKEOVER_S = 10.0
_STILL_S = 10.0  # longer than a lead lasts unrenewed
_GIVE_UP_S = 90.0
_STOCK_S = 10.0


def three_beats(stage: Stage) -> Result:
    """Run three beats; kill the leader, or stop it for longer than its lead lasts, again and again."""
    if stage.system == "stock":
        return _stock_beats(stage)
    took: list[float] = []
    with server(appendonly="yes") as store, beats_over(store, stage.directory) as beats:
        beats.start(3)
        _await_tick(beats, 0)
        for number in range(stage.pick(6, 2)):
            still = number % 2 == 1
            took.append(_lose_leader(beats, still=still))
            stage.say(f"{'stood still' if still else 'killed'}: the next led after {took[-1]:.1f} s")
            if not still:
                beats.start(1)
        ticks = beats.read()
    twice = sum(
        len(slots) - len(set(slots))
        for entry in ENTRIES
        for slots in [[tick.slot for tick in ticks if tick.entry == entry.name]]
    )
    epochs = [tick.epoch for tick in ticks]
    broken = []
    if twice:
        broken.append(f"{twice} slots had more than one tick")
    if epochs != sorted(epochs):
        broken.append("a leader of the past sent a tick")
    if max(took) > _TAKEOVER_S:
        broken.append(f"it took {max(took):.1f} s until another led")
    said = f"{twice} of {len(ticks)} ticks sent twice, none by a stale leader; taken over in {times(took)}"
    return Result(len(took), said, broken, {"ticks": len(ticks), "twice": twice, "took_s": took})


def _lose_leader(beats: Beats, *, still: bool) -> float:
    """Return how long it takes until another than the present leader has sent a tick."""
    leader = beats.leader()
    assert leader is not None
    epoch = max(_epochs(beats))
    begun = time.monotonic()
    leader.tell(signal.SIGSTOP if still else signal.SIGKILL)
    _await_tick(beats, epoch)
    took = time.monotonic() - begun
    if still:
        threading.Event().wait(max(0.0, _STILL_S - took))
        leader.tell(signal.SIGCONT)
        seen = len(beats.slots(ALL))
        wait_until(lambda: len(beats.slots(ALL)) >= seen + 3, _GIVE_UP_S, "ticks go on")
    return took


def _epochs(beats: Beats) -> Iterable[int]:
    return [tick.epoch for tick in beats.read()]


def _await_tick(beats: Beats, epoch: int) -> None:
    wait_until(lambda: max(_epochs(beats), default=0) > epoch, _GIVE_UP_S, "another leads")


def _stock_beats(stage: Stage) -> Result:
    """Let three of Celery's own beats send one entry a second, and count."""
    with server() as store:
        url = socket_urls(Path(store.url.removeprefix("unix://"))).broker_url
        env = {**child_environment(), "CHAOS_BEAT_URL": url}
        processes = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "--quiet", "-A", "tests.chaos.stock_beat", "beat"),
                    f"--schedule={stage.directory}/beat{number}",
                ],
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for number in range(3)
        ]
        try:
            wait_until(partial(store.client.llen, QUEUE), _GIVE_UP_S, "the first tick")
            threading.Event().wait(_STOCK_S)
            sent = int(str(store.client.llen(QUEUE)))
        finally:
            for process in processes:
                process.kill()
                process.wait()
    said = f"three beats sent {sent} ticks in {_STOCK_S:g} s for an entry of one a second"
    broken = [said] if sent > _STOCK_S + 2 else []
    return Result(1, said, broken, {"ticks": sent, "seconds": _STOCK_S})


SCENARIOS = (
    Scenario(
        "T12",
        f"of three beats the leader is killed, or stands still for {_STILL_S:g} s and goes on",
        "each slot of each entry has at most one tick, none by a leader of the past",
        f"another leads within {_TAKEOVER_S:g} s",
        three_beats,
        systems=("ours", "stock"),
    ),
)
