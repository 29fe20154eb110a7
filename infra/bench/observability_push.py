"""How long one process's report takes on its way: taken from the recorder, packed and pushed.

Units: milliseconds.
"""

import math
import tempfile
import time
from pathlib import Path

from infra.figures import percentile
from infra.local.commands import valkey_spec
from infra.local.settings import LocalSettings, child_environment
from infra.local.supervisor import Supervisor
from persona_system.cache.answers import POLICIES
from workers.contract.names import TASK_NAMES
from workers.monitoring.collecting.inbox import ReportInbox
from workers.monitoring.metrics import METRICS, Kind
from workers.monitoring.recorder import MemoryRecorder
from workers.transport.servers import open_redis

_VALUES = 2_000  # of each distribution, over six orders of magnitude: more bins than a real one has
_USERS = 1_000


def push_times(pushes: int) -> dict[str, float]:
    """Return percentiles of *pushes* of a full report, over a server of its own."""
    with tempfile.TemporaryDirectory(prefix="ion-bench-") as directory:
        (Path(directory) / "run").mkdir()
        (Path(directory) / "valkey").mkdir()
        address = Path(directory) / "s.sock"
        settings = LocalSettings(state_dir=Path(directory))
        supervisor = Supervisor(
            [[valkey_spec(settings, address, {})]], _ignore, inherited=child_environment()
        )
        try:
            supervisor.start()
            with open_redis(f"unix://{address}") as client:
                return _measure(ReportInbox(client), pushes)
        finally:
            supervisor.stop()


def _measure(inbox: ReportInbox, pushes: int) -> dict[str, float]:
    recorder, times = MemoryRecorder("bench", "bench", time.time), []
    for _ in range(pushes):
        _fill(recorder)
        started = time.perf_counter()
        inbox.push(recorder.take())
        times.append((time.perf_counter() - started) * 1000)
    return {f"p{percent}_ms": round(percentile(times, percent), 3) for percent in (50, 95, 99)}


def _fill(recorder: MemoryRecorder) -> None:
    """Measure something of everything: a busy worker, producer and gateway in one process."""
    tasks, endpoints = sorted(TASK_NAMES), [policy.endpoint for policy in POLICIES]
    values = [10 ** (6 * n / _VALUES) * (1.01 + math.sin(n)) for n in range(_VALUES)]
    for metric in METRICS.values():
        for name in tasks if "name" in metric.labels else endpoints:
            labels = (name, *("a" for _ in metric.labels[1:])) if metric.labels else ()
            if metric.kind is Kind.DISTRIBUTION:
                recorder.measure_all(metric, values, labels)
            else:
                recorder.count(metric, 1, labels)
    for number in range(_USERS):
        recorder.saw(str(number))


def _ignore(name: str, line: str) -> None:
    """Drop a log line."""
