"""Real beat processes over a server of the test's own, and what they have sent."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import Signals
from typing import Any, Self

from celery import Celery

import celeryconfig
from infra.local.settings import child_environment
from infra.local.urls import StackUrls, socket_urls
from tests.support.valkey import Server
from tests.support.wait import wait_until
from workers.contract import names
from workers.contract.periodic import EPOCH_HEADER, SLOT_HEADER, Periodic

ONCE, SKIP, ALL = "tick.once", "tick.skip", "tick.all"
ENTRIES = (
    Periodic(ONCE, ONCE, 1, missed="once"),
    Periodic(SKIP, SKIP, 1, missed="skip"),
    Periodic(ALL, ALL, 1, missed="all", at_most=600),
)
START_S = 60.0  # a busy machine takes long to import Celery


@dataclass(frozen=True, slots=True)
class Tick:
    """One message of beat's."""

    entry: str
    slot: int
    epoch: int
    headers: Mapping[str, Any] = field(repr=False, hash=False, compare=False)


class Inbox:
    """Takes beat's messages from their queue, whichever transport keeps it."""

    def __init__(self, broker_url: str) -> None:
        self.ticks: list[Tick] = []
        self._app = Celery("inbox", set_as_current=False)
        self._app.config_from_object(celeryconfig)
        self._app.conf.update(celeryconfig.broker_settings(broker_url))

    def read(self) -> list[Tick]:
        """Take what was sent from the queue; return all ticks so far, in the order of their sending."""
        with self._app.connection_for_read() as connection, connection.channel() as channel:
            queue = self._app.amqp.queues[names.MAINTENANCE].bind(channel)
            while (message := queue.get(no_ack=True)) is not None:
                headers = message.headers
                self.ticks.append(Tick(headers["task"], headers[SLOT_HEADER], headers[EPOCH_HEADER], headers))
        return self.ticks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._app.close()


def urls_of(store: Server) -> StackUrls:
    """Return the URLs of a fleet that has *store* as its broker and for its replies."""
    return socket_urls(Path(store.url.removeprefix("unix://")))


class BeatProcess:
    """One beat; *directory* holds its ready file and its log."""

    def __init__(self, name: str, directory: Path, urls: StackUrls) -> None:
        self._ready_file, self._log = directory / f"{name}.ready", directory / f"{name}.log"
        env = {**child_environment(), **urls.environment(), "ION_READY_FILE": str(self._ready_file)}
        command = [sys.executable, "-m", "celery", "--quiet", "-A", "tests.support.beat_entry", "beat"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=env, stderr=log, stdout=log, cwd=directory)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ready(self) -> bool:
        return self._ready_file.exists()

    def log(self) -> str:
        """Return what it has logged so far."""
        return self._log.read_text(encoding="utf-8")

    def tell(self, number: Signals) -> None:
        self._process.send_signal(number)

    def end(self, how: Signals = Signals.SIGTERM) -> int:
        """End it with *how*; return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(Signals.SIGCONT)
            self._process.send_signal(how)
        return self._process.wait(20)


class Beats:
    """The beats over one server, and their messages."""

    def __init__(self, store: Server, directory: Path, broker_url: str | None = None) -> None:
        self.store, self._directory = store, directory
        self.processes: list[BeatProcess] = []
        urls = urls_of(store)
        self._urls = urls if broker_url is None else replace(urls, broker_url=broker_url)
        self._inbox = Inbox(self._urls.broker_url)

    def start(self, count: int) -> Self:
        """Start so many more beats; return when all of them know who leads."""
        started = [
            BeatProcess(f"beat{len(self.processes) + index}", self._directory, self._urls)
            for index in range(count)
        ]
        self.processes += started
        wait_until(lambda: all(beat.ready for beat in started), START_S, "every beat is ready")
        return self

    def leader(self) -> BeatProcess | None:
        """Return the beat that leads."""
        lead = self.store.client.get(names.BEAT_LEAD)
        if not isinstance(lead, bytes):
            return None
        pid = int(lead.split(b":")[-2])
        return next((beat for beat in self.processes if beat.pid == pid), None)

    def read(self) -> list[Tick]:
        """Return all ticks so far, in the order of their sending."""
        return self._inbox.read()

    def slots(self, entry: str, epoch: int | None = None) -> list[int]:
        """Return the slots of *entry*'s ticks so far, of one *epoch* or of all."""
        return [tick.slot for tick in self.read() if tick.entry == entry and epoch in {None, tick.epoch}]

    def close(self) -> None:
        for beat in self.processes:
            beat.end(Signals.SIGKILL)
        self._inbox.__exit__()


@contextmanager
def beats_over(store: Server, directory: Path, broker_url: str | None = None) -> Iterator[Beats]:
    """Give beats that end with the block; *store* keeps their lead, and is the broker unless one is named."""
    beats = Beats(store, directory, broker_url)
    try:
        yield beats
    finally:
        beats.close()
