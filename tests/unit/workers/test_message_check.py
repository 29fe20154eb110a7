"""Which messages Celery gets to see: those that our producers and our beat send, and no others."""

import base64
import contextlib
import copy
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from workers.contract import names
from workers.envelope import MAX_BODY_BYTES, MAX_JSON_BYTES, argument_of, check
from workers.errors import Unanswerable

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TASKS = {names.PERSONA_PROCESS: 1, names.CACHE_WARM: 0}
WORDS = "my very private words"
NOTHING = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
pack = msgspec.msgpack.encode


def headers_of(task: str = names.PERSONA_PROCESS, **given: Any) -> dict[str, Any]:
    with Celery("test", set_as_current=False) as app:
        options = {"argsrepr": "3 jobs", "kwargsrepr": "{}", "ignore_result": True}
        return dict(app.amqp.as_task_v2("b1", task, **{**options, **given}).headers)


@dataclass
class Message:
    """A message as kombu hands it over; a good one unless told otherwise."""

    headers: Any = field(default_factory=headers_of)
    properties: Any = field(default_factory=lambda: {"correlation_id": "b1", "reply_to": ""})
    body: Any = field(default_factory=lambda: pack([[b"payload"], {}, NOTHING]))
    content_type: Any = "application/x-msgpack"
    content_encoding: Any = "binary"


def refused(message: Message) -> Unanswerable:
    with pytest.raises(Unanswerable) as caught:
        check(message, TASKS, NOW)
    assert WORDS not in str(caught.value)
    return caught.value


def as_json(body: object) -> Message:
    text = body if isinstance(body, str) else json.dumps(body)
    return Message(body=text.encode(), content_type="application/json", content_encoding="utf-8")


# -- what passes ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "message",
    [
        Message(),
        Message(headers=headers_of(expires=30), body=pack([[b""], {}, NOTHING])),
        Message(headers=headers_of(countdown=8, now=NOW, retries=3)),
        Message(headers=headers_of(time_limit=30, soft_time_limit=25.5)),
        Message(headers=headers_of(names.CACHE_WARM), body=pack([[], {}, NOTHING])),
        Message(headers={**headers_of(), "ion-lost": 2, "ion-story": [[1, "lost", "w"]]}),
        Message(headers={**headers_of(), "x-delivery-count": 1, "sentry-trace": "00-ab", "traceparent": "x"}),
        Message(headers={**headers_of(), "compression": None, "callbacks": None}),
        Message(properties={"correlation_id": "b1", "reply_to": "7e1e9b5c-60c6-3bd4-8d0b-2f0a4f2c2a11"}),
        Message(body=memoryview(pack([[b"payload"], {}, NOTHING]))),
        as_json([[{"__type__": "base64", "__value__": base64.b64encode(b"\xff").decode()}], {}, NOTHING]),
        as_json([[{"__type__": "bytes", "__value__": "payload"}], {}, NOTHING]),
    ],
)
def test_what_our_own_programs_send_passes(message: Message) -> None:
    check(message, TASKS, NOW)


