"""What the gateway puts into the audit log, and what happens when that cannot be done."""

import asyncio
import contextlib
import threading

import pytest

from producers.errors import Unavailable
from producers.gateway.access.audit import AuditLog
from producers.gateway.call import Call
from producers.gateway.caller import ANONYMOUS, Caller
from workers.store.audit import Entry
from workers.store.errors import StoreUnavailable

ADMIN = Caller("ops", "admin", "key")


class World:
    """A table that takes entries unless it is away, and a clock."""

    def __init__(self) -> None:
        self.rows: list[Entry] = []
        self.away = False
        self.go = threading.Event()
        self.go.set()
        self.now_s = 0.0
        self.log = AuditLog(self._append, lambda: self.now_s, lambda: 1_800_000_000.0)

    def _append(self, entry: Entry) -> None:
        self.go.wait(10)
        if self.away:
            raise StoreUnavailable("the database", "locked by another process", "try again")
        self.rows.append(entry)

    def record(
        self,
        caller: Caller = ADMIN,
        action: str = "cache.clear",
        address: str = "192.0.2.7",
        *,
        allowed: bool,
    ) -> None:
        call = Call.of({"method": "POST", "headers": [], "client": (address, 1)})
        call.caller, call.request_id = caller, "r-1"

        async def story() -> None:
            log = self.log
            await log.record(call, action, "user:42", allowed=allowed)
            await log.close()

        asyncio.run(story())


def test_a_row_says_who_did_what_to_what_from_where() -> None:
    world = World()
    world.record(allowed=True)
    assert world.rows == [
        Entry(
            at_ms=1_800_000_000_000,
            subject="ops",
            role="admin",
            proof="key",
            action="cache.clear",
            target="user:42",
            allowed=True,
            request_id="r-1",
            address="192.0.2.7",
        )
    ]


def test_nobody_is_called_by_a_name() -> None:
    """Before it is known who calls, and where anybody may, a call is that of ANONYMOUS."""
    world = World()
    world.record(ANONYMOUS, allowed=False)
    (row,) = world.rows
    assert (row.subject, row.role, row.proof, row.address) == ("", "", "none", "192.0.2.7")


def test_what_is_allowed_is_always_recorded() -> None:
    world = World()
    for _ in range(3):
        world.record(allowed=True)
    assert len(world.rows) == 3


def test_what_cannot_be_recorded_must_not_be_done(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.away = True
    with pytest.raises(Unavailable, match="the audit log is not available") as caught:
        world.record(allowed=True)
    assert "locked" not in str(caught.value)  # which is for operators
    assert "locked by another process" in caplog.text
    assert "user:42" not in caplog.text


def test_a_refusal_is_the_same_whether_it_can_be_recorded_or_not(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.away = True
    world.record(allowed=False)
    assert "locked by another process" in caplog.text


def test_a_refusal_does_not_wait_for_the_database() -> None:
    world = World()
    call = Call.of({"method": "POST", "headers": [], "client": ("192.0.2.7", 1)})

    async def story() -> None:
        world.go.clear()
        await world.log.record(call, "credentials", "", allowed=False)
        assert world.rows == []
        world.go.set()
        await world.log.close()
        assert len(world.rows) == 1

    asyncio.run(story())


def test_an_outage_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    for world.away in (True, False, True):
        for _ in range(3):
            with contextlib.suppress(Unavailable):
                world.record(allowed=True)
    assert len(caplog.records) == 2


def test_the_same_refusal_is_recorded_once_in_ten_seconds() -> None:
    world = World()
    for now_s in (0.0, 9.9, 10.0):
        world.now_s = now_s
        world.record(allowed=False)
    assert len(world.rows) == 2


def test_other_callers_addresses_and_actions_are_other_refusals() -> None:
    world = World()
    mina = Caller("mina", "user", "key")
    for caller, action, address in (
        (mina, "cache.clear", "192.0.2.7"),
        (mina, "job.read", "192.0.2.7"),
        (ADMIN, "cache.clear", "192.0.2.7"),
        (ANONYMOUS, "credentials", "192.0.2.7"),
        (ANONYMOUS, "credentials", "192.0.2.8"),
    ):
        for _ in range(2):
            world.record(caller, action, address, allowed=False)
    assert len(world.rows) == 5


def test_an_attack_from_everywhere_does_not_fill_the_database() -> None:
    """A thousand rows in 10 s at most; what is allowed is none of them."""
    world = World()
    for number in range(1_100):
        world.record(ANONYMOUS, "credentials", f"2001:db8::{number:x}", allowed=False)
    assert len(world.rows) == 1_000
    world.record(allowed=True)
    assert len(world.rows) == 1_001
    world.now_s = 10.0
    world.record(ANONYMOUS, "credentials", "2001:db8::ffff", allowed=False)
    assert len(world.rows) == 1_002
