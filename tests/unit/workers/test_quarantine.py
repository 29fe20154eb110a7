"""What is kept of a message that was refused, and when it is the same letter."""

import base64
import json
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from workers.contract import names
from workers.contract.dead_letters import MAX_RAW_BYTES, DeadLetter, Reason, Sighting
from workers.contract.payloads import Batch
from workers.dead.dead_letter import quarantine_hook
from workers.dead.quarantine import gave_up, letter_of_message, letter_of_raw
from workers.errors import Unanswerable, Unavailable

WORDS = "my very private words"
NOTHING = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
pack = msgspec.msgpack.encode
BATCH = pack(Batch(id="b1", reply_to="me", sent_ms=1, jobs=[msgspec.Raw(pack({"id": "j1", "text": WORDS}))]))
BODY = pack([[BATCH], {}, NOTHING])
MALFORMED = Unanswerable("BAD_HEADER", "eta", "eta: is not of the kind that Celery sends", "send another")
UNKNOWN = Unanswerable("UNKNOWN_TASK", "task", "no task of this name is known here", "update")
DEATH = [{"queue": "bulk", "reason": "delivery_limit", "count": 1}]


@dataclass
class Message:
    headers: Any = field(default_factory=lambda: {"id": "b1", "task": "persona.process"})
    body: Any = BODY
    content_type: Any = "application/x-msgpack"
    content_encoding: Any = "binary"
    properties: Any = None
    delivery_info: Any = field(default_factory=lambda: {"routing_key": names.BULK})


def kept(message: Message, why: Unanswerable = MALFORMED) -> DeadLetter:
    letter = letter_of_message(message, why, "w1", 7)
    assert "private" not in f"{letter.problem}{letter.fix}{letter.task}{letter.queue}{letter.code}"
    return letter


def test_a_malformed_message_is_kept_like_a_mail() -> None:
    """Headers, an empty line, the body."""
    letter = kept(Message(headers={"eta": WORDS}, body=b"body"))

    head, _, body = letter.payload.partition(b"\n\n")
    assert json.loads(head)["headers"] == {"eta": WORDS}
    assert (body, letter.size_bytes) == (b"body", 4)
    assert (letter.reason, letter.code, letter.field) == (Reason.MALFORMED, "BAD_HEADER", "eta")
    assert (letter.queue, letter.at_ms, letter.deliveries) == (names.BULK, 7, 1)


def test_of_a_long_message_both_beginnings_are_kept() -> None:
    letter = kept(Message(headers={"a": "x" * 10_000}, body=b"y" * 100_000))

    assert len(letter.payload) == MAX_RAW_BYTES
    assert letter.payload.startswith(b'{"content_type"')
    assert letter.payload.endswith(b"yyyy")
    assert letter.size_bytes == 100_000


@pytest.mark.parametrize("why", [MALFORMED, UNKNOWN])
def test_another_delivery_of_a_message_makes_the_same_letter(why: Unanswerable) -> None:
    first = Message()
    again = replace(first, headers={**first.headers, "ion-lost": 2, "ion-story": [[5, "lost", "w0"]]})

    assert kept(first, why).id == kept(again, why).id
    assert kept(again, why).deliveries == 3
    assert kept(again, why).story == [Sighting(5, "lost", "w0")]


def test_other_messages_make_other_letters() -> None:
    letters = [
        Message(),
        Message(body=b"x"),
        Message(headers={"id": "b2"}),
        Message(content_type="text/plain"),
    ]
    assert len({kept(message).id for message in letters}) == len(letters)


def test_a_batch_for_an_unknown_task_is_kept_to_be_sent_again() -> None:
    letter = kept(Message(headers={"task": "persona.rhyme"}), UNKNOWN)

    assert (letter.payload, letter.task, letter.job_ids) == (BATCH, "persona.rhyme", ["j1"])
    assert letter.reason == Reason.UNKNOWN_TASK


@pytest.mark.parametrize("task", [WORDS, 7, None, "x" * 200, "a..b", "élan"])
def test_a_task_name_that_is_none_is_not_shown(task: object) -> None:
    letter = kept(Message(headers={"task": task}), UNKNOWN)

    assert letter.task == ""
    assert len(letter.payload) <= MAX_RAW_BYTES


