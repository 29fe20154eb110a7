"""The metrics as Prometheus reads them, or OpenMetrics if the scraper asks for it.

The gateway's own come from memory, and those of the whole fleet from its database.

Source: prometheus_client 0.26, custom collectors.
"""

import asyncio
import platform
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import TypeVar

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from starlette.responses import Response as HttpResponse

from producers.admission import QueueState
from producers.gateway.call import TheCall
from producers.gateway.errors import Forbidden
from producers.gateway.monitoring import metrics
from producers.gateway.monitoring.condition import ServiceState
from producers.gateway.monitoring.fleet import FleetView
from producers.gateway.monitoring.meter import Counts, RequestMeter, SharedCounts, sharing, unpacked
from producers.gateway.monitoring.metrics import BUCKETS_S, Metric
from producers.gateway.monitoring.probe import Probe
from producers.gateway.ports import Door
from workers.monitoring.export.exposition import Fleet, families

_BOUNDS = (*map(str, BUCKETS_S), "+Inf")

LabelsT = TypeVar("LabelsT", bound=tuple[str, ...])


class Exposition:
    """Shows what *meter* and other processes of this port have counted, *probe* has seen, and *fleet* has.

    *home* is the gateway's own region, *version* the package's.
    """

    def __init__(
        self,
        meter: RequestMeter,
        shared: SharedCounts | None,
        probe: Probe,
        door: Door,
        fleet: FleetView,
        *,
        home: str,
        version: str,
    ) -> None:
        self.meter = meter
        self._shared, self._probe, self._door, self._fleet = shared, probe, door, fleet
        self._home, self._version = home, version

    @asynccontextmanager
    async def sharing(self) -> AsyncIterator[None]:
        """Let the other processes know what this one counts, within the block; then give connections back."""
        async with nullcontext() if self._shared is None else sharing(self.meter, self._shared):
            yield
        await asyncio.to_thread(self._fleet.close)

    async def metrics(self, call: TheCall) -> HttpResponse:
        """Show the metrics of all processes, in Prometheus' text format or as OpenMetrics.

        For the roles service and admin.
        """
        caller = await self._door.admit(call)
        if caller.role == "user":
            raise Forbidden("this takes the role service or admin")
        encode, media_type = choose_encoder(call.header("accept") or "")
        counts, state = unpacked(self.meter.packed()), self._probe.state()
        shown = Families(counts, state, await self._fleet.read(), self._home, self._version)
        return HttpResponse(
            await asyncio.to_thread(self._shown, shown, encode), headers={"content-type": media_type}
        )

    def _shown(self, shown: "Families", encode: Callable[[Collector], bytes]) -> bytes:
        if self._shared is not None:
            for counts in self._shared.of_others():
                shown.counts.add(counts)
        return encode(shown)


class Families(Collector):
    """*counts*, *state* and, if it can be read, *fleet*, as prometheus_client's families of samples."""

    def __init__(
        self, counts: Counts, state: ServiceState, fleet: Fleet | None, home: str, version: str
    ) -> None:
        self.counts, self._state, self._fleet = counts, state, fleet
        self._home, self._version = home, version

    def collect(self) -> Iterator[Family]:
        """Yield every metric of the gateway's table and of the fleet's, with the samples that there are."""
        counts = self.counts
        yield _counter(metrics.REQUESTS, counts.requests)
        yield self._durations()
        yield _gauge(metrics.IN_FLIGHT, {(): counts.in_flight})
        yield _counter(metrics.REFUSALS, {(code,): count for code, count in counts.refusals.items()})
        yield _counter(metrics.JOBS, {(): counts.jobs})
        yield _counter(metrics.CACHE_HITS, {(): counts.cache_hits})
        yield _counter(metrics.CACHE_MISSES, {(): counts.cache_misses})
        yield _gauge(metrics.BUILD, {(self._version, platform.python_version()): 1})
        yield _gauge(metrics.PROCESSES, {(): counts.processes})
        yield from self._of_state()
        yield from self._of_fleet()

    def _of_fleet(self) -> Iterator[Family]:
        fleet = self._fleet
        age_s = None if fleet is None else fleet.age_s
        yield _gauge(metrics.FLEET_READABLE, {(): float(fleet is not None)})
        yield _gauge(metrics.FLEET_AGE, {} if age_s is None else {(): age_s})
        if fleet is not None:
            yield from families(fleet, self._home)

    def _durations(self) -> Family:
        shown = metrics.DURATION
        family = HistogramMetricFamily(shown.name, shown.about, labels=shown.labels)
        for route, durations in self.counts.durations.items():
            so_far, buckets = 0, []
            for bound, count in zip(_BOUNDS, durations.buckets, strict=True):
                so_far += count
                buckets.append((bound, so_far))
            family.add_metric((route,), buckets, durations.total_s)
        return family

    def _of_state(self) -> Iterator[Family]:
        told = self._state.dependencies()
        queues, workers = dict(self._state.queues()), self._state.workers()
        up = {(name,): float(one["status"] != "down") for name, one in told.items()}
        latencies = {
            (name,): one["latency_ms"] / 1000 for name, one in told.items() if one["latency_ms"] is not None
        }
        ages = {(name,): age_s for name, queue in queues.items() if (age_s := _age_s(queue)) is not None}
        yield _gauge(metrics.DEPENDENCY_UP, up)
        yield _gauge(metrics.DEPENDENCY_LATENCY, latencies)
        yield _gauge(metrics.QUEUE_LENGTH, {(name,): queue.length for name, queue in queues.items()})
        yield _gauge(metrics.QUEUE_AGE, ages)
        yield _gauge(metrics.WORKERS, {} if workers is None else {(): workers})


def _age_s(queue: QueueState) -> float | None:
    return queue.oldest_age_s if queue.length else 0.0


def _counter(shown: Metric, counts: Mapping[LabelsT, float]) -> Family:
    family = CounterMetricFamily(shown.name, shown.about, labels=shown.labels)
    for labels, count in counts.items():
        family.add_metric(labels, count)
    return family


def _gauge(shown: Metric, values: Mapping[LabelsT, float]) -> Family:
    family = GaugeMetricFamily(shown.name, shown.about, labels=shown.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
