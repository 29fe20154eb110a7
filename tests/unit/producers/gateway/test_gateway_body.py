"""What the gateway takes for a request's body: one JSON value in UTF-8 that all readers understand alike."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.types import Message

from producers.gateway.call import Call
from producers.gateway.entry.body import BodyReader, parse
from producers.gateway.errors import BodyTooLarge, BodyTooSlow, MalformedBody, WrongMediaType
from producers.gateway.schemas import RecommendRequest
from producers.gateway.settings import GatewaySettings

JSON_TYPE = (b"content-type", b"application/json")

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


REFUSAL = object()


def read_by(decode: Callable[[bytes], object], text: str) -> object:
    """Return what *decode* reads in *text*, or REFUSAL."""
    try:
        return decode(text.encode())
    except (MalformedBody, msgspec.DecodeError):
        return REFUSAL


@given(values, st.sampled_from([{}, {"ensure_ascii": False}, {"indent": 1}]))
def test_what_a_writer_of_json_wrote_is_read_as_it_was_meant(value: object, style: dict[str, Any]) -> None:
    assert parse(json.dumps(value, **style).encode()) == value


@given(st.text(alphabet='{}[]",:\\u0d8e1+-.eEntrufals \t\n/\x01é', max_size=20))
def test_it_takes_nothing_that_another_strict_reader_refuses(text: str) -> None:
    """The other one is msgspec's.  Half a surrogate pair is for the fields to refuse, which have names."""
    value = read_by(parse, text)
    assert value is REFUSAL or value == read_by(msgspec.json.decode, text) or "\\ud" in text.lower()


@given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: f'"{text}"'.encode()))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """There is no third way: any other exception fails this test."""
    with contextlib.suppress(MalformedBody):
        parse(raw)


TWICE = "is there twice"
NOT_JSON, NOT_UTF8, DEEP = "not JSON", "not UTF-8", "deeper than 64 levels"
REFUSED = {
    "empty": (b"", NOT_JSON),
    "only blanks": (b" \n", NOT_JSON),
    "half": (b'{"a": ', NOT_JSON),
    "two values": (b"{}{}", NOT_JSON),
    "garbage after it": (b"{} x", NOT_JSON),
    "a NUL after it": (b"{}\0", NOT_JSON),
    "a comma too many": (b"[1,]", NOT_JSON),
    "a comment": (b"[1] // one", NOT_JSON),
    "single quotes": (b"{'a': 1}", NOT_JSON),
    "a tab in a string": (b'"a\tb"', NOT_JSON),
    "a NUL in a string": (b'"a\0b"', NOT_JSON),
    "an unknown escape": (rb'"\x41"', NOT_JSON),
    "a plus": (b"+1", NOT_JSON),
    "a leading zero": (b"01", NOT_JSON),
    "hexadecimal": (b"0x10", NOT_JSON),
    "other digits": ("١".encode(), NOT_JSON),
    "NaN": (b'{"a": NaN}', "NaN is no JSON number"),
    "infinity": (b"[-Infinity]", "-Infinity is no JSON number"),
    "too large a number": (b"[1e999]", "too large"),
    "too large a negative number": (b"-1e999", "too large"),
    "too many digits": (b"1" * 5_000, NOT_JSON),
    "a key twice": (b'{"a": 1, "a": 1}', TWICE),
    "a key twice, written differently": (rb'{"a": 1, "\u0061": 2}', TWICE),
    "a key twice, far inside": (b'[{"b": [{"a": {"c": 1, "c": 2}}]}]', TWICE),
    "invalid UTF-8": (b'"\xff"', NOT_UTF8),
    "overlong UTF-8": (b'"\xc0\xaf"', NOT_UTF8),
    "half a surrogate pair in UTF-8": (b'"\xed\xa0\x80"', NOT_UTF8),
    "cut UTF-8": ('"é'.encode()[:-1], NOT_UTF8),
    "a byte order mark": (b"\xef\xbb\xbf{}", NOT_JSON),
    "UTF-16": ('{"a": 1}'.encode("utf-16-le"), NOT_JSON),
    "UTF-16 with its mark": ('{"a": 1}'.encode("utf-16"), NOT_UTF8),
    "UTF-32": ('{"a": 1}'.encode("utf-32-be"), NOT_JSON),
    "65 levels": (b"[" * 65 + b"]" * 65, DEEP),
    "65 levels of objects": (b'{"a":' * 65 + b"1" + b"}" * 65, DEEP),
    "a million levels": (b"[" * 1_000_000, DEEP),
    "a million levels that end": (b"[" * 1_000_000 + b"]" * 1_000_000, DEEP),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    raw, reason = REFUSED[name]
    with pytest.raises(MalformedBody, match=reason):
        parse(raw)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        pytest.param(b" \r\n\t[1]\n", [1], id="blanks around it"),
        pytest.param(
            b'{"a": {"a": 1}, "b": {"a": 1}}', {"a": {"a": 1}, "b": {"a": 1}}, id="a key in two places"
        ),
        pytest.param(rb'"\ud83d\ude00"', "😀", id="a surrogate pair"),
        pytest.param(b"9" * 40, int("9" * 40), id="more digits than a machine word holds"),
        pytest.param(b"1e308", 1e308, id="a large number"),
        pytest.param(b"[" + b"[]," * 500 + b"[]]", [[]] * 501, id="wide and flat"),
    ],
)
def test_accepted(raw: bytes, value: object) -> None:
    assert parse(raw) == value


