"""What is kept of a message that no task of ours gets to see.

A letter's id is a digest of what it keeps, so a message that is refused twice makes one letter.  A whole
batch is kept as it is, to be sent again once its trouble is over; of anything else, the beginning.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from workers.contract import names
from workers.contract.dead_letters import MAX_RAW_BYTES, DeadLetter, Reason
from workers.delivery import COUNT_HEADER, LOST_HEADER, STORY_HEADER, Delivery, delivery_of
from workers.envelope import MAX_BODY_BYTES, UNKNOWN_TASK, Message, argument_of
from workers.errors import Unanswerable
from workers.tasks.opening import letter_keeping, letter_of

DELIVERY_LIMIT = "DELIVERY_LIMIT"
DEATH_HEADER = "x-death"  # RabbitMQ's: from which queues it took the message, and why

_REASONS = {UNKNOWN_TASK: Reason.UNKNOWN_TASK, DELIVERY_LIMIT: Reason.DELIVERY_LIMIT}
_REPLAYED_REASONS = frozenset({Reason.UNKNOWN_TASK, Reason.DELIVERY_LIMIT})
_CHANGING = frozenset({LOST_HEADER, STORY_HEADER, COUNT_HEADER, DEATH_HEADER})  # with each delivery
_MAX_HEAD_BYTES = MAX_RAW_BYTES // 2


def gave_up(message: Message) -> Unanswerable | None:
    """Return why RabbitMQ moved *message* to the dead queue; None for one that was sent there."""
    headers = message.headers
    deaths = headers.get(DEATH_HEADER) if isinstance(headers, dict) else None
    if not deaths or not isinstance(deaths, list) or _queue_of(message) != names.DEAD:
        return None
    return Unanswerable(
        DELIVERY_LIMIT,
        "message",
        "the broker delivered it again and again, and each time its worker was lost",
        "see what it has that ends a worker; send it again after that is mended",
    )


def letter_of_message(message: Message, why: Unanswerable, worker: str, now_ms: int) -> DeadLetter:
    """Return the letter that keeps *message*, which was refused for the reason *why*."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    delivery = delivery_of(headers, _task_name(headers.get("task")), _origin(message, headers), worker)
    body = _bytes(message.body)
    batch = argument_of(body) if message.content_type == "application/x-msgpack" else b""
    return _letter(_mail(message, headers, body), len(body), batch, why, delivery, now_ms)


def letter_of_raw(raw: bytes, why: Unanswerable, queue: str, lost: int, now_ms: int) -> DeadLetter:
    """Return the letter that keeps *raw*, an item of a Redis list that is refused before it is a message."""
    task, batch = _unwrapped(raw) if why.code == DELIVERY_LIMIT else ("", b"")
    return _letter(raw, len(raw), batch, why, Delivery(task, queue, lost=lost), now_ms)


def _letter(
    shown: bytes, size_bytes: int, batch: bytes, why: Unanswerable, delivery: Delivery, now_ms: int
) -> DeadLetter:
    reason = _REASONS.get(why.code, Reason.MALFORMED)
    if batch and delivery.task and reason in _REPLAYED_REASONS:
        return msgspec.structs.replace(letter_of(batch, delivery, why, now_ms), reason=reason)
    letter = letter_keeping(shown, reason, delivery, why, now_ms)
    return msgspec.structs.replace(letter, size_bytes=size_bytes, payload=shown[:MAX_RAW_BYTES])


def _mail(message: Message, headers: Mapping[Any, Any], body: bytes) -> bytes:
    """Return *message* as people may read it, like a mail: its headers, an empty line, its body."""
    head = {
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "headers": {str(name): value for name, value in headers.items() if name not in _CHANGING},
    }
    try:
        written = msgspec.json.encode(head, enc_hook=repr)
    except (TypeError, ValueError, RecursionError, OverflowError):
        written = b"{}"  # such as a lone surrogate; the body still tells
    return written[:_MAX_HEAD_BYTES] + b"\n\n" + body


def _origin(message: Message, headers: Mapping[Any, Any]) -> str:
    """Return the queue that *message* was sent to, also if RabbitMQ has moved it since."""
    deaths = headers.get(DEATH_HEADER)
    if _queue_of(message) == names.DEAD and isinstance(deaths, list) and deaths:
        first = deaths[-1]  # the latest stands first
        return _known_queue(first.get("queue")) if isinstance(first, dict) else ""
    return _queue_of(message)


def _queue_of(message: Message) -> str:
    info = getattr(message, "delivery_info", None)
    return _known_queue(info.get("routing_key")) if isinstance(info, dict) else ""


def _known_queue(name: object) -> str:
    return name if isinstance(name, str) and name in names.QUEUES else ""


def _task_name(task: object) -> str:
    """Return the task's name if it is one, since names are shown to operators; empty if it may be a text."""
    if not isinstance(task, str) or len(task) > 100:
        return ""
    return task if task.isascii() and all(part.isidentifier() for part in task.split(".")) else ""


def _bytes(body: object) -> bytes:
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    return b"" if body is None else str(body).encode("utf-8", "surrogatepass")


# -- an item of a Redis list, as far as it is a message ---------------------------------------------
class _RawHeaders(msgspec.Struct):
    task: str = ""


class _RawMessage(msgspec.Struct):
    body: str
    headers: _RawHeaders


_decode_raw = msgspec.json.Decoder(_RawMessage).decode


def _unwrapped(raw: bytes) -> tuple[str, bytes]:
    """Return the task and the packed batch in *raw*; two empty ones when it is none of our messages."""
    if len(raw) > 2 * MAX_BODY_BYTES:
        return "", b""
    try:
        message = _decode_raw(raw)
        body = base64.b64decode(message.body, validate=True)
    except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError):
        return "", b""
    task = _task_name(message.headers.task)
    return (task, argument_of(body)) if task else ("", b"")
