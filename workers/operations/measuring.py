"""The composition of a process's measuring: a worker's, a producer's, a gateway's, beat's.

Events feed the recorder and wait to go out; a thread hands both on (``workers.monitoring.collecting``).  It
belongs to one process, so a forked child opens its own.
"""

import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from workers.monitoring.collecting.reporting import Look, Reporter
from workers.monitoring.events import Tell, tell_nobody
from workers.monitoring.metrics import CACHE_EVICTIONS
from workers.monitoring.recorder import MemoryRecorder, NullRecorder, Recorder
from workers.monitoring.telling import EventBuffer, Tellers, record

if TYPE_CHECKING:
    from persona_system.cache.local import LocalCache

_PATIENCE_S = 0.5  # with the reply store, of a thread that nobody waits for


@dataclass(slots=True)
class Measuring:
    """Where a process's measurements and events go; without a *reporter*, nowhere."""

    region: str = "local"
    recorder: Recorder = field(default_factory=NullRecorder)
    tell: Tell = tell_nobody
    reporter: Reporter | None = None

    @property
    def on(self) -> bool:
        """Whether anything is measured at all."""
        return self.reporter is not None

    def telling(self, tells: Sequence[Tell]) -> Tell:
        """Return what tells *tells* besides."""
        if not tells:
            return self.tell
        ours = () if self.tell is tell_nobody else (self.tell,)
        return Tellers((*ours, *tells), self.recorder)

    def look(self, look: Look) -> None:
        """Have *look* measure, once a report."""
        if self.reporter is not None:
            self.reporter.looks.append(look)

    def close(self) -> None:
        """Hand on what is left."""
        if self.reporter is not None:
            self.reporter.close()


def open_measuring(kind: str, region: str, broker_url: str, reply_url: str) -> Measuring:
    """Return the measuring of this process, a *kind* of ours, and begin to report.

    It connects when there is something to report.
    """
    from redis.backoff import NoBackoff  # noqa: PLC0415 - producers import it when they connect
    from redis.retry import Retry  # noqa: PLC0415

    from workers.monitoring.collecting.inbox import ReportInbox  # noqa: PLC0415
    from workers.operations.eventing import EventExchange  # noqa: PLC0415
    from workers.transport.servers import open_redis  # noqa: PLC0415

    source = f"{kind}@{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
    client = open_redis(
        reply_url,
        socket_timeout=_PATIENCE_S,
        socket_connect_timeout=_PATIENCE_S,
        retry=Retry(NoBackoff(), 1),  # once, for a connection that went stale
        client_name="ion-monitoring",
    )
    recorder, buffer = MemoryRecorder(region, source, time.time), EventBuffer()
    tellers = Tellers((partial(record, recorder=recorder), buffer.tell), recorder)
    reporter = Reporter(
        recorder, buffer, ReportInbox(client), EventExchange(broker_url, source), client.close
    )
    reporter.start()
    return Measuring(region, recorder, tellers, reporter)


def evictions_of(cache: "LocalCache") -> Look:
    """Return what measures how many answers made room for others in a process's own tier."""
    seen = cache.stats().evictions

    def look(recorder: Recorder) -> None:
        nonlocal seen
        now = cache.stats().evictions
        if now > seen:
            recorder.count(CACHE_EVICTIONS, now - seen, ("l1",))
        seen = now

    return look