# -- headers ----------------------------------------------------------------------------------------
MANY = [f"h{n}" for n in range(40)]
BAD_HEADERS: dict[str, list[object]] = {
    "id": [None, 7, "", "x" * 256, ["b1"], {"a": 1}, "a\u202eb", "a\nb", "\ud800", b"b1"],
    "task": [None, 7, {}, [names.PERSONA_PROCESS], ""],
    "lang": [None, 3, "p" * 300],
    "retries": [None, -1, 1.5, "1", True, 10**9, [0]],
    "timelimit": [
        *([], [1], [1, 2, 3], "30", 30, {"a": 1}, [-1, None], ["30", None], [[1], None]),
        *([float("nan"), None], [None, float("inf")], [True, None], [10**400, None]),
    ],
    "eta": [0, "tomorrow", "99999-01-01T00:00:00", "0001-01-01T00:00:00", [], "2026-05-01" + "0" * 99],
    "expires": ["garbage", 17, {}, "99999-01-01T00:00:00", "9999-12-31T23:59:59"],
    "group": [1, [], "g" * 256],
    "group_index": ["1", -1],
    "root_id": [1, "r" * 256],
    "parent_id": [{}, 2.5],
    "argsrepr": [["x"], "x" * 3_000, "a\x1b[2Jb"],
    "kwargsrepr": [{}, "x" * 3_000],
    "shadow": [7, WORDS, "x" * 300],
    "origin": [7, "o" * 300],
    "ignore_result": ["yes", 1],
    "replaced_task_nesting": [-1, "0"],
    "stamped_headers": ["abc", [1], [["x"]]],
    "stamps": [[], {"a": {}}, {1: "x"}, {"a": [1]}],
    "headers": [7, [], {1: "x"}, {"__class__": "x"}, {"a": {}}, {"a": "x" * 9_000}, dict.fromkeys(MANY, "x")],
    "sentry-trace": [7, "x" * 300, "a\x1b[2Jb"],
    "baggage": [{}, "x" * 10_000],
    "sentry-task-enqueued-time": ["now", -1.0, float("nan"), True],
    "sentry-monitor-slug": [b"x", "x" * 300],
    "sentry-monitor-check-in-id": [7],
    "sentry-monitor-start-timestamp-s": [1.5],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD_HEADERS.items() for value in values]
)
def test_a_header_of_another_kind_is_refused_by_name(name: str, value: object) -> None:
    error = refused(Message(headers={**headers_of(), name: value}))

    assert (error.code, error.field) == ("BAD_HEADER", name)


def test_what_sentrys_integration_adds_to_a_message_may_pass() -> None:
    """sentry_sdk/integrations/celery: traces and check-ins, twice, the second time below ``headers``."""
    trace = {
        "sentry-trace": "0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-1",
        "baggage": "sentry-trace_id=0af7651916cd43dd8448eb211c80319c,sentry-sample_rate=1.0",
        "sentry-monitor-start-timestamp-s": "1700000000.000000000",
        "sentry-monitor-slug": "cache.warm",
        "sentry-monitor-check-in-id": "f" * 32,
        "sentry-task-enqueued-time": 1_700_000_000.25,
    }

    check(
        Message(headers={**headers_of(), **trace, "headers": {**trace, "ion-missed": "once 1"}}), TASKS, NOW
    )


@pytest.mark.parametrize("name", ["id", "task", "lang", "retries", "timelimit"])
def test_what_celery_cannot_do_without_must_be_there(name: str) -> None:
    headers = headers_of()
    del headers[name]

    error = refused(Message(headers=headers))

    assert (error.code, error.field) == ("MISSING_HEADER", name)


@pytest.mark.parametrize(
    "task",
    [
        *("no.such.task", "celery.backend_cleanup", "celery.map", "celery.chord_unlock"),
        *("__import__", "os.system", "persona.process ", names.PERSONA_PROCESS.upper(), WORDS),
    ],
)
def test_a_task_that_is_not_ours_is_unknown(task: str) -> None:
    assert refused(Message(headers={**headers_of(), "task": task})).code == "UNKNOWN_TASK"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("compression", "zlib", "COMPRESSED"),
        ("compression", "application/x-bz2", "COMPRESSED"),
        ("callbacks", [{"task": "x"}], "FORBIDDEN_HEADER"),
        ("chord", {"task": "x"}, "FORBIDDEN_HEADER"),
        ("is_eager", True, "FORBIDDEN_HEADER"),
        ("called_directly", None, "FORBIDDEN_HEADER"),  # Celery's own default is not None
        ("update", None, "FORBIDDEN_HEADER"),  # a method of Celery's request
        ("__class__", "x", "BAD_HEADERS"),
        (WORDS, "x", "BAD_HEADERS"),
        (7, "x", "BAD_HEADERS"),
        ("x-baggage", "x" * 10_000, "BAD_HEADERS"),
    ],
)
def test_a_header_that_celery_would_obey_is_no_senders_to_set(name: Any, value: object, code: str) -> None:
    assert refused(Message(headers={**headers_of(), name: value})).code == code