def test_64_levels_are_accepted() -> None:
    value = parse(b"[" * 64 + b"1" + b"]" * 64)
    for _ in range(64):
        (value,) = value
    assert value == 1


def test_a_key_that_is_twice_among_many_is_found_in_one_pass() -> None:
    """Comparing each with each would take 20 billion comparisons here, and the test would time out."""
    names = ",".join(f'"k{number}":0' for number in range(200_000))
    with pytest.raises(MalformedBody, match="'k199999' is there twice"):
        parse(f'{{{names},"k199999":1}}'.encode())


def test_a_refusal_says_where_and_quotes_nothing() -> None:
    with pytest.raises(MalformedBody) as refused:
        parse(b'{"user_input": "a secret",\n "x": secret}')
    assert str(refused.value) == "the body is not JSON: expecting value, line 2, column 7"


Receive = Callable[[], Awaitable[Message]]


def received(*messages: Message) -> Receive:
    """Return what gives *messages*, and then nothing for ever."""
    left = list(messages)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def read(
    receive: Receive, headers: Iterable[tuple[bytes, bytes]] = (JSON_TYPE,), **settings: Any
) -> RecommendRequest:
    call = Call.of({"type": "http", "headers": list(headers)})
    reader = BodyReader(GatewaySettings.model_validate(settings))
    body = asyncio.run(reader.read(RecommendRequest, call, receive))
    assert isinstance(body, RecommendRequest)
    return body


def test_a_body_may_come_in_parts_and_some_may_be_empty() -> None:
    parts = [part(b'{"scen', more=True), part(b"", more=True), part(b'ario": "x"}', more=True), part(b"")]
    assert read(received(*parts)).scenario == "x"


@pytest.mark.parametrize(
    "kind",
    [
        b"application/json",
        b"Application/JSON",
        b"application/json; charset=utf-8",
        b'application/json;charset="UTF-8"',
        b"application/json ; charset = utf8",
        b"application/json;",
    ],
)
def test_media_types_that_are_taken(kind: bytes) -> None:
    assert read(received(part(b'{"scenario": "x"}')), [(b"content-type", kind)]).scenario == "x"


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        pytest.param([], "Content-Type", id="none"),
        pytest.param([(b"content-type", b"text/plain")], "Content-Type", id="text"),
        pytest.param([(b"content-type", b"application/jsonx")], "Content-Type", id="another one"),
        pytest.param([JSON_TYPE, JSON_TYPE], "Content-Type", id="two"),
        pytest.param([(b"content-type", b"application/json; charset=utf-16")], "Content-Type", id="utf-16"),
        pytest.param([(b"content-type", b"application/json; charset=latin1")], "Content-Type", id="latin-1"),
        pytest.param([JSON_TYPE, (b"content-encoding", b"gzip")], "Content-Encoding", id="gzip"),
        pytest.param([JSON_TYPE, (b"content-encoding", b"identity, br")], "Content-Encoding", id="br"),
    ],
)
def test_a_body_of_another_kind_is_refused_unread(headers: list[tuple[bytes, bytes]], field: str) -> None:
    """Reading would wait for ever here."""
    with pytest.raises(WrongMediaType) as refused:
        read(received(), headers)
    assert refused.value.field == field


def test_too_large_a_body_is_refused_unread_if_it_says_so() -> None:
    with pytest.raises(BodyTooLarge):
        read(received(), [JSON_TYPE, (b"content-length", b"1025")], max_body_kb=1)


def test_too_large_a_body_is_refused_as_soon_as_it_is() -> None:
    """1,024 bytes are allowed, and the rest never comes."""
    with pytest.raises(BodyTooLarge):
        read(received(part(b" " * 1024, more=True), part(b" ", more=True)), max_body_kb=1)


def test_a_body_as_large_as_allowed_is_read() -> None:
    body = b'{"scenario": "x"}'
    assert read(received(part(body + b" " * (1024 - len(body)))), max_body_kb=1).scenario == "x"


def test_a_body_that_never_ends_is_not_waited_for() -> None:
    with pytest.raises(BodyTooSlow, match=r"within 0\.05 s"):
        read(received(part(b"{", more=True)), body_timeout_s=0.05)


def test_a_caller_who_leaves_has_sent_no_body() -> None:
    with pytest.raises(MalformedBody, match="ended early"):
        read(received(part(b"{", more=True), {"type": "http.disconnect"}))


def test_a_body_that_does_not_fit_is_left_to_the_models() -> None:
    with pytest.raises(ValidationError):
        read(received(part(b'{"scenario": 1}')))
