"""Counts what goes out, for all processes that share a port.

A request costs a few additions to plain numbers: about 1 us, where a counter and a histogram of
prometheus_client take 3.7 us, and 12 us when processes share them.  So each process keeps its own counts,
and leaves a copy once a second in a directory that the processes share; whoever is asked adds them up.
The copy of a process that has ended stays, since a counter never falls.

Units:  durations in seconds.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
import uuid
from bisect import bisect_left
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil

from producers.gateway.call import Call
from producers.gateway.monitoring.metrics import BUCKETS_S, METHODS, NO_ROUTE, NO_STATUS, OTHER_METHOD

SHARE_EVERY_S = 1.0
_CLASSES = (NO_STATUS, "1xx", "2xx", "3xx", "4xx", "5xx")
_METHODS = {method: method for method in METHODS}
_SUFFIX = ".counts"

LabelsT = TypeVar("LabelsT")

logger = logging.getLogger(__name__)


class Durations(msgspec.Struct):
    """How many requests took up to each of BUCKETS_S (the last: longer ones), and how long all took."""

    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    total_s: float = 0.0


class Counts(msgspec.Struct):
    """What one process has counted, or several together."""

    requests: dict[tuple[str, str, str], int] = {}  # by route, method and class of the status
    durations: dict[str, Durations] = {}  # by route
    refusals: dict[str, int] = {}  # by code
    in_flight: int = 0
    jobs: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    processes: int = 1

    def add(self, other: "Counts") -> None:
        """Add what another process has counted."""
        _add(self.requests, other.requests)
        _add(self.refusals, other.refusals)
        for route, theirs in other.durations.items():
            ours = self.durations.setdefault(route, Durations())
            ours.buckets = [a + b for a, b in zip(ours.buckets, theirs.buckets, strict=True)]
            ours.total_s += theirs.total_s
        self.in_flight += other.in_flight
        self.jobs += other.jobs
        self.cache_hits += other.cache_hits
        self.cache_misses += other.cache_misses
        self.processes += other.processes


class RequestMeter:
    """Counts in one event loop."""

    def __init__(self) -> None:
        self._counts = Counts()

    def began(self) -> None:
        """Take note of a request."""
        self._counts.in_flight += 1

    def answered(self, call: Call, status: int) -> None:
        """Take note of the end of *call*; *status* 0: its caller had gone."""
        counts, scope = self._counts, call.scope
        counts.in_flight -= 1
        route = scope.get("route")
        path = NO_ROUTE if route is None else route.path
        labels = (path, _METHODS.get(scope["method"], OTHER_METHOD), _CLASSES[status // 100])
        counts.requests[labels] = counts.requests.get(labels, 0) + 1
        durations = counts.durations.get(path)
        if durations is None:
            durations = counts.durations[path] = Durations()
        took_s = time.perf_counter() - call.started
        durations.buckets[bisect_left(BUCKETS_S, took_s)] += 1
        durations.total_s += took_s
        if call.jobs:
            counts.jobs += call.jobs
            counts.cache_hits += call.cache_hits
            counts.cache_misses += call.cache_misses
        if call.code is not None:
            counts.refusals[call.code] = counts.refusals.get(call.code, 0) + 1

    def packed(self) -> bytes:
        """Return what was counted so far, to be read by ``unpacked``, in another thread or process."""
        return msgspec.msgpack.encode(self._counts)


def unpacked(packed: bytes) -> Counts:
    """Return the counts in *packed*."""
    return msgspec.msgpack.decode(packed, type=Counts)


class SharedCounts:
    """The directory where the processes of one port leave copies of their counts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory / f"{os.getpid()}-{uuid.uuid4().hex}{_SUFFIX}"
        self._failing = False
        self._leaving = threading.Lock()  # at the end, a copy may still be under way

    def leave(self, packed: bytes) -> None:
        """Leave a copy of this process's counts, in place of the last; a failure is logged, and borne."""
        draft = self._file.with_suffix(".new")
        try:
            with self._leaving:
                draft.write_bytes(packed)
                draft.replace(self._file)
        except OSError as error:
            if not self._failing:
                logger.warning("metrics lack what this process counts: %s", error.strerror)
            self._failing = True
        else:
            self._failing = False

    def of_others(self) -> list[Counts]:
        """Return what all other processes have counted; of those that have ended, only what lasts."""
        found = []
        for file in self._directory.glob(f"*{_SUFFIX}"):
            if file == self._file:
                continue
            counts = unpacked(file.read_bytes())
            if not psutil.pid_exists(int(file.name.partition("-")[0])):
                counts.in_flight = counts.processes = 0
            found.append(counts)
        return found


@contextlib.asynccontextmanager
async def sharing(
    meter: RequestMeter, shared: SharedCounts, every_s: float = SHARE_EVERY_S
) -> AsyncIterator[None]:
    """Within the block, and at its end, *shared* gets copies of what *meter* counts."""

    async def keep_sharing() -> None:
        while True:
            await asyncio.to_thread(shared.leave, meter.packed())
            await asyncio.sleep(every_s)

    task = asyncio.create_task(keep_sharing())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(shared.leave, meter.packed())


def _add(ours: dict[LabelsT, int], theirs: dict[LabelsT, int]) -> None:
    for labels, count in theirs.items():
        ours[labels] = ours.get(labels, 0) + count
