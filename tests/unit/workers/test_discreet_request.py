"""What `celery inspect` and Flower are told of a message in a worker's hands: never what it holds."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from celery import Celery
from kombu import Message

from workers.contract import names
from workers.contract.payloads import is_shown, shown
from workers.request import NOT_SHOWN, CountedRequest

WORDS = "my very private words"


@pytest.fixture
def app() -> Iterator[Celery]:
    with Celery("test", set_as_current=False) as app:
        app.task(process, name=names.PERSONA_PROCESS, shared=False)
        yield app


def process(payload: bytes) -> None:
    _ = payload


def request(app: Celery, argsrepr: str, kwargsrepr: str = "{}") -> CountedRequest:
    task = app.amqp.as_task_v2("b1", names.PERSONA_PROCESS, argsrepr=argsrepr, kwargsrepr=kwargsrepr)
    message = Message(
        body=msgspec.msgpack.encode([[WORDS.encode()], {}, {}]),
        content_type="application/x-msgpack",
        content_encoding="binary",
        headers=task.headers,
        accept={"application/x-msgpack"},
    )
    return CountedRequest(message, app=app, task=app.tasks[names.PERSONA_PROCESS])


@pytest.mark.parametrize("safe", [True, False])
def test_whoever_inspects_a_worker_sees_counts_and_queues(
    app: Celery,
    safe: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Celery shows the arguments themselves of what is reserved, scheduled or asked for by its id."""
    told: dict[str, Any] = request(app, shown(37, "bulk")).info(safe=safe)

    assert (told["args"], told["kwargs"]) == ("37 jobs, bulk", "{}")
    assert WORDS not in json.dumps(told, default=str)


@pytest.mark.parametrize("given", [f"({WORDS.encode()!r},)", "()", "", f"1 job, {WORDS}"])
def test_what_another_sender_shows_of_a_message_is_not_passed_on(app: Celery, given: str) -> None:
    """Celery's own clients show the arguments as they are."""
    held = request(app, given, kwargsrepr=f"{{{WORDS!r}: 1}}")

    assert (held.argsrepr, held.kwargsrepr) == (NOT_SHOWN, "{}")


@pytest.mark.parametrize(
    "text", [shown(1, "interactive"), f"{shown(500, 'bulk')}, run k3f9, 12,000 sent, 43%", "1 letter, hung"]
)
def test_what_our_senders_show_is_shown(text: str) -> None:
    assert is_shown(text)
