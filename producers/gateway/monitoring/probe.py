"""Looks once a second at all that the service needs, and keeps what it found.

Each dependency has a thread of its own, so that one that hangs holds up neither the others nor the event
loop; whoever asks is answered from memory, whatever state the servers are in.
"""

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping

from producers.errors import Overloaded, ProducerError
from producers.gateway.monitoring.condition import Finding, Seen, ServiceState
from producers.gateway.monitoring.looks import Look, trouble
from workers.store.errors import StoreError

EVERY_S = 1.0
_FIRST_S = 1.0  # what is there is found in much less; what is away is not waited for
_FAREWELL_S = 3.0  # a look takes no longer, unless its host's name is slow to be found

logger = logging.getLogger(__name__)


class Probe:
    """Keeps looking with *looks*, from ``start`` to ``close``; *clock* is in seconds."""

    def __init__(
        self,
        looks: Mapping[str, Look],
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._looks, self._every_s, self._clock = looks, every_s, clock
        self._seen: dict[str, Seen | None] = dict.fromkeys(looks)
        self._all_seen, self._stop = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._keep_looking, args=(name,), name=f"ion-probe-{name}", daemon=True)
            for name in looks
        ]

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def wait_seen(self, patience_s: float) -> bool:
        """Return whether everything has been looked at within *patience_s*."""
        return self._all_seen.wait(patience_s)

    def state(self) -> ServiceState:
        """Return what is known, at once."""
        return ServiceState(self._seen.copy(), self._clock())

    def close(self) -> None:
        """Look no more; wait a moment for looks under way."""
        self._stop.set()
        deadline = time.monotonic() + _FAREWELL_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _keep_looking(self, name: str) -> None:
        look = self._looks[name]
        while not self._stop.is_set():
            began = self._clock()
            error: Exception | None = None
            try:
                finding = look.look()
            except Exception as caught:  # noqa: BLE001 - whatever it is, it is told, and looked at again
                finding, error = _finding_of(caught), caught
            self._note(name, finding, began, error)
            self._stop.wait(self._every_s)
        look.close()

    def _note(self, name: str, finding: Finding, began: float, error: Exception | None) -> None:
        before, now = self._seen[name], self._clock()
        good_at = now
        if finding.condition == "down":
            good_at = -math.inf if before is None else before.good_at
        latency_ms = None if error is not None else round((now - began) * 1000, 3)
        self._seen[name] = Seen(finding, now, latency_ms, good_at)
        if all(self._seen.values()):
            self._all_seen.set()
        if finding.condition != ("operational" if before is None else before.finding.condition):
            self._tell(name, finding, error)

    @staticmethod
    def _tell(name: str, finding: Finding, error: Exception | None) -> None:
        if finding.condition == "operational":
            logger.info("%s: operational again", name)
        else:
            logger.warning("%s: %s: %s", name, finding.condition, _for_operators(finding, error))


@contextlib.asynccontextmanager
async def probing(probe: Probe) -> AsyncIterator[None]:
    """Within the block *probe* looks, and as a rule it has looked once at everything before."""
    probe.start()
    try:
        await asyncio.to_thread(probe.wait_seen, _FIRST_S)
        yield
    finally:
        await asyncio.to_thread(probe.close)


def _finding_of(error: Exception) -> Finding:
    """Return what it means that a look raised *error*."""
    return Finding("degraded" if isinstance(error, Overloaded) else "down", trouble(error))


def _for_operators(finding: Finding, error: Exception | None) -> str:
    """Return what the log says: our own errors name the place; others' words may hold anything."""
    if error is None:
        return str(finding.detail)
    ours = isinstance(error, ProducerError | StoreError)
    return str(error) if ours else type(error).__name__
