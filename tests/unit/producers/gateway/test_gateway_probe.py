"""The probe's threads, looking at things that a test turns on and off."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from producers.errors import AccessDenied, NotWritable, Overloaded, Unavailable
from producers.gateway.monitoring.condition import Finding
from producers.gateway.monitoring.looks import trouble
from producers.gateway.monitoring.probe import Probe, probing
from tests.support.wait import wait_until
from workers.store.errors import StoreUnavailable, UnusableUrl

ADDRESS = "Error 111 connecting to 10.1.2.3:6379. Connection refused."


class Switch:
    """Something to look at; *error* is what a look raises, *held* keeps looks waiting."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.looks, self.closed = 0, False
        self.held = threading.Event()
        self.held.set()

    def look(self) -> Finding:
        self.held.wait()
        self.looks += 1
        if self.error is not None:
            raise self.error
        return Finding()

    def close(self) -> None:
        self.closed = True


@contextmanager
def probe_of(**switches: Switch) -> Iterator[Probe]:
    probe = Probe(switches, every_s=0.001)
    probe.start()
    try:
        yield probe
    finally:
        for switch in switches.values():
            switch.held.set()
        probe.close()
        assert all(switch.closed for switch in switches.values())


def status(probe: Probe, name: str) -> str:
    return probe.state().dependencies()[name]["status"]


def test_it_looks_again_and_again() -> None:
    broker = Switch()
    with probe_of(broker=broker) as probe:
        assert probe.wait_seen(10)
        assert status(probe, "broker") == "operational"

        broker.error = Unavailable("the broker", ADDRESS)
        wait_until(lambda: status(probe, "broker") == "down")
        broker.error = None
        wait_until(lambda: status(probe, "broker") == "operational")


def test_one_that_hangs_holds_up_nobody_else() -> None:
    hanging, other = Switch(), Switch()
    hanging.held.clear()
    with probe_of(broker=hanging, cache=other) as probe:
        wait_until(lambda: other.looks > 3)

        assert not probe.wait_seen(0)
        assert probe.state().seen["broker"] is None
        assert status(probe, "cache") == "operational"


def test_when_it_was_last_good_outlives_an_outage() -> None:
    workers = Switch()
    with probe_of(workers=workers) as probe:
        assert probe.wait_seen(10)
        workers.error = Unavailable("the broker", ADDRESS)
        wait_until(lambda: status(probe, "workers") == "down")
        first = probe.state().seen["workers"]
        looks = workers.looks
        wait_until(lambda: workers.looks > looks + 2)
        later = probe.state().seen["workers"]

    assert first is not None
    assert later is not None
    assert later.good_at == first.good_at < first.at < later.at
    assert later.latency_ms is None


def test_a_bug_in_a_look_is_told_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Its words may be anybody's, so the log has its type alone."""
    broker = Switch()
    broker.error = ValueError("my secret words")
    with caplog.at_level(logging.INFO), probe_of(broker=broker) as probe:
        wait_until(lambda: broker.looks > 3)
        assert probe.state().dependencies()["broker"]["detail"] == "it cannot be looked at; see the log"
        broker.error = None
        wait_until(lambda: status(probe, "broker") == "operational")

    assert [record.getMessage() for record in caplog.records] == [
        "broker: down: ValueError",
        "broker: operational again",
    ]


def test_a_full_server_is_degraded_and_not_away() -> None:
    broker = Switch()
    broker.error = Overloaded("the memory of the broker is full", 2.0)
    with probe_of(broker=broker) as probe:
        wait_until(lambda: status(probe, "broker") == "degraded")


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("the broker", ADDRESS),
        AccessDenied("the broker", f"it denies this user a command ({ADDRESS})"),
        NotWritable("the broker", ADDRESS),
        Overloaded(ADDRESS, 2.0),
        StoreUnavailable("the database", "there is none at /var/lib/10.1.2.3"),
        UnusableUrl("10.1.2.3", "fix"),
        ValueError(ADDRESS),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_everybody_reads_names_no_address(error: Exception) -> None:
    assert trouble(error)
    assert "10.1.2.3" not in trouble(error)


def test_without_a_fleet_it_says_what_to_do() -> None:
    assert "ION_BROKER_URL" in trouble(Unavailable("the fleet", "no stack runs in /home/me/.ion"))


def test_a_gateway_begins_with_a_look_at_everything() -> None:
    broker = Switch()

    async def story() -> str:
        probe = Probe({"broker": broker})
        async with probing(probe):
            return status(probe, "broker")

    assert asyncio.run(story()) == "operational"
    assert broker.closed
