"""How busy the machine is where a process runs: the limits of its container count, where it has some.

Units:  percent of the processors and of the memory that may be used.
Source: Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max, cpu.stat, memory.max, memory.stat).
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from workers.monitoring.metrics import CPU, MEMORY
from workers.monitoring.recorder import Recorder

_SHORTEST_S = 0.5  # processors' use over less is chance
_ROOT = Path("/sys/fs/cgroup")


class Machine:
    """Looks at processors and memory; each look tells of the time since the last one."""

    def __init__(
        self, group: Path | None = None, clock: Callable[[], float] = time.monotonic, cores: int | None = None
    ) -> None:
        self._group = own_group() if group is None else group
        self._clock = clock
        self._cores = cores if cores is not None else os.cpu_count() or 1
        self._looked_s, self._used_s = clock(), self._cpu_s()
        psutil.cpu_percent()  # the first call says nothing, and begins to measure

    def look(self, recorder: Recorder) -> None:
        """Measure both."""
        now_s = self._clock()
        if now_s - self._looked_s < _SHORTEST_S:
            return
        recorder.measure(MEMORY, self._memory())
        used_s, cores = self._cpu_s(), self._limit()
        if used_s is not None and self._used_s is not None and cores is not None:
            recorder.measure(CPU, 100 * (used_s - self._used_s) / (now_s - self._looked_s) / cores)
        else:
            recorder.measure(CPU, psutil.cpu_percent())
        self._looked_s, self._used_s = now_s, used_s

    def _limit(self) -> float | None:
        """Return how many processors may be used; None: all that there are."""
        match self._read("cpu.max").split():
            case [quota, period] if quota.isdigit() and period.isdigit():
                return min(float(self._cores), int(quota) / int(period))
        return None

    def _cpu_s(self) -> float | None:
        usage = _field(self._read("cpu.stat"), "usage_usec")
        return None if usage is None else usage / 1e6

    def _memory(self) -> float:
        """Return the share of memory in use, without files that can be read again."""
        most, used = self._read("memory.max").strip(), self._read("memory.current").strip()
        if not most.isdigit() or not used.isdigit() or int(most) == 0:
            return float(psutil.virtual_memory().percent)
        files = _field(self._read("memory.stat"), "inactive_file") or 0
        return 100 * max(0, int(used) - files) / int(most)

    def _read(self, name: str) -> str:
        try:
            return (self._group / name).read_text(encoding="ascii")
        except OSError:  # no such limits here: another system, or the root of all groups
            return ""


def own_group() -> Path:
    """Return the directory that tells of this process's control group."""
    try:
        line = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return _ROOT
    number, _, path = line.partition("::")
    found = _ROOT / path.strip("/")
    return found if number == "0" and found.is_dir() else _ROOT


def _field(text: str, name: str) -> int | None:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return None
