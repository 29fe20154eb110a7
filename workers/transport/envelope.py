"""Read a message from the server, and refuse what no kombu publisher can have written.

Anybody who can reach the server can push anything.  What passes here can be made into a kombu message
without an exception; whether Celery can make sense of it is another question.

Errors:  Malformed.  It names what is wrong and never quotes the message.
"""

import binascii
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from kombu.utils.json import object_hook

LOST = "ion-lost"  # header: how many workers died with the message; absent: none
STORY = "ion-story"  # header: [[at_ms, what, worker], ...], oldest first; with LOST only

_Marks = tuple[int, int, int, list[Any]]  # enqueued_ms, lost, returned, story

_FRONT = re.compile(
    rb'\{"ion":\[(\d{1,19}),(\d{1,9}),(\d{1,9}),(\[(?:\[\d+,"[^"\[\]\\]*","[^"\[\]\\]*"\],?)*\])\]([,}])'
)


class Malformed(ValueError):
    """A message is no message; *code* is stable, *problem* is for people and quotes nothing."""

    def __init__(self, code: str, problem: str) -> None:
        super().__init__(code, problem)
        self.code, self.problem = code, problem


@dataclass(frozen=True, slots=True)
class Front:
    """What the scripts have written before a message, and *raw*, the message as it was published."""

    lost: int
    raw: bytes


def fresh(message: str, now_ms: int) -> str:
    """Return what is put on a queue for *message*, a JSON object."""
    return f'{{"ion":[{now_ms},0,0,[]],{message[1:]}'


def front_of(item: bytes) -> Front:
    """Take the scripts' member off *item*, or what is there of it."""
    found = _FRONT.match(item)
    if found is None:
        return Front(0, item)
    rest = item[found.end() :]
    return Front(int(found[2]), b"{" + rest if found[5] == b"," else rest)


def read(item: bytes, tag: str) -> dict[str, Any]:
    """Return kombu's payload for *item*, to be known as *tag*; its body is decoded already.

    Raises Malformed.
    """
    try:
        payload = json.loads(item, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_float)
    except RecursionError:
        raise Malformed("TOO_DEEP", "the message is nested too deeply") from None
    except Malformed:
        raise
    except Exception as error:  # noqa: BLE001 - also what a revived date or number may raise
        raise Malformed("NOT_JSON", f"the message is no JSON: {type(error).__name__}") from None
    if type(payload) is not dict:
        raise Malformed("BAD_ENVELOPE", "the message is no object")
    marks = _marks(payload.pop("ion", None))
    properties = _part(payload, "properties", dict)
    info = _part(properties, "delivery_info", dict)
    _part(info, "exchange", str)
    _part(info, "routing_key", str)
    _part(properties, "delivery_tag", str)
    headers = _part(payload, "headers", dict)
    for name in ("content-type", "content-encoding"):
        if not isinstance(payload.get(name), str | None):
            raise Malformed("BAD_ENVELOPE", f"{name} is neither a string nor null")
    payload["body"] = _body(_part(payload, "body", str), properties.get("body_encoding"))
    properties["delivery_tag"] = tag
    _tell_past(headers, info, marks)
    return payload


def _tell_past(headers: dict[str, Any], info: dict[str, Any], marks: _Marks | None) -> None:
    for name in (LOST, STORY, "redelivered"):
        headers.pop(name, None)  # ours to say
    info.pop("redelivered", None)
    if marks is not None:
        _, lost, returned, story = marks
        if returned:
            headers["redelivered"] = info["redelivered"] = True
        if lost:
            headers[LOST], headers[STORY] = lost, story


def _object(pairs: list[tuple[str, Any]]) -> Any:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Malformed("DUPLICATE_KEY", "an object names a member twice")
    return object_hook(made) if "__type__" in made else made


def _no_constant(name: str) -> None:
    raise Malformed("NOT_JSON", f"{name} is no number")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise Malformed("NOT_JSON", "a number is too large")
    return value


def _part(whole: dict[str, Any], name: str, kind: type) -> Any:
    part = whole.get(name)
    if type(part) is not kind:
        raise Malformed("BAD_ENVELOPE", f"{name} is missing or no {kind.__name__}")
    return part


def _body(body: str, encoding: object) -> bytes | str:
    if encoding is None:
        return body
    if encoding != "base64":
        raise Malformed("BAD_ENVELOPE", "body_encoding is neither base64 nor null")
    try:
        return binascii.a2b_base64(body)
    except ValueError:
        raise Malformed("BAD_ENVELOPE", "the body is no base64") from None


def _marks(value: Any) -> _Marks | None:
    """Return what the scripts wrote; None for a message that did not come through ours."""
    if value is None:
        return None
    match value:
        case [int(enqueued_ms), int(lost), int(returned), list(story)]:
            return enqueued_ms, lost, returned, story
    raise Malformed("BAD_ENVELOPE", "ion is not what the scripts write")
