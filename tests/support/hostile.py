"""Messages that nobody should send: bombs, forgeries and rubbish, for any broker that a test has.

``ENVELOPES`` are messages that any broker can carry; ``ITEMS`` are elements of a Redis list that are no
messages at all, or damaged ones.  Each carries WORDS somewhere, which no log may quote.
"""

import base64
import bz2
import gzip
import json
import os
import pickle
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from celery import Celery

from workers.contract import names

WORDS = "my very private words"
NOTHING = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
MSGPACK, JSON = "application/x-msgpack", "application/json"
pack = msgspec.msgpack.encode


@dataclass(frozen=True)
class Envelope:
    """One message: what differs from a good one, and the codes that it may be refused with."""

    name: str
    codes: str
    headers: dict[str, Any] = field(default_factory=dict)
    body: bytes | None = None  # None: a good one, of this name
    content_type: str = MSGPACK
    encoding: str = "binary"
    properties: dict[str, Any] = field(default_factory=dict)
    missing: str = ""
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)  # so that no two have the same payload

    def all_headers(self) -> dict[str, Any]:
        """Return the headers of a message of Celery's with those of this one."""
        with Celery("hostile", set_as_current=False) as app:
            options = {"argsrepr": "1 job", "kwargsrepr": "{}", "ignore_result": True}
            task = app.amqp.as_task_v2(uuid.uuid4().hex, names.PERSONA_PROCESS, **options)
        return {name: v for name, v in {**task.headers, **self.headers}.items() if name != self.missing}

    def bytes_of_body(self) -> bytes:
        """Return the body."""
        argument = f"{self.nonce}: {WORDS}".encode()
        return pack([[argument], {}, NOTHING]) if self.body is None else self.body


@dataclass(frozen=True)
class Item:
    """One element of a queue's list; *make* builds it anew each time."""

    name: str
    codes: str
    make: Callable[[], bytes]


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def item_of(envelope: Envelope, queue: str, **changes: Any) -> bytes:
    """Return *envelope* as kombu's virtual transports write it, with *changes*."""
    properties = {
        "correlation_id": "c",
        "reply_to": "",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
        **envelope.properties,
    }
    payload = {
        "body": base64.b64encode(envelope.bytes_of_body()).decode(),
        "content-encoding": envelope.encoding,
        "content-type": envelope.content_type,
        "headers": envelope.all_headers(),
        "properties": properties,
        **changes,
    }
    return json.dumps(payload).encode()


def _json(text: object, name: str, codes: str) -> Envelope:
    body = text if isinstance(text, str) else json.dumps(text)
    return Envelope(
        name, codes, body=body.encode("utf-8", "surrogatepass"), content_type=JSON, encoding="utf-8"
    )


def _embedding(name: str) -> Envelope:
    call: dict[str, Any] = {
        "task": "cache.warm",
        "args": [],
        "kwargs": {},
        "options": {},
        "subtask_type": None,
    }
    value = call if name == "chord" else [call]
    body = pack([[WORDS.encode()], {}, {**NOTHING, name: value}])
    return Envelope(f"embedded {name}", "EMBEDDED_CALLS", body=body)


