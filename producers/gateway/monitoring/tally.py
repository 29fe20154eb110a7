"""Adds requests up for a second, and tells of them in one event for each route, method and status.

Counting a request here takes half a microsecond, in the event loop; the rest is done once a second.
How long each request took goes to the metrics one by one, since percentiles cannot be told from sums.

Units: seconds of ``time.perf_counter`` in, milliseconds out.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from producers.errors import Unavailable
from producers.gateway.call import Call
from producers.gateway.monitoring.metrics import METHODS, NO_ROUTE, OTHER_METHOD
from producers.gateway.ports import Meter
from workers.monitoring.events import APIRequestEvent
from workers.monitoring.metrics import HTTP_TIME
from workers.operations.measuring import Measuring

TELL_EVERY_S = 1.0

Label = tuple[str, str, int]  # route, method, status


@dataclass(slots=True)
class _Served:
    """Requests of one label: how long each took, and the codes of those that were refused."""

    times_ms: list[float] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)


class RequestTally:
    """A meter that tells what it counts, and lets *inner* count, too.  Of one event loop.

    *measuring* gives where the process measures; it may raise Unavailable, and is asked again then.
    """

    def __init__(self, inner: Meter, measuring: Callable[[], Measuring]) -> None:
        self._inner, self._measuring = inner, measuring
        self._served: dict[Label, _Served] = {}

    def began(self) -> None:
        """Take note of a request."""
        self._inner.began()

    def answered(self, call: Call, status: int) -> None:
        """Take note of the end of *call*; *status* 0: its caller had gone."""
        self._inner.answered(call, status)
        scope = call.scope
        route, method = scope.get("route"), scope["method"]
        label = (
            NO_ROUTE if route is None else route.path,
            method if method in METHODS else OTHER_METHOD,
            status,
        )
        served = self._served.get(label)
        if served is None:
            served = self._served[label] = _Served()
        served.times_ms.append((time.perf_counter() - call.started) * 1000)
        if call.code is not None:
            served.codes[call.code] += 1

    def take(self) -> Mapping[Label, _Served]:
        """Return what was counted since the last time; in the event loop."""
        taken, self._served = self._served, {}
        return taken

    def tell(self, taken: Mapping[Label, _Served]) -> None:
        """Measure and tell what was *taken*; in any thread, one at a time.  Raises Unavailable."""
        measuring = self._measuring()
        at_ms = int(time.time() * 1000)
        for (route, method, status), served in taken.items():
            times_ms = served.times_ms
            measuring.recorder.measure_all(HTTP_TIME, times_ms, (route,))
            measuring.tell(
                APIRequestEvent(
                    at_ms=at_ms,
                    region=measuring.region,
                    route=route,
                    method=method,
                    status=status,
                    requests=len(times_ms),
                    total_ms=round(sum(times_ms), 3),
                    slowest_ms=round(max(times_ms), 3),
                    codes=dict(served.codes),
                )
            )


@contextlib.asynccontextmanager
async def telling(tally: RequestTally, every_s: float = TELL_EVERY_S) -> AsyncIterator[None]:
    """Within the block, and at its end, have *tally* tell what it counts."""

    async def tell() -> None:
        taken = tally.take()
        if taken:
            with contextlib.suppress(Unavailable):  # there is no fleet to tell; the probe says so
                await asyncio.to_thread(tally.tell, taken)

    async def keep_telling() -> None:
        while True:
            await asyncio.sleep(every_s)
            await tell()

    task = asyncio.create_task(keep_telling())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await tell()
