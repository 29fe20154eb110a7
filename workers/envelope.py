"""Check a Celery message before Celery looks at it.

Celery trusts whoever can write to the broker.  A header of the wrong type ends its worker, a time limit
that is none leaks a slot of the pool, callbacks in the body are run, and a compressed body may unpack to
any size.  Here a message is one that our producers and our beat send, or it is refused by name: the task,
the headers, and a body of one packed argument or none.  The argument is looked at, not copied.

Source: Celery's message protocol 2 (celery/app/amqp.py ``as_task_v2``, celery/worker/request.py).
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NoReturn, Protocol

import msgspec
from celery.app.task import Context

from workers.errors import Unanswerable

MAX_BODY_BYTES = 12 * 1024 * 1024  # the largest batch and what surrounds it
MAX_JSON_BYTES = 256 * 1024  # operators' own messages; parsed, it takes a hundred times as much
MAX_RETRIES = 1_000
MAX_DELAY = timedelta(minutes=10)  # a worker holds what is to come later; ours come within 30 s
MAX_HEADERS = 64
MAX_INNER_HEADERS = 32

UNKNOWN_TASK = "UNKNOWN_TASK"

_ENCODINGS = {"application/x-msgpack": "binary", "application/json": "utf-8"}
_REQUIRED = ("id", "task", "lang", "retries", "timelimit")
_BROKERS = frozenset(
    {"ion-lost", "ion-story", "x-delivery-count", "x-death"}
)  # read by nobody who trusts them
_CONTEXT = {name: getattr(Context, name) for name in dir(Context)}  # a header of that name would replace it
_EXTRA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_CLIENT_ID = re.compile(r"[0-9a-f-]{32,36}")
_EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
_LATEST = datetime(9990, 1, 1, tzinfo=UTC)
_LONGEST_LIMIT_S = 86_400.0


class Message(Protocol):
    """What kombu hands over; nothing in it is what it should be until it was checked."""

    headers: Any
    properties: Any
    body: Any
    content_type: Any
    content_encoding: Any


def check(message: Message, tasks: Mapping[str, int], now: datetime) -> None:
    """Return if *message* may be handed to Celery; raise Unanswerable if not.

    *tasks* are the known ones and how many arguments each takes: one, of bytes, or none.
    """
    headers = message.headers
    if not isinstance(headers, dict):
        _refuse("BAD_HEADERS", "headers", "are not a map")
    _check_headers(headers, now)
    _check_properties(message.properties)
    arguments = tasks.get(headers["task"])
    if arguments is None:
        raise Unanswerable(
            UNKNOWN_TASK, "task", "no task of this name is known here", "update the workers first"
        )
    check_body(message.body, message.content_type, message.content_encoding, arguments)


def check_body(body: object, content_type: object, encoding: object, arguments: int) -> None:
    """Return if *body* calls a task of so many *arguments*; raise Unanswerable if not."""
    if not isinstance(content_type, str) or content_type not in _ENCODINGS:
        _refuse("CONTENT_TYPE", "content_type", "is neither MessagePack nor JSON")
    if not isinstance(encoding, str) or encoding.lower() != _ENCODINGS[content_type]:
        _refuse("CONTENT_ENCODING", "content_encoding", "does not belong to the content type")
    if not isinstance(body, bytes | bytearray | memoryview | str):
        _refuse("BAD_BODY", "body", "is missing")
    size = len(body)
    if content_type == "application/json":
        if size > MAX_JSON_BYTES:
            _refuse("TOO_LARGE", "body", f"has {size:,} bytes; as JSON at most {MAX_JSON_BYTES:,} are read")
        _check_json(body, arguments)
    else:
        if size > MAX_BODY_BYTES:
            _refuse("TOO_LARGE", "body", f"has {size:,} bytes; at most {MAX_BODY_BYTES:,} are read")
        _check_msgpack(body, arguments)


def argument_of(body: object) -> bytes:
    """Return the one argument that a MessagePack body holds; empty when it holds anything else."""
    try:
        (argument,), _, _ = _DECODERS[1](body)
    except (msgspec.MsgspecError, RecursionError, TypeError):
        return b""
    return bytes(argument)


def _refuse(
    code: str, field: str, problem: str, fix: str = "send it with a client of this package"
) -> NoReturn:
    raise Unanswerable(code, field, f"{field}: {problem}", fix)


# -- headers ----------------------------------------------------------------------------------------
def _check_headers(headers: dict[Any, Any], now: datetime) -> None:
    for name in _REQUIRED:
        if name not in headers:
            _refuse("MISSING_HEADER", name, "is missing")
    if len(headers) > MAX_HEADERS:
        _refuse("BAD_HEADERS", "headers", f"are more than {MAX_HEADERS}")
    for name, value in headers.items():
        rule = _RULES.get(name)
        if rule is not None:
            if not rule(value):
                _refuse("BAD_HEADER", name, "is not of the kind that Celery sends")
        elif name not in _BROKERS:
            _check_extra(name, value)
    if headers.get("eta") is not None and _when(headers["eta"]) > now + MAX_DELAY:
        _refuse("TOO_FAR_AHEAD", "eta", f"is more than {MAX_DELAY} ahead", "send it when it is due")


def _check_extra(name: object, value: object) -> None:
    """Refuse a header that Celery does not know, if Celery would take it for more than a remark."""
    if not isinstance(name, str) or _EXTRA_NAME.fullmatch(name) is None:
        _refuse("BAD_HEADERS", "headers", "have one whose name is none")
    if name == "compression":
        if value is not None:
            _refuse("COMPRESSED", name, "is used, and a compressed body may unpack to any size")
    elif name in _CONTEXT and (value is not None or _CONTEXT[name] is not None):
        _refuse("FORBIDDEN_HEADER", name, "is no sender's to set")
    elif isinstance(value, str | bytes | list | dict) and len(value) > 8_192:
        _refuse("BAD_HEADERS", "headers", "have one that is too long")


def _check_properties(properties: object) -> None:
    if not isinstance(properties, dict):
        _refuse("BAD_PROPERTIES", "properties", "are not a map")
    reply_to = properties.get("reply_to")  # Celery sets its client's id; ours is in the payload
    if reply_to and not (isinstance(reply_to, str) and _CLIENT_ID.fullmatch(reply_to)):
        _refuse("REPLY_TO", "reply_to", "is no id of a client")
    if not _optional_id(properties.get("correlation_id")):
        _refuse("BAD_PROPERTIES", "correlation_id", "is not a short text")


def _text(longest: int) -> Callable[[object], bool]:
    def holds(value: object) -> bool:
        return value is None or (isinstance(value, str) and len(value) <= longest and value.isprintable())

    return holds


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()


def _count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_RETRIES


def _optional_count(value: object) -> bool:
    return value is None or (type(value) is int and 0 <= value <= 1_000_000)


def _time_limits(value: object) -> bool:
    return value is None or (
        isinstance(value, list | tuple) and len(value) == 2 and all(_time_limit(limit) for limit in value)
    )


def _time_limit(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 <= value <= _LONGEST_LIMIT_S  # neither NaN nor infinity is


def _moment(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, str) or len(value) > 64:
        return False
    try:
        return _EARLIEST < _when(value) < _LATEST
    except (ValueError, OverflowError):
        return False


def _when(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _names(value: object) -> bool:
    return value is None or (
        isinstance(value, list | tuple) and len(value) <= MAX_HEADERS and all(_is_id(name) for name in value)
    )


def _stamps(value: object) -> bool:
    return value is None or (
        isinstance(value, dict)
        and len(value) <= MAX_HEADERS
        and all(_is_id(name) and _stamp(stamp) for name, stamp in value.items())
    )


def _seconds(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value >= 0)


def _inner_headers(value: object) -> bool:
    """Whether *value* is what tracing tools put below ``headers``, and nobody of ours reads: few and flat."""
    return value is None or (
        isinstance(value, dict)
        and len(value) <= MAX_INNER_HEADERS
        and all(isinstance(name, str) and _EXTRA_NAME.fullmatch(name) for name in value)
        and all(_flat(one) for one in value.values())
    )


def _flat(value: object) -> bool:
    return _longest_text(value) or isinstance(value, int | float)


def _stamp(value: object) -> bool:
    return _names(value) if isinstance(value, list | tuple) else value is None or _is_id(value)


_optional_id = _text(255)
_shown = _text(2_048)  # Celery cuts it off at 1,024 or so
_longest_text = _text(8_192)

_RULES: Mapping[Any, Callable[[object], bool]] = {
    "lang": _is_id,
    "task": _is_id,
    "id": _is_id,
    "retries": _count,
    "timelimit": _time_limits,
    "shadow": lambda value: value is None or (_is_id(value) and " " not in str(value)),
    "eta": _moment,
    "expires": _moment,
    "group": _optional_id,
    "group_index": _optional_count,
    "root_id": _optional_id,
    "parent_id": _optional_id,
    "argsrepr": _shown,
    "kwargsrepr": _shown,
    "origin": _optional_id,
    "ignore_result": lambda value: value is None or isinstance(value, bool),
    "replaced_task_nesting": _optional_count,
    "stamped_headers": _names,
    "stamps": _stamps,
    # what Sentry's integration adds to the messages of an app, and of a beat, that has it
    "headers": _inner_headers,
    "sentry-trace": _optional_id,
    "baggage": _longest_text,
    "sentry-task-enqueued-time": _seconds,
    "sentry-monitor-slug": _optional_id,
    "sentry-monitor-check-in-id": _optional_id,
    "sentry-monitor-start-timestamp-s": _optional_id,
}


# -- body -------------------------------------------------------------------------------------------
class _Embedded(msgspec.Struct, forbid_unknown_fields=True):
    """What Celery would run after the task: nothing."""

    callbacks: None = None
    errbacks: None = None
    chain: None = None
    chord: None = None


_NoKeywords = Annotated[dict[str, None], msgspec.Meta(max_length=0)]
_DECODERS: Mapping[int, Callable[[Any], Any]] = {
    0: msgspec.msgpack.Decoder(tuple[tuple[()], _NoKeywords, _Embedded]).decode,
    1: msgspec.msgpack.Decoder(tuple[tuple[memoryview], _NoKeywords, _Embedded]).decode,
}
_EMBEDDED = frozenset(_Embedded.__struct_fields__)
_NO_CALL = ("BAD_BODY", "body", "is not the list of args, kwargs and embed")
_PARTS = {
    "$[0]": ("BAD_ARGUMENTS", "args", "are not those of this task"),
    "$[1]": ("BAD_KEYWORDS", "kwargs", "are used, and no task of ours has any"),
    "$[2]": ("EMBEDDED_CALLS", "embed", "names what is to run afterwards, which is no sender's to say"),
}


def _check_msgpack(body: bytes | bytearray | memoryview | str, arguments: int) -> None:
    try:
        _DECODERS[arguments](body)
    except msgspec.ValidationError as error:
        path = str(error).rpartition(" - at `")[2][:4]  # the rest of the message may quote a key
        _refuse(*_PARTS.get(path, _NO_CALL))
    except (msgspec.MsgspecError, TypeError):
        _refuse("UNDECODABLE", "body", "is not MessagePack")
    except RecursionError:
        _refuse("TOO_DEEP", "body", "is nested too deeply")


class _Doubtful(ValueError):
    """JSON that two readers may read in two ways."""


def _check_json(body: bytes | bytearray | memoryview | str, arguments: int) -> None:
    try:
        text = body if isinstance(body, str) else bytes(body).decode("utf-8")
        parsed = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except _Doubtful as error:
        _refuse("DOUBTFUL_JSON", "body", str(error))
    except RecursionError:
        _refuse("TOO_DEEP", "body", "is nested too deeply")
    except ValueError:  # of its syntax, its encoding, or a number of thousands of digits
        _refuse("UNDECODABLE", "body", "is not JSON in UTF-8")
    if not isinstance(parsed, list) or len(parsed) != 3:
        _refuse(*_NO_CALL)
    args, kwargs, embed = parsed
    if not isinstance(args, list) or len(args) != arguments or not all(_json_bytes(a) for a in args):
        _refuse(*_PARTS["$[0]"])
    if kwargs != {}:
        _refuse(*_PARTS["$[1]"])
    if (
        not isinstance(embed, dict)
        or not embed.keys() <= _EMBEDDED
        or any(v is not None for v in embed.values())
    ):
        _refuse(*_PARTS["$[2]"])


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Doubtful("has a map with the same key twice")
    return found


def _no_constant(name: str) -> NoReturn:
    _ = name
    raise _Doubtful("has a number that JSON has not, such as NaN")


def _json_bytes(argument: object) -> bool:
    """Whether kombu's JSON reader makes bytes of it: ``{"__type__": "base64", "__value__": ...}``."""
    if not isinstance(argument, dict) or argument.keys() != {"__type__", "__value__"}:
        return False
    kind, value = argument["__type__"], argument["__value__"]
    if kind not in ("bytes", "base64") or not isinstance(value, str):
        return False
    try:
        value.encode() if kind == "bytes" else base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        return False
    return True
