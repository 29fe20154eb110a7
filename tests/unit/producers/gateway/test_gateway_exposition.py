"""What Prometheus gets to read, read back with its own parser."""

import asyncio
import platform
import re
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.samples import Sample

from producers.admission import QueueState
from producers.gateway.call import Call
from producers.gateway.caller import ANONYMOUS, Caller
from producers.gateway.errors import Forbidden, Unauthenticated
from producers.gateway.monitoring import metrics
from producers.gateway.monitoring.condition import Finding, Seen, ServiceState
from producers.gateway.monitoring.exposition import Exposition, Families
from producers.gateway.monitoring.fleet import FleetView
from producers.gateway.monitoring.meter import Counts, Durations, RequestMeter
from producers.gateway.monitoring.probe import Probe
from producers.gateway.ports import OpenDoor
from workers.monitoring.export.exposition import Fleet
from workers.monitoring.export.totals import Total
from workers.monitoring.metrics import REQUESTS as FLEET_REQUESTS
from workers.monitoring.samples import Sample as Measured
from workers.monitoring.samples import Series

COUNTS = Counts(
    requests={("/api/v2/process", "POST", "2xx"): 3},
    durations={"/api/v2/process": Durations([1, 0, 2, *[0] * 13], 0.007)},
    refusals={"OVERLOADED": 1},
    in_flight=2,
    jobs=4,
    cache_hits=1,
    cache_misses=3,
)
NO_FILE = Path("/nowhere/ion.db")
NOW_S = 1_790_000_000.0
FLEET = Fleet(
    (Total(Series("us", FLEET_REQUESTS.name, ("process",)), Measured(3, 12.0, 1.0, 9.0, NOW_S - 2)),),
    (),
    NOW_S,
)
QUEUES = (("interactive", QueueState(2, 0.5)), ("bulk", QueueState(0)), ("dead", QueueState(1)))
STATE = ServiceState(
    {
        "broker": Seen(Finding(queues=QUEUES), 9.9, 1.5, 9.9),
        "replies": Seen(Finding("down", "it does not answer"), 9.9),
        "workers": Seen(Finding(workers=2), 9.9, 0.5, 9.9),
    },
    10.0,
)


class Blind:
    """Nothing has been seen yet."""

    def look(self) -> Finding:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Door(OpenDoor):
    """Lets one caller in."""

    def __init__(self, caller: Caller | None) -> None:
        self._caller = caller

    async def admit(self, call: Call) -> Caller:  # noqa: ARG002 - the protocol's signature
        if self._caller is None:
            raise Unauthenticated("send an API key")
        return self._caller


def shown(caller: Caller | None = ANONYMOUS, accept: str = "") -> tuple[str, str]:
    """Return the body and media type that *caller* gets."""
    meter = RequestMeter()
    meter._counts = COUNTS
    probe = Probe(dict.fromkeys(STATE.seen, Blind()))
    view = FleetView(lambda: f"sqlite:///{NO_FILE}")
    exposition = Exposition(meter, None, probe, Door(caller), view, home="eu", version="1.2.3")
    call = Call.of({"headers": [(b"accept", accept.encode())]})
    response = asyncio.run(exposition.metrics(call))
    return bytes(response.body).decode(), response.headers["content-type"]


def samples(fleet: Fleet | None = None) -> dict[tuple[str, ...], float]:
    """Return every sample of the counts, the state and *fleet*, by its name and the values of its labels."""
    found: dict[tuple[str, ...], float] = {}
    for family in Families(COUNTS, STATE, fleet, "eu", "1.2.3").collect():
        for sample in family.samples:
            found[_named(sample)] = sample.value
    return found


def _named(sample: Sample) -> tuple[str, ...]:
    return (sample.name.removeprefix("ion_gateway_"), *sample.labels.values())