def test_a_delay_longer_than_any_of_ours_is_refused() -> None:
    """A worker holds in its memory what is due later; ours is due within 30 s."""
    check(Message(headers={**headers_of(), "eta": (NOW + timedelta(minutes=9)).isoformat()}), TASKS, NOW)

    late = {**headers_of(), "eta": (NOW + timedelta(minutes=11)).isoformat()}
    assert refused(Message(headers=late)).code == "TOO_FAR_AHEAD"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (Message(headers=None), "BAD_HEADERS"),
        (Message(headers=[1]), "BAD_HEADERS"),
        (Message(headers={**headers_of(), **{f"h{n}": n for n in range(60)}}), "BAD_HEADERS"),
        (Message(properties=None), "BAD_PROPERTIES"),
        (Message(properties={"correlation_id": {}}), "BAD_PROPERTIES"),
        (Message(properties={"reply_to": "somebody.else"}), "REPLY_TO"),
    ],
)
def test_the_rest_of_an_envelope_is_looked_at_too(message: Message, code: str) -> None:
    assert refused(message).code == code


# -- bodies -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("content_type", "encoding", "code"),
    [
        ("application/x-python-serialize", "binary", "CONTENT_TYPE"),
        ("application/x-yaml", "utf-8", "CONTENT_TYPE"),
        ("application/data", "binary", "CONTENT_TYPE"),
        ("text/plain", "utf-8", "CONTENT_TYPE"),
        (None, None, "CONTENT_TYPE"),
        (["application/json"], "utf-8", "CONTENT_TYPE"),
        ("application/json", "utf-16", "CONTENT_ENCODING"),
        ("application/x-msgpack", "zlib", "CONTENT_ENCODING"),
        ("application/x-msgpack", None, "CONTENT_ENCODING"),
    ],
)
def test_only_what_we_write_is_read(content_type: object, encoding: object, code: str) -> None:
    assert refused(Message(content_type=content_type, content_encoding=encoding)).code == code


CALL = {"task": names.PERSONA_PROCESS, "args": [], "kwargs": {}, "options": {}}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (7, "BAD_BODY"),
        (None, "BAD_BODY"),
        ([], "BAD_BODY"),
        ([[b"p"], {}], "BAD_BODY"),
        ([[b"p"], {}, NOTHING, 1], "BAD_BODY"),
        ({"args": [b"p"], "kwargs": {}}, "BAD_BODY"),
        ([{}, {}, NOTHING], "BAD_ARGUMENTS"),
        ([[], {}, NOTHING], "BAD_ARGUMENTS"),
        ([["text"], {}, NOTHING], "BAD_ARGUMENTS"),
        ([[b"p", b"q"], {}, NOTHING], "BAD_ARGUMENTS"),
        ([[[b"p"]], {}, NOTHING], "BAD_ARGUMENTS"),
        ([[b"p"], [], NOTHING], "BAD_KEYWORDS"),
        ([[b"p"], {"payload": b"p"}, NOTHING], "BAD_KEYWORDS"),
        ([[b"p"], {"__class__": 1}, NOTHING], "BAD_KEYWORDS"),
        ([[b"p"], {7: 1}, NOTHING], "BAD_KEYWORDS"),
        ([[b"p"], {}, {**NOTHING, "callbacks": [CALL]}], "EMBEDDED_CALLS"),
        ([[b"p"], {}, {**NOTHING, "errbacks": [CALL]}], "EMBEDDED_CALLS"),
        ([[b"p"], {}, {**NOTHING, "chain": [CALL]}], "EMBEDDED_CALLS"),
        ([[b"p"], {}, {**NOTHING, "chord": CALL}], "EMBEDDED_CALLS"),
        ([[b"p"], {}, {**NOTHING, WORDS: None}], "EMBEDDED_CALLS"),
        ([[b"p"], {}, []], "EMBEDDED_CALLS"),
    ],
)
def test_a_body_calls_its_task_with_its_argument_and_nothing_else(body: Any, code: str) -> None:
    assert refused(Message(body=pack(body))).code == code

    def in_json(part: Any) -> Any:
        if isinstance(part, bytes):
            return {"__type__": "bytes", "__value__": part.decode()}
        if isinstance(part, dict):
            return {str(key): in_json(value) for key, value in part.items()}
        return [in_json(item) for item in part] if isinstance(part, list) else part

    assert refused(as_json(in_json(body))).code == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, "BAD_BODY"),
        (17, "BAD_BODY"),
        ([1], "BAD_BODY"),
        (b"", "UNDECODABLE"),
        (b"\xc1", "UNDECODABLE"),
        (WORDS, "UNDECODABLE"),
        (pack([[b"p"], {}, NOTHING])[:-3], "UNDECODABLE"),
        (pack([[b"p"], {}, NOTHING]) + b"\x00", "UNDECODABLE"),
        (b"\x93\xdd\xff\xff\xff\xff", "BAD_ARGUMENTS"),  # says that it has 4 billion arguments
        (b"\x91" * 100_000, "BAD_BODY"),
        (b"\x00" * (MAX_BODY_BYTES + 1), "TOO_LARGE"),
    ],
)
def test_bytes_that_are_no_body_are_refused(body: object, code: str) -> None:
    assert refused(Message(body=body)).code == code


