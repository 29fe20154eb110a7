"""The link's thread, on a channel made of queues."""

import logging
import queue
from collections.abc import Iterator

import pytest

from persona_system.cache import link as link_module
from persona_system.cache.link import PONG, Link
from persona_system.errors import Unavailable
from tests.support.wait import wait_until

GONE = Unavailable("the cache store", "gone")


class Wire:
    """A channel, and what its listener was told.  Answers pings unless it is silent."""

    def __init__(self) -> None:
        self.reachable, self.silent = True, False
        self.told: list[str] = []
        self.trouble: Exception | None = None  # of the next tick
        self._messages: queue.Queue[tuple[bytes, bytes]] = queue.Queue()

    def send(self, payload: bytes) -> None:
        self._messages.put((b"news", payload))

    def connect(self) -> "Wire":
        self.told.append("connect")
        if not self.reachable:
            raise GONE
        return self

    def poll(self, patience_s: float) -> list[tuple[bytes, bytes]]:
        if not self.reachable:
            raise GONE
        try:
            return [self._messages.get(timeout=patience_s)]
        except queue.Empty:
            return []

    def ping(self) -> None:
        if not self.silent:
            self._messages.put((PONG, b""))

    def close(self) -> None:
        self.told.append("closed")

    def hear(self, payload: bytes) -> None:
        self.told.append(payload.decode())

    def forget(self) -> None:
        self.told.append("forget")

    def broke(self) -> None:
        self.told.append("broke")

    def arrived(self) -> None:
        self.told.append("arrived")

    def tick(self) -> None:
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    for name, seconds in (("POLL_S", 0.005), ("PING_EVERY_S", 0.05), ("FIRST_BACKOFF_S", 0.01)):
        monkeypatch.setattr(link_module, name, seconds)
    return Wire()


@pytest.fixture
def link(wire: Wire) -> Iterator[Link]:
    made = Link(wire)
    yield made
    made.close()


def test_it_is_down_until_it_was_started_and_forgets_before_it_is_up(wire: Wire, link: Link) -> None:
    assert not link.up
    assert link.wait_until_up(10)
    wait_until(lambda: "arrived" in wire.told)
    assert wire.told == ["connect", "forget", "arrived"]
    link.start()  # once more changes nothing
    wire.send(b"a")
    wire.send(b"b")
    wait_until(lambda: wire.told[3:] == ["a", "b"])


def test_a_store_that_is_away_is_told_once(wire: Wire, link: Link, caplog: pytest.LogCaptureFixture) -> None:
    wire.reachable = False
    assert not link.wait_until_up(0.1)
    wait_until(lambda: wire.told.count("connect") >= 3)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    wire.reachable = True
    assert link.wait_until_up(10)
    assert [record.getMessage() for record in caplog.records][1:] == ["the cache is on again"]


def test_whoever_loses_it_has_everything_forgotten_before_it_comes_back(wire: Wire, link: Link) -> None:
    assert link.wait_until_up(10)
    wait_until(lambda: "arrived" in wire.told)
    del wire.told[:]
    link.lost(GONE)
    assert wire.told[:2] == ["broke", "forget"]
    link.lost(GONE)  # nobody counts it twice
    wait_until(lambda: link.up and wire.told.count("arrived") == 1)
    assert wire.told.count("broke") == 1
    assert wire.told.index("closed") < wire.told.index("connect") < wire.told.index("arrived")


def test_a_server_that_is_silent_is_dead(wire: Wire, link: Link, caplog: pytest.LogCaptureFixture) -> None:
    assert link.wait_until_up(10)
    wire.silent = True
    wait_until(lambda: "broke" in wire.told)
    assert "gone silent" in caplog.text


def test_a_server_that_answers_pings_is_alive(wire: Wire, link: Link) -> None:
    pings: list[int] = []
    ping = wire.ping
    wire.ping = lambda: (pings.append(1), ping())[1]  # type: ignore[method-assign, func-returns-value]
    assert link.wait_until_up(10)
    wait_until(lambda: len(pings) >= 4)
    assert "broke" not in wire.told


@pytest.mark.parametrize("trouble", [GONE, ZeroDivisionError("a bug")])
def test_trouble_in_its_own_work_takes_it_down_and_it_tries_again(
    wire: Wire, link: Link, trouble: Exception
) -> None:
    assert link.wait_until_up(10)
    wire.trouble = trouble
    wait_until(lambda: "broke" in wire.told and link.up and wire.told[-1] == "arrived")


def test_a_bug_while_connecting_does_not_end_it(
    wire: Wire, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    connect, failures = wire.connect, [ZeroDivisionError("a bug")]

    def at_first_wrong() -> Wire:
        if failures:
            raise failures.pop()
        return connect()

    wire.connect = at_first_wrong  # type: ignore[method-assign]
    assert link.wait_until_up(10)
    assert "ZeroDivisionError" in caplog.text


def test_a_closed_link_stays_down(wire: Wire, link: Link) -> None:
    assert link.wait_until_up(10)
    link.close()
    assert not link.up
    assert not link.wait_until_up(10)
    link.start()
    assert (link.up, wire.told[-1]) == (False, "closed")
    link.close()
