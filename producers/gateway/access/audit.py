"""The audit log as the gateway writes it: one row for each deed, in a thread, before the deed.

What is allowed is recorded or does not happen.  A refusal happens in any case and waits for nothing, so that
an outage of the database changes no refusal.  The same one of the same caller is recorded once in 10 s, and
no more than 1,000 of them at all in 10 s, so that an attack cannot fill the database.

Units: seconds.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from producers.errors import Unavailable
from producers.gateway.aside import Aside
from producers.gateway.call import Call
from workers.store.audit import Entry
from workers.store.errors import StoreError

WHAT = "the audit log"
PATIENCE_S = 5.0
_SAME_S, _MOST_SAME = 10.0, 1_000

Clock = Callable[[], float]

logger = logging.getLogger(__name__)


class AuditLog:
    """Keeps entries with *append*, which may block."""

    def __init__(
        self, append: Callable[[Entry], None], clock: Clock = time.monotonic, now: Clock = time.time
    ) -> None:
        self._append, self._clock, self._now = append, clock, now
        self._aside = Aside(WHAT, PATIENCE_S)
        self._refused: dict[tuple[str, str], float] = {}  # who and what -> when, the oldest first
        self._under_way: set[asyncio.Task[bool]] = set()
        self._failing = False

    async def record(self, call: Call, action: str, target: str, *, allowed: bool) -> None:
        """Keep that the caller of *call* did, or was refused, *action* on *target*.

        Raises Unavailable when something that is allowed cannot be kept.
        """
        entry = self._entry(call, action, target, allowed=allowed)
        if allowed:
            if not await self._kept(entry):
                raise Unavailable(WHAT, "it takes no entries, so this is not done")
        elif not self._told_already(entry.subject or entry.address, action):
            task = asyncio.create_task(self._kept(entry))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._under_way)

    async def _kept(self, entry: Entry) -> bool:
        """Say whether *entry* was kept; log the first of several failures."""
        try:
            await self._aside.run(lambda: self._append(entry))
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was kept
            if not self._failing:
                told = isinstance(error, StoreError | Unavailable)
                logger.warning("the audit log takes no entries: %s", error if told else type(error).__name__)
            self._failing = True
            return False
        self._failing = False
        return True

    def _entry(self, call: Call, action: str, target: str, *, allowed: bool) -> Entry:
        caller = call.caller
        known = caller.proof != "none"
        return Entry(
            at_ms=int(self._now() * 1000),
            subject=caller.subject if known else "",
            role=caller.role if known else "",
            proof=caller.proof,
            action=action,
            target=target,
            allowed=allowed,
            request_id=call.request_id,
            address=call.address,
        )

    def _told_already(self, who: str, action: str) -> bool:
        now, refused = self._clock(), self._refused
        while refused and next(iter(refused.values())) <= now - _SAME_S:
            del refused[next(iter(refused))]
        if (who, action) in refused or len(refused) >= _MOST_SAME:
            return True
        refused[who, action] = now
        return False
