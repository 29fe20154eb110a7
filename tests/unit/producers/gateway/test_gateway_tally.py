"""The gateway tells once a second of the requests that it served, and measures how long each took."""

import asyncio
import time
from typing import Any

import pytest

from producers.errors import Unavailable
from producers.gateway.call import Call
from producers.gateway.monitoring.tally import RequestTally, telling
from tests.support.async_wait import until
from tests.support.measuring import ListRecorder
from workers.monitoring.events import APIRequestEvent, Event
from workers.operations.measuring import Measuring


class Route:
    def __init__(self, path: str) -> None:
        self.path = path


class CountingMeter:
    """The meter behind a tally."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def began(self) -> None:
        self.seen.append(-1)

    def answered(self, call: Call, status: int) -> None:
        _ = call
        self.seen.append(status)


class Gateway:
    """A tally, and what it told."""

    def __init__(self) -> None:
        self.recorder, self.inner = ListRecorder(), CountingMeter()
        self.told: list[Event] = []
        self.away, self.refusals = False, 0
        self.measuring = Measuring("eu", self.recorder, self.told.append)
        self.tally = RequestTally(self.inner, self._measuring)

    def _measuring(self) -> Measuring:
        if self.away:
            self.refusals += 1
            raise Unavailable("the fleet", "told to be away")
        return self.measuring

    def serve(
        self, status: int, path: str | None = "/api/v2/process", method: str = "POST", code: str | None = None
    ) -> None:
        scope: dict[str, Any] = {"type": "http", "method": method, "headers": []}
        if path is not None:
            scope["route"] = Route(path)
        self.tally.began()
        self.tally.answered(Call(scope, {}, "id", started=time.perf_counter() - 0.05, code=code), status)

    def events(self) -> list[APIRequestEvent]:
        self.tally.tell(self.tally.take())
        return [event for event in self.told if isinstance(event, APIRequestEvent)]


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def test_requests_are_added_up_by_route_method_and_status(gateway: Gateway) -> None:
    for _ in range(3):
        gateway.serve(200)
    gateway.serve(429, code="RATE_LIMITED")
    gateway.serve(200, "/api/v2/health", "GET")
    events = {(event.route, event.method, event.status): event for event in gateway.events()}
    served = events["/api/v2/process", "POST", 200]

    assert len(events) == 3
    assert (served.requests, served.region) == (3, "eu")
    assert served.total_ms >= 150
    assert 50 <= served.slowest_ms <= served.total_ms
    assert events["/api/v2/process", "POST", 429].codes == {"RATE_LIMITED": 1}


def test_how_long_each_took_is_measured_by_route(gateway: Gateway) -> None:
    for status in (200, 200, 503):
        gateway.serve(status)
    gateway.events()

    assert [labels for _, labels, _ in gateway.recorder.taken] == [("/api/v2/process",)] * 3
    assert all(value >= 50 for value in gateway.recorder.values("http_time"))


def test_what_callers_send_is_no_label(gateway: Gateway) -> None:
    gateway.serve(404, None, "BREW")
    (event,) = gateway.events()

    assert (event.route, event.method) == ("none", "other")


def test_the_meter_behind_it_counts_as_ever(gateway: Gateway) -> None:
    gateway.serve(200)
    gateway.serve(0)

    assert gateway.inner.seen == [-1, 200, -1, 0]


def test_it_tells_while_it_runs_and_at_the_end(gateway: Gateway) -> None:
    async def run() -> None:
        async with telling(gateway.tally, every_s=0.01):
            gateway.serve(200)
            await until(lambda: gateway.told)
            gateway.serve(201)

    asyncio.run(run())

    assert [event.status for event in gateway.told if isinstance(event, APIRequestEvent)] == [200, 201]


def test_without_a_fleet_there_is_nobody_to_tell(gateway: Gateway) -> None:
    """And it is asked again the next time."""

    async def run() -> None:
        gateway.away = True
        async with telling(gateway.tally, every_s=0.01):
            gateway.serve(200)
            await until(lambda: gateway.refusals)
            gateway.away = False
            gateway.serve(201)

    asyncio.run(run())

    assert [event.status for event in gateway.told if isinstance(event, APIRequestEvent)] == [201]
