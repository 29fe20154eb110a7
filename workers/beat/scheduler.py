"""Celery's scheduler, with the lead and the slots in place of a file: it sends what the server lets it send.

Each look, once a second, renews the lead or sees who has it.  The leader asks which slots are due, makes sure
that the broker is there, claims each slot and publishes its message.  A beat that is killed between the claim
and the message loses that one tick: at most one a slot, and the next slot does the work.

Units:   seconds, and milliseconds where a name ends in ``_ms``.
Errors:  none leave ``tick``: with a server away, nothing is sent and the next look tries again.
Source:  celery/beat.py 5.7: ``Service`` sleeps for as long as ``tick`` says, and calls ``close`` twice.
"""

import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from celery.beat import Scheduler
from kombu.exceptions import OperationalError

from workers.beat.deadman import DeadMan, DeadManThread, Means
from workers.beat.lease import Lease, View
from workers.beat.schedule import due, next_slot_ms
from workers.contract.periodic import EPOCH_HEADER, SLOT_HEADER, Periodic, read_table
from workers.observability.check_ins import CheckIns, NoCheckIns

logger = logging.getLogger(__name__)

_LEAD_STORE = "the server that keeps the lead"
_BROKER = "the broker"


class LeasedScheduler(Scheduler):  # type: ignore[misc]  # Celery has no types
    """Sends periodic work if it leads.  *url* is the server that keeps the lead, as redis-py has it.

    *ready_file* is there from the first answer of that server to the end of this beat.  *check_ins* are told
    of each tick.  *watching* gives what the dead-man's switch of the alerts works with; None: there is none.
    """

    def __init__(
        self,
        *args: Any,
        url: str,
        ready_file: Path | None = None,
        check_ins: CheckIns | None = None,
        watching: Callable[[], Means] | None = None,
        **given: Any,
    ) -> None:
        self._check_ins = NoCheckIns() if check_ins is None else check_ins
        self._lease = Lease(url, owner=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}")
        self._deadman = None
        if watching is not None:
            self._deadman = DeadManThread(DeadMan(watching, leads=lambda: self._lease.trusted))
        self._ready_file = ready_file
        self._entries: tuple[Periodic, ...] = ()
        self._last_ms: dict[str, int] = {}  # by entry: when its latest slot began; the server may be emptied
        self._known: tuple[int, str] | None = None  # the latest lead that was told of
        self._away: set[str] = set()
        self._ready = self._closed = False
        super().__init__(*args, **given)

    def setup_schedule(self) -> None:
        """Take the entries of ``beat_schedule``; Celery's own cleans up results, of which we have none."""
        self._entries = read_table(self.app.conf.beat_schedule)
        self.merge_inplace(self.app.conf.beat_schedule)

    def tick(self, *_: object) -> float:
        """Send what is due, if this beat leads; return how long to sleep."""
        with self._bearing(_LEAD_STORE, redis.RedisError):
            view = self._lease.look()
            self._tell(view)
            if self._deadman is not None:
                self._deadman.start()
            self._remember(view.last_ms)
            if self._lease.trusted:
                self._send_due(view)
                wait_ms = next_slot_ms(self._entries, view.now_ms)
                if wait_ms is not None:
                    return min(float(self.max_interval), wait_ms / 1000)
        return float(self.max_interval)

    def close(self) -> None:
        """Give the lead up and close everything.  A signal handler may be the one who calls."""
        super().close()
        if self._closed:
            return
        self._closed = True
        if self._deadman is not None:
            self._deadman.stop()
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
        try:
            self._lease.release()
        except redis.RedisError as error:
            logger.info("the lead was not given up (%s); it ends by itself", type(error).__name__)
        self._lease.close()
        self._check_ins.close()

    def _send_due(self, view: View) -> None:
        slots = {entry: due(entry, self._last_ms.get(entry.name), view.now_ms) for entry in self._entries}
        if not any(slots.values()):
            return
        with self.app.connection_for_write() as broker:  # a new one: what idles between ticks goes stale
            if not self._reached(broker):  # asked before any claim
                return
            producer = self.Producer(broker, auto_declare=False)
            for entry, missing in slots.items():
                for slot in missing:
                    if self._lease.trusted and self._lease.claim(entry, slot):
                        self._remember({entry.name: slot * entry.period_ms})
                        self._send(entry, slot, view, producer)

    def _reached(self, broker: Any) -> bool:
        trouble = (*broker.connection_errors, *broker.channel_errors, OperationalError, OSError)
        with self._bearing(_BROKER, *trouble):
            broker.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            return True
        return False

    def _send(self, entry: Periodic, slot: int, view: View, producer: Any) -> None:
        """Publish the message of a claimed *slot*, which is void on time however late it leaves."""
        if not self._lease.trusted:  # this process was stopped since the claim
            logger.warning("slot %d of %s has no tick: the lead ended meanwhile", slot, entry.name)
            self._check_ins.lost(entry)
            return
        known = self.schedule[entry.name]
        options = {
            **known.options,
            "expires": datetime.fromtimestamp((view.now_ms + entry.life_ms) / 1000, UTC),
            "headers": {
                **known.options["headers"],
                SLOT_HEADER: slot,
                EPOCH_HEADER: view.epoch,
                **self._check_ins.began(entry),
            },
        }
        self.apply_entry(self.Entry(**{**dict(known), "options": options}), producer=producer)

    def _remember(self, last_ms: Mapping[str, int]) -> None:
        for entry, begun_ms in last_ms.items():
            self._last_ms[entry] = max(begun_ms, self._last_ms.get(entry, begun_ms))

    def _tell(self, view: View) -> None:
        """Say when the lead changes hands, and that this beat is ready when it has seen who leads."""
        if self._known != (view.epoch, view.leader):
            self._known = (view.epoch, view.leader)
            who = "this beat" if view.leader == self._lease.owner else view.leader
            logger.info("%s leads the periodic work, epoch %d", who, view.epoch)
        if not self._ready and self._ready_file is not None:
            self._ready_file.parent.mkdir(parents=True, exist_ok=True)
            self._ready_file.touch()
        self._ready = True

    @contextmanager
    def _bearing(self, what: str, *trouble: type[Exception]) -> Iterator[None]:
        """Bear *trouble* with *what*, and say so once until it is over."""
        try:
            yield
        except trouble as error:
            if what not in self._away:
                logger.warning(
                    "%s is away (%s): no periodic work until it is back", what, type(error).__name__
                )
            self._away.add(what)
        else:
            if what in self._away:
                logger.warning("%s is back", what)
            self._away.discard(what)
