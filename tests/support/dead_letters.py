"""Dead letters for tests, and the way by which workers send them."""

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec

from producers.broker import BrokerPublisher
from workers.contract import names
from workers.contract.dead_letters import DeadLetter, Reason
from workers.store.dead_letters import DeadLetterStore
from workers.store.engine import open_store

_PATIENCE_S = 30.0


def letter(number: int = 1, at_ms: int = 1_000, **given: Any) -> DeadLetter:
    """Return a letter about the job *number*, which died at *at_ms*, with what is *given*."""
    fields = {
        "id": f"{number:032x}",
        "reason": Reason.CRASHED,
        "code": "CRASHED",
        "problem": "the job took its worker with it",
        "at_ms": at_ms,
        "queue": names.INTERACTIVE,
        "task": names.PERSONA_PROCESS,
        "job_ids": [f"job-{number}"],
        "size_bytes": 7,
        "payload": f"words {number}".encode(),
    }
    return DeadLetter(**{**fields, **given})


def send(broker_url: str, *letters: DeadLetter | bytes) -> None:
    """Put *letters*, or bytes that are none, on the dead queue."""
    publisher = BrokerPublisher(broker_url, _PATIENCE_S, _PATIENCE_S)
    try:
        for each in letters:
            packed = each if isinstance(each, bytes) else msgspec.msgpack.encode(each)
            publisher.publish(names.DEAD_KEEP, names.DEAD, "letter", packed, 1)
    finally:
        publisher.close()


def waiting(broker_url: str) -> int:
    """Return how many messages wait on the dead queue; the one in a worker's hands is none of them."""
    publisher = BrokerPublisher(broker_url, _PATIENCE_S, _PATIENCE_S)
    try:
        return publisher.queue_length(names.DEAD)
    finally:
        publisher.close()


@contextlib.contextmanager
def kept_in(url: str) -> Iterator[DeadLetterStore]:
    """Give the dead letters in the database at *url*."""
    with open_store(url) as store:
        yield DeadLetterStore(store)
