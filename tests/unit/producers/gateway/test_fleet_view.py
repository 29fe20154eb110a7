"""The fleet's measurements are read from a database that may be away, be made later, or be another one."""

import asyncio
import logging
from pathlib import Path

import pytest

from producers.gateway.monitoring import fleet
from producers.gateway.monitoring.fleet import FleetView
from tests.support.measured import NOW_S, measured
from workers.monitoring.metrics import CPU, REQUESTS
from workers.monitoring.samples import Series
from workers.store.engine import open_store
from workers.store.metric_store import MetricStore


def put(url: str, *values: float) -> None:
    with open_store(url) as store:
        news = [measured(REQUESTS, *values, labels=("process",)), measured(CPU, 40)]
        MetricStore(store).add(news, NOW_S)


def test_an_outage_is_said_once_and_so_is_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    url = f"sqlite:///{tmp_path / 'ion.db'}"
    view = FleetView(lambda: url, clock=lambda: NOW_S + 3)

    async def read() -> None:
        assert await view.read() is None
        assert await view.read() is None
        put(url, 4, 5)
        found = await view.read()
        assert found is not None
        totals = {total.series: total.sample.total for total in found.totals}
        assert totals[Series("local", REQUESTS.name, ("process",))] == 9
        assert [row.series.metric for row in found.latest] == [CPU.name]
        assert found.age_s == 3

    asyncio.run(read())
    view.close()
    view.close()
    said = [
        record.getMessage().partition(":")[0] for record in caplog.records if record.name == fleet.__name__
    ]
    assert said == ["metrics lack what the fleet measures", "metrics have again what the fleet measures"]


def test_another_address_is_another_database(tmp_path: Path) -> None:
    """As that of a local stack that was started anew elsewhere."""
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("one", "two")]
    for number, url in enumerate(urls, start=1):
        put(url, number)
    at = iter(urls)
    view = FleetView(lambda: next(at), clock=lambda: NOW_S)

    async def totals() -> list[float]:
        return [
            total.sample.total
            for _ in urls
            for total in (await view.read() or pytest.fail("unreadable")).totals
            if total.series.metric == REQUESTS.name
        ]

    assert asyncio.run(totals()) == [1, 2]
    view.close()