def envelopes(marker: Path) -> list[Envelope]:
    """Return the messages; those that would run something would leave *marker*."""
    bomb = pickle.dumps(([Bomb(marker)], {}, NOTHING))
    yaml = f'!!python/object/apply:os.system ["touch {marker}"]'.encode()
    flat = b"\x00" * 50_000_000
    argument = '{"__type__": "bytes", "__value__": "p"}'
    nothing = json.dumps(NOTHING)
    return [
        # what would run, or unpack
        Envelope("pickle", "CONTENT_TYPE", body=bomb, content_type="application/x-python-serialize"),
        Envelope("pickle as MessagePack", "UNDECODABLE BAD_BODY", body=bomb),
        Envelope("yaml", "CONTENT_TYPE", body=yaml, content_type="application/x-yaml", encoding="utf-8"),
        Envelope("gzip bomb", "COMPRESSED", {"compression": "gzip"}, gzip.compress(flat)),
        Envelope("zlib bomb", "COMPRESSED", {"compression": "application/x-gzip"}, zlib.compress(flat)),
        Envelope("bzip2 bomb", "COMPRESSED", {"compression": "bzip2"}, bz2.compress(flat)),
        Envelope("unknown compression", "COMPRESSED UNDECODABLE", {"compression": WORDS}),
        *[_embedding(name) for name in NOTHING],
        Envelope("callbacks as a header", "FORBIDDEN_HEADER", {"callbacks": [{"task": "cache.warm"}]}),
        # tasks
        Envelope("unknown task", "UNKNOWN_TASK", {"task": "no.such.task"}),
        Envelope("task of many words", "UNKNOWN_TASK", {"task": WORDS}),
        Envelope("celery.backend_cleanup", "UNKNOWN_TASK", {"task": "celery.backend_cleanup"}),
        Envelope("celery.map", "UNKNOWN_TASK", {"task": "celery.map"}),
        Envelope("dunder task", "UNKNOWN_TASK", {"task": "__import__"}),
        Envelope("task is a map", "BAD_HEADER", {"task": {"a": WORDS}}),
        Envelope("task is null", "BAD_HEADER", {"task": None}),
        # headers
        Envelope("headers that hide a loss", "BAD_HEADER", {"headers": {"ion-lost": [0] * 10_000}}),
        Envelope("headers of headers", "BAD_HEADER", {"headers": {"a": {"b": WORDS}}}),
        Envelope("baggage of 100 kB", "BAD_HEADER", {"baggage": "x" * 100_000}),  # RabbitMQ takes no more
        Envelope("sentry-trace is a list", "BAD_HEADER", {"sentry-trace": [WORDS]}),
        *[
            Envelope(f"no {name}", "MISSING_HEADER", missing=name)
            for name in ("id", "task", "retries", "timelimit")
        ],
        Envelope("huge id", "BAD_HEADER", {"id": "x" * 100_000}),
        Envelope("id is a list", "BAD_HEADER", {"id": ["x"]}),
        Envelope("id turned right to left", "BAD_HEADER", {"id": "abc\u202egpj.exe"}),
        Envelope("negative retries", "BAD_HEADER", {"retries": -1}),
        Envelope("retries in words", "BAD_HEADER", {"retries": WORDS}),
        Envelope("time limit in words", "BAD_HEADER", {"timelimit": WORDS}),
        Envelope("time limits in words", "BAD_HEADER", {"timelimit": [WORDS, None]}),
        Envelope("one time limit", "BAD_HEADER", {"timelimit": [1]}),
        Envelope("negative time limit", "BAD_HEADER", {"timelimit": [-1, None]}),
        Envelope("eta in the year 99999", "BAD_HEADER", {"eta": "99999-01-01T00:00:00"}),
        Envelope("eta in 500 years", "TOO_FAR_AHEAD", {"eta": "2526-01-01T00:00:00+00:00"}),
        Envelope("eta is a list", "BAD_HEADER", {"eta": [1]}),
        Envelope("expires in words", "BAD_HEADER", {"expires": WORDS}),
        Envelope("expires is a number", "BAD_HEADER", {"expires": 17}),
        Envelope("argsrepr is a map", "BAD_HEADER", {"argsrepr": {"a": WORDS}}),
        Envelope("argsrepr with escapes", "BAD_HEADER", {"argsrepr": f"\x1b[2J{WORDS}"}),
        Envelope("group is a map", "BAD_HEADER", {"group": {"a": 1}}),
        Envelope("shadow of words", "BAD_HEADER", {"shadow": WORDS}),
        Envelope("stamps of lists", "BAD_HEADER", {"stamped_headers": [["x"]], "stamps": {}}),
        Envelope("is_eager", "FORBIDDEN_HEADER", {"is_eager": True}),
        Envelope("dunder header", "BAD_HEADERS", {"__class__": WORDS}),
        Envelope("reply_to injection", "REPLY_TO", properties={"reply_to": WORDS}),
        # bodies
        Envelope("empty body", "UNDECODABLE BAD_BODY", body=b""),
        Envelope("body is an int", "BAD_BODY", body=pack(7)),
        Envelope("body is null", "BAD_BODY", body=pack(None)),
        Envelope("body is a map", "BAD_BODY", body=pack({"args": [WORDS], "kwargs": {}})),
        Envelope("body of two", "BAD_BODY", body=pack([[WORDS.encode()], {}])),
        Envelope("args is a map", "BAD_ARGUMENTS", body=pack([{}, {}, NOTHING])),
        Envelope("two arguments", "BAD_ARGUMENTS", body=pack([[b"", WORDS.encode()], {}, NOTHING])),
        Envelope("a text as the argument", "BAD_ARGUMENTS", body=pack([[WORDS], {}, NOTHING])),
        Envelope("4 billion arguments", "BAD_ARGUMENTS", body=b"\x93\xdd\xff\xff\xff\xff"),
        Envelope("kwargs is a list", "BAD_KEYWORDS", body=pack([[b""], [WORDS], NOTHING])),
        Envelope("__class__ among kwargs", "BAD_KEYWORDS", body=pack([[b""], {"__class__": WORDS}, NOTHING])),
        Envelope("arguments for a periodic task", "BAD_ARGUMENTS", {"task": names.CACHE_WARM}),
        Envelope("cut short", "UNDECODABLE", body=pack([[WORDS.encode()], {}, NOTHING])[:-9]),
        Envelope("MessagePack 100,000 deep", "BAD_BODY TOO_DEEP", body=b"\x91" * 100_000),
        _json("[" * 100_000 + "]" * 100_000, "JSON 100,000 deep", "TOO_DEEP"),
        _json(f"[[NaN], {{}}, {nothing}]", "NaN", "DOUBTFUL_JSON"),
        _json(f"[[-Infinity], {{}}, {nothing}]", "Infinity", "DOUBTFUL_JSON"),
        _json(f'[[{argument}], {{}}, {{"chain": null, "chain": []}}]', "duplicate keys", "DOUBTFUL_JSON"),
        _json(f"[[{'9' * 5_000}], {{}}, {nothing}]", "a number of 5,000 digits", "UNDECODABLE"),
        _json(f'["{WORDS}", {{}}, {nothing}]', "args is a text", "BAD_ARGUMENTS"),
        _json('["\ud800"]', "surrogates", "UNDECODABLE"),
        Envelope("bad UTF-8", "UNDECODABLE", body=b'["\xff\xfe"]', content_type=JSON, encoding="utf-8"),
        Envelope("unknown content type", "CONTENT_TYPE", content_type=f"text/{WORDS}"),
        Envelope("unknown encoding", "CONTENT_ENCODING", encoding="rot13"),
        Envelope(
            "a million keys",
            "BAD_KEYWORDS",
            body=pack([[b""], dict.fromkeys(map(str, range(1_000_000))), NOTHING]),
        ),
    ]