@pytest.mark.parametrize(
    "message",
    [
        Message(headers=None),
        Message(headers=[WORDS]),
        Message(headers={7: WORDS, "x": float("nan"), "y": object()}),
        Message(headers={"x": "\ud800"}),
        Message(body=None),
        Message(body=7),
        Message(body="\ud800"),
        Message(body=memoryview(b"x")),
        Message(delivery_info=None),
        Message(delivery_info={"routing_key": WORDS}),
        Message(delivery_info={"routing_key": [WORDS]}),
        Message(headers={"x-death": [WORDS]}, delivery_info={"routing_key": names.DEAD}),
        Message(content_type=[WORDS]),
    ],
)
def test_whatever_a_message_is_it_can_be_kept(message: Message) -> None:
    assert kept(message).payload
    assert kept(message, UNKNOWN).payload


def test_what_rabbitmq_gave_up_on_is_known_by_where_it_lies() -> None:
    """A sender can write ``x-death``; only RabbitMQ moves a message to the dead queue with it."""
    headers = {"task": "persona.process", "x-death": DEATH}
    moved = Message(headers=headers, delivery_info={"routing_key": names.DEAD})

    why = gave_up(moved)
    assert why is not None
    letter = kept(moved, why)
    assert (letter.reason, letter.queue, letter.payload) == (Reason.DELIVERY_LIMIT, names.BULK, BATCH)

    assert gave_up(Message(headers=headers)) is None
    assert gave_up(Message(delivery_info={"routing_key": names.DEAD})) is None
    assert gave_up(Message(headers=None, delivery_info={"routing_key": names.DEAD})) is None


# -- items that are no messages ---------------------------------------------------------------------
def raw_of(**changes: Any) -> bytes:
    body = base64.b64encode(pack([[BATCH], {}, NOTHING])).decode()
    return json.dumps({"body": body, "headers": {"task": "persona.process"}, **changes}).encode()


LIMIT = Unanswerable("DELIVERY_LIMIT", "message", "6 workers were lost with the message", "mend it")


def test_an_item_that_cost_too_many_workers_is_kept_to_be_sent_again() -> None:
    letter = letter_of_raw(raw_of(), LIMIT, names.BULK, 6, 7)

    assert (letter.reason, letter.payload, letter.task) == (Reason.DELIVERY_LIMIT, BATCH, "persona.process")
    assert (letter.queue, letter.deliveries) == (names.BULK, 7)


@pytest.mark.parametrize(
    "raw", [b"", b"words", raw_of(body=7), raw_of(body="!"), raw_of(headers={}), raw_of(headers=None)]
)
def test_if_there_is_no_batch_in_it_its_beginning_is_kept(raw: bytes) -> None:
    letter = letter_of_raw(raw, LIMIT, names.BULK, 6, 7)
    assert (letter.payload, letter.reason, letter.task) == (raw, Reason.DELIVERY_LIMIT, "")


class Kept(list[DeadLetter]):
    """Dead letters in memory."""

    def keep(self, letter: DeadLetter) -> None:
        self.append(letter)


class Full:
    """A broker that takes none."""

    def keep(self, letter: DeadLetter) -> None:
        raise Unavailable("the broker", letter.code)


def test_the_transport_hands_over_what_it_cannot_read() -> None:
    letters = Kept()
    quarantine_hook(letters, lambda: 7.9)(b"x" * 9_000, "NOT_JSON", "the message is no JSON", names.BULK, 2)

    (letter,) = letters
    assert (letter.reason, letter.code, letter.queue) == (Reason.MALFORMED, "NOT_JSON", names.BULK)
    assert (letter.payload, letter.size_bytes) == (b"x" * MAX_RAW_BYTES, 9_000)
    assert (letter.at_ms, letter.deliveries) == (7, 3)


def test_the_transport_hears_of_it_when_that_failed() -> None:
    with pytest.raises(Unavailable):
        quarantine_hook(Full(), lambda: 7)(b"x", "NOT_JSON", "the message is no JSON", names.BULK, 0)
