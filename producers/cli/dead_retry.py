"""``ion dead retry``: put letters on their queues again."""

import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from producers.cli.collaborators import Fleet
from producers.cli.dead_payload import NotRetryable, packed_again
from producers.errors import Unavailable
from workers.contract import names
from workers.store.dead_letters import DeadLetterStore, Place
from workers.store.errors import NoSuchLetter
from workers.store.letters import Filter, KeptLetter

_PAGE = 100
_CLASSES = (names.INTERACTIVE, names.BULK)  # the queues that batches are on


class Publisher(Protocol):
    """Puts batches on queues, as ``producers.broker`` does."""

    def publish(self, task: str, queue: str, batch_id: str, payload: bytes, jobs: int) -> None:
        """Put *payload* on *queue*; raise Unavailable or Overloaded."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends letters again: *by* whom, with *deadline_s* for each."""

    publisher: Publisher
    by: str
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of one letter: *jobs* were sent, or *refused* says why not."""

    letter: KeptLetter
    jobs: int = 0
    refused: NotRetryable | None = None

    @property
    def sent(self) -> bool:
        """Whether it is on its queue again."""
        return self.refused is None

    def as_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        said: dict[str, Any] = {"id": self.letter.id, "sent": self.sent, "job_ids": self.letter.job_ids}
        if self.refused is not None:
            refused = self.refused
            said["error"] = {"code": refused.code, "problem": refused.problem, "fix": refused.fix}
        return said


@contextmanager
def sender(fleet: Fleet, deadline_s: float) -> Iterator[Sender]:
    """Give a sender to *fleet*; raise Unavailable when there is none."""
    settings = fleet.find()
    if settings is None:
        raise Unavailable("the fleet", "no stack runs here; start one with `ion up` or set ION_BROKER_URL")
    from producers.broker import BrokerPublisher  # noqa: PLC0415

    publisher = BrokerPublisher(settings.urls()[0], settings.connect_timeout_s, settings.publish_timeout_s)
    try:
        yield Sender(publisher, f"{socket.gethostname()}:{os.getpid()}", deadline_s)
    finally:
        publisher.close()


def every(letters: DeadLetterStore, wanted: Filter) -> Iterator[KeptLetter]:
    """Yield all *wanted* letters that there are, the latest first; those that come meanwhile are left out."""
    after: Place | None = None
    while page := letters.find(wanted, _PAGE, after):
        yield from page
        after = Place(page[-1].last_ms, page[-1].id)


def retry(letters: DeadLetterStore, letter: KeptLetter, sending: Sender) -> Retried:
    """Send *letter* again; raise Unavailable, Overloaded or StoreUnavailable: then it is as it was."""
    now_ms = int(time.time() * 1000)
    deadline_ms = now_ms + int(sending.deadline_s * 1000)
    try:
        payload = letters.payload(letter.id)
        again = packed_again(letter.id, letter.reason, payload, uuid.uuid4().hex, now_ms, deadline_ms)
        task = letter.task
        if not task:
            raise NotRetryable(letter.id, "its task is not known", "purge it")  # noqa: TRY301
        queue = letter.queue if letter.queue in _CLASSES else names.INTERACTIVE
        with letters.retrying(letter.id, now_ms, sending.by, again.ids):
            sending.publisher.publish(task, queue, again.batch_id, again.payload, again.jobs)
    except NotRetryable as refused:
        return Retried(letter, refused=refused)
    except NoSuchLetter:
        gone = NotRetryable(letter.id, "it was purged meanwhile", "nothing is left to do")
        return Retried(letter, refused=gone)
    return Retried(letter, again.jobs)