ARGUMENT = '{"__type__": "bytes", "__value__": "p"}'
EMBED = json.dumps(NOTHING)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"[[NaN], {{}}, {EMBED}]", "DOUBTFUL_JSON"),
        (f"[[Infinity], {{}}, {EMBED}]", "DOUBTFUL_JSON"),
        (f"[[-Infinity], {{}}, {EMBED}]", "DOUBTFUL_JSON"),
        (f'[[{ARGUMENT}], {{}}, {{"chain": null, "chain": null}}]', "DOUBTFUL_JSON"),
        (
            f'[[{{"__type__": "bytes", "__type__": "uuid", "__value__": "p"}}], {{}}, {EMBED}]',
            "DOUBTFUL_JSON",
        ),
        ("[" * 100_000 + "]" * 100_000, "TOO_DEEP"),
        ("[" * 900, "UNDECODABLE"),
        (f"[[{'9' * 5_000}], {{}}, {EMBED}]", "UNDECODABLE"),
        (f"[[{ARGUMENT}], {{}}, {EMBED}] {WORDS}", "UNDECODABLE"),
        ("", "UNDECODABLE"),
        (f'[[{{"__type__": "base64", "__value__": "not base64!"}}], {{}}, {EMBED}]', "BAD_ARGUMENTS"),
        (f'[[{{"__type__": "bytes", "__value__": "\\ud800"}}], {{}}, {EMBED}]', "BAD_ARGUMENTS"),
        (f'[[{{"__type__": "uuid", "__value__": {{"hex": "1"}}}}], {{}}, {EMBED}]', "BAD_ARGUMENTS"),
        (f'[[{{"__type__": ["bytes"], "__value__": "p"}}], {{}}, {EMBED}]', "BAD_ARGUMENTS"),
        (f'["{"x" * MAX_JSON_BYTES}"]', "TOO_LARGE"),
    ],
)
def test_json_that_two_readers_may_read_in_two_ways_is_refused(text: str, code: str) -> None:
    assert refused(as_json(text)).code == code


def test_json_that_is_not_utf_8_is_refused() -> None:
    message = as_json("[]")
    message.body = b'["\xff"]'
    assert refused(message).code == "UNDECODABLE"


# -- whatever comes ---------------------------------------------------------------------------------
_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    changed=st.dictionaries(st.sampled_from(sorted(headers_of())) | st.text(), _anything, max_size=4),
    body=st.binary(max_size=40) | _anything,
    properties=_anything,
)
def test_no_message_makes_the_check_fail(changed: dict[str, Any], body: Any, properties: Any) -> None:
    """It passes or it is refused; the check itself has no third end."""
    for headers in ({**headers_of(), **changed}, changed):
        for content_type, encoding in (("application/x-msgpack", "binary"), ("application/json", "utf-8")):
            message = Message(copy.deepcopy(headers), properties, body, content_type, encoding)
            with contextlib.suppress(Unanswerable):
                check(message, TASKS, NOW)


@given(argument=st.binary(max_size=200))
def test_the_argument_comes_out_as_it_went_in(argument: bytes) -> None:
    assert argument_of(pack([[argument], {}, NOTHING])) == argument


@given(body=st.binary(max_size=40))
def test_of_a_body_that_holds_no_argument_there_is_none(body: bytes) -> None:
    assert isinstance(argument_of(body), bytes)