def items(queue: str) -> list[Item]:
    """Return the elements that are no messages."""
    good = Envelope("good", "")

    def without(*path: str) -> bytes:
        payload = json.loads(item_of(good, queue))
        part = payload
        for name in path[:-1]:
            part = part[name]
        del part[path[-1]]
        return json.dumps(payload).encode()

    def changed(**changes: Any) -> Callable[[], bytes]:
        return lambda: item_of(good, queue, **changes)

    def twice() -> bytes:
        return item_of(good, queue).replace(b'"headers"', b'"headers": {}, "headers"', 1)

    return [
        Item("nothing", "*", lambda: b""),
        Item("words", "*", WORDS.encode),
        Item("an int", "*", lambda: b"17"),
        Item("null", "*", lambda: b"null"),
        Item("a list", "*", lambda: b"[1, 2]"),
        Item("a text", "*", lambda: json.dumps(WORDS).encode()),
        Item("no UTF-8", "*", lambda: b'{"body": "\xff\xfe"}'),
        Item("100,000 deep", "*", lambda: b"[" * 100_000),
        Item("headers twice", "*", twice),
        Item("headers NaN", "*", changed(headers={"id": float("nan")})),
        Item("headers is a list", "*", changed(headers=[WORDS])),
        Item("properties is a text", "*", changed(properties=WORDS)),
        Item("no headers", "*", lambda: without("headers")),
        Item("no body", "*", lambda: without("body")),
        Item("no properties", "*", lambda: without("properties")),
        Item("no delivery_info", "*", lambda: without("properties", "delivery_info")),
        Item("no delivery_tag", "*", lambda: without("properties", "delivery_tag")),
        Item("body is a list", "*", changed(body=[WORDS])),
        Item("bad base64", "*", changed(body="A")),
        Item("content type is a map", "*", changed(**{"content-type": {"a": WORDS}})),
        Item("100 MB", "*", changed(body="A" * 100_000_000)),
    ]
