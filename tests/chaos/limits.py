"""T16: a rate limit that eight processes share, three of which are killed."""

import bisect
import subprocess
import sys
import threading
from pathlib import Path

from infra.local.settings import child_environment
from tests.chaos.scenario import Result, Scenario, Stage
from tests.chaos.taker import GRANTS
from tests.support.valkey import server
from tests.support.wait import wait_until

_PER_S, _BURST = 100, 10
_PROCESSES, _KILLED = 8, 3
_USED = 0.95
_START_S = 90.0


def shared_limit(stage: Stage) -> Result:
    """Let eight processes take as much as they get, on the server's clock, and kill three."""
    seconds = stage.pick(20, 5)
    with server() as store:
        command = [
            sys.executable,
            str(Path(__file__).with_name("taker.py")),
            store.url,
            str(_PER_S),
            str(_BURST),
        ]
        takers = [subprocess.Popen(command, env=child_environment()) for _ in range(_PROCESSES)]
        try:
            wait_until(lambda: store.client.scard("takers") == _PROCESSES, _START_S, "all take")
            store.client.delete(GRANTS)
            threading.Event().wait(seconds / 2)
            for taker in stage.rng.sample(takers, _KILLED):
                taker.kill()
            threading.Event().wait(seconds / 2)
        finally:
            for taker in takers:
                taker.kill()
                taker.wait()
        at = sorted(int(entry) / 1e6 for entry in store.client.lrange(GRANTS, 0, -1))
    most = max(bisect.bisect_left(at, moment + 1.0) - place for place, moment in enumerate(at))
    used = (len(at) - 1) / ((at[-1] - at[0]) * _PER_S)
    broken = []
    if most > _PER_S + _BURST:
        broken.append(f"{most} were let through within a second")
    if used < _USED:
        broken.append(f"{used:.1%} of the limit was used")
    said = f"at most {most} in any second, {used:.1%} of the limit used over {at[-1] - at[0]:.0f} s"
    return Result(
        _KILLED, said, broken, {"grants": len(at), "most_in_a_second": most, "used": round(used, 4)}
    )


SCENARIOS = (
    Scenario(
        "T16",
        f"{_PROCESSES} processes share a limit of {_PER_S} jobs a second; {_KILLED} are killed",
        f"never more than the limit and its burst of {_BURST} in any second of the server's clock",
        f"at least {_USED:.0%} of it is used",
        shared_limit,
        quick=True,
    ),
)