def test_every_metric_of_the_table_is_shown_with_its_help() -> None:
    text, media_type = shown()
    families = {family.name: family for family in read_text(text)}

    assert media_type.startswith("text/plain")
    assert set(families) == {metric.name.removesuffix("_total") for metric in metrics.ALL}
    for metric in metrics.ALL:
        family = families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.about)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)


def test_who_asks_for_openmetrics_gets_it() -> None:
    text, media_type = shown(accept="application/openmetrics-text; version=1.0.0")

    assert media_type.startswith("application/openmetrics-text")
    families = read_openmetrics(text)  # type: ignore[no-untyped-call] # it alone has no annotations
    assert {"ion_gateway_jobs", "ion_gateway_workers"} <= {family.name for family in families}


def test_counts_are_shown_as_they_are() -> None:
    found = samples()

    assert found["requests_total", "/api/v2/process", "POST", "2xx"] == 3
    assert (found["jobs_total",], found["cache_hits_total",], found["cache_misses_total",]) == (4, 1, 3)
    assert (found["requests_in_flight",], found["refusals_total", "OVERLOADED"]) == (2, 1)
    assert (found["build_info", "1.2.3", platform.python_version()], found["processes",]) == (1, 1)


def test_a_histogram_is_cumulative_and_ends_with_all() -> None:
    """1 up to 1 ms and 2 more up to 5 ms: 1, 1, 3, 3, ... 3."""
    found = samples()
    route, name = "/api/v2/process", "request_duration_seconds"

    up_to = [found[f"{name}_bucket", route, bound] for bound in ("0.001", "0.0025", "0.005", "+Inf")]
    assert up_to == [1, 1, 3, 3]
    assert (found[f"{name}_count", route], found[f"{name}_sum", route]) == (3, 0.007)


def test_gauges_are_what_the_probe_has_seen_in_base_units() -> None:
    found = samples()

    assert (found["dependency_up", "broker"], found["dependency_up", "replies"]) == (1, 0)
    assert found["dependency_latency_seconds", "broker"] == 0.0015
    assert (found["queue_length", "interactive"], found["workers",]) == (2, 2)


def test_what_nobody_tells_is_not_shown() -> None:
    """An empty queue has no oldest message: 0; that of a broker that tells no ages is not there."""
    found = samples()

    assert found["queue_oldest_age_seconds", "interactive"] == 0.5
    assert found["queue_oldest_age_seconds", "bulk"] == 0
    assert ("queue_oldest_age_seconds", "dead") not in found
    assert ("dependency_latency_seconds", "replies") not in found


def test_the_fleet_is_shown_besides_and_how_old_that_is() -> None:
    found = samples(FLEET)

    assert (found["fleet_readable",], found["fleet_age_seconds",]) == (1, 2)
    assert found["ion_requests_total", "us", "process"] == 12


def test_without_its_database_a_gateway_shows_its_own_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is lacking is not 0: it is not there."""
    text = shown()[0]

    assert "ion_gateway_fleet_readable 0.0" in text
    assert "ion_gateway_jobs_total 4.0" in text
    assert "ion_requests_total" not in text
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "metrics lack what the fleet measures" in caplog.text


@pytest.mark.parametrize(
    "caller", [Caller("prometheus", "service"), Caller("ops", "admin")], ids=lambda caller: caller.role
)
def test_operators_may_look(caller: Caller) -> None:
    assert "ion_gateway_jobs_total 4.0" in shown(caller)[0]


def test_others_may_not() -> None:
    with pytest.raises(Forbidden, match="service or admin"):
        shown(Caller("u-1", "user"))
    with pytest.raises(Unauthenticated):
        shown(None)


def test_the_documentation_has_every_metric_and_no_other() -> None:
    page = Path(__file__).parents[4] / "docs" / "gateway-operations.md"
    rows = re.findall(r"^\| `(ion_gateway_\w+)` \| (.*) \| (.*) \|$", page.read_text("utf-8"), re.MULTILINE)

    assert rows == [
        (metric.name, ", ".join(f"`{label}`" for label in metric.labels), metric.about)
        for metric in metrics.ALL
    ]
