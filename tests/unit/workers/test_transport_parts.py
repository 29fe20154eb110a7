"""The transport's decisions: who is served first, what is a message, what an address means."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.contract import names
from workers.contract.addresses import BadAddress, NoReplyStore, is_redis, reply_url_of, tls_options
from workers.transport import envelope
from workers.transport.claims import TURN, Claim, Place, Rota
from workers.transport.envelope import Malformed
from workers.transport.publish import ServerClock
from workers.transport.scripts import Keys
from workers.transport.servers import SentinelAddress, shown

GOOD: dict[str, Any] = {
    "body": "eA==",
    "content-encoding": "binary",
    "content-type": "application/x-msgpack",
    "headers": {"task": "t"},
    "properties": {
        "body_encoding": "base64",
        "delivery_tag": "tag",
        "delivery_info": {"exchange": "", "routing_key": "bulk"},
    },
}
GOOD_ITEM = json.dumps(GOOD)


# -- the order of queues ----------------------------------------------------------------------------


def test_claims_look_into_the_queues_in_class_order() -> None:
    rota = Rota(reversed(names.QUEUES), names.QUEUES)
    assert rota.order(1) == names.QUEUES
    assert Rota(["unknown", names.BULK], names.QUEUES).order(1) == (names.BULK, "unknown")
    assert Rota([], names.QUEUES).order(TURN) == ()
    assert Rota(["only"], names.QUEUES).order(TURN) == ("only",)


def test_each_sixteenth_claim_begins_with_another_lower_queue_in_turn() -> None:
    """In 4 x 16 claims over five queues, each of the lower four is first once; the last one begins."""
    rota = Rota(names.QUEUES, names.QUEUES)
    first = [rota.order(number)[0] for number in range(1, 4 * TURN + 1)]
    assert Counter(first) == {names.INTERACTIVE: 60, **dict.fromkeys(names.QUEUES[1:], 1)}
    assert rota.order(4 * TURN)[0] == names.BULK
    assert all(sorted(rota.order(n)) == sorted(names.QUEUES) for n in range(100))


@given(st.sets(st.sampled_from("abcdef"), min_size=1), st.integers(1, 1000))
def test_every_claim_looks_into_every_queue_once(queues: set[str], number: int) -> None:
    assert sorted(Rota(queues, "abcdef").order(number)) == sorted(queues)


def test_a_tag_says_where_the_message_is_in_flight() -> None:
    claim = Claim(7, "worker", ("bulk",), frozenset({"bulk"}))
    place = Place.of(claim.tag("bulk"))
    assert (place.worker, place.field, place.queue) == ("worker", "7/bulk", "bulk")
    assert claim.command(Keys("p:"), 10)[3:7] == ["p:hb:worker", "p:inflight:worker", "p:bulk", "p:bell:bulk"]
    assert Place.of("somebody-elses-tag").field == ""


# -- what is a message ------------------------------------------------------------------------------


def changed(path: str, value: Any) -> str:
    """Return the good message with *value* at the dotted *path*; ``...``: without it."""
    message = json.loads(GOOD_ITEM)
    *parents, last = path.split(".")
    part = message
    for name in parents:
        part = part[name]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return json.dumps(message)


def test_a_good_message_passes_with_its_body_decoded_and_our_tag() -> None:
    payload = envelope.read(GOOD_ITEM.encode(), "our tag")
    assert payload["body"] == b"x"
    assert payload["properties"]["delivery_tag"] == "our tag"
    assert payload["headers"] == {"task": "t"}


def test_what_the_scripts_wrote_becomes_headers() -> None:
    story = [[5, "lost with its worker", "w@1"]]
    item = f'{{"ion":[1,1,2,{json.dumps(story)}],{GOOD_ITEM[1:]}'.encode()
    payload = envelope.read(item, "t")
    assert payload["headers"] == {"task": "t", "redelivered": True, "ion-lost": 1, "ion-story": story}
    assert payload["properties"]["delivery_info"]["redelivered"] is True
    assert "ion" not in payload


def test_headers_that_only_the_transport_may_set_are_not_believed() -> None:
    forged = changed("headers", {"ion-lost": 5, "ion-story": [], "redelivered": True, "mine": 1})
    assert envelope.read(forged.encode(), "t")["headers"] == {"mine": 1}


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ("", "NOT_JSON"),
        ("{", "NOT_JSON"),
        ("\ud83d".encode("utf-8", "surrogatepass"), "NOT_JSON"),
        (b"\xff\xfe{}", "NOT_JSON"),
        ("NaN", "NOT_JSON"),
        (changed("headers", {"x": float("inf")}), "NOT_JSON"),
        (GOOD_ITEM.replace('"t"', "1e999"), "NOT_JSON"),
        (GOOD_ITEM.replace('"t"', "9" * 5_000), "NOT_JSON"),
        (GOOD_ITEM.replace('"t"', '{"__type__": "datetime", "__value__": "never"}'), "NOT_JSON"),
        (GOOD_ITEM.replace('"t"', '{"__type__": "no such", "__value__": 1}'), "NOT_JSON"),
        ("[" * 100_000, "TOO_DEEP"),
        (GOOD_ITEM.replace('"t"', "[" * 100_000 + "]" * 100_000), "TOO_DEEP"),
        ("[]", "BAD_ENVELOPE"),
        ("17", "BAD_ENVELOPE"),
        ("{}", "BAD_ENVELOPE"),
        (GOOD_ITEM.replace('{"task": "t"}', '{"task": "t", "task": "u"}'), "DUPLICATE_KEY"),
        (changed("ion", [1, 2]), "BAD_ENVELOPE"),
        (changed("ion", [1, "2", 3, []]), "BAD_ENVELOPE"),
        (changed("body", ...), "BAD_ENVELOPE"),
        (changed("body", 5), "BAD_ENVELOPE"),
        (changed("body", "abc"), "BAD_ENVELOPE"),
        (changed("body", "\ud800"), "BAD_ENVELOPE"),
        (changed("headers", None), "BAD_ENVELOPE"),
        (changed("headers", []), "BAD_ENVELOPE"),
        (changed("content-type", 5), "BAD_ENVELOPE"),
        (changed("content-encoding", []), "BAD_ENVELOPE"),
        (changed("properties", ...), "BAD_ENVELOPE"),
        (changed("properties.body_encoding", "gzip"), "BAD_ENVELOPE"),
        (changed("properties.body_encoding", []), "BAD_ENVELOPE"),
        (changed("properties.delivery_tag", ...), "BAD_ENVELOPE"),
        (changed("properties.delivery_tag", 5), "BAD_ENVELOPE"),
        (changed("properties.delivery_info", ...), "BAD_ENVELOPE"),
        (changed("properties.delivery_info.exchange", None), "BAD_ENVELOPE"),
        (changed("properties.delivery_info.routing_key", 5), "BAD_ENVELOPE"),
    ],
)
def test_what_is_no_message_is_refused_with_a_code(item: str | bytes, code: str) -> None:
    with pytest.raises(Malformed) as refused:
        envelope.read(item.encode("utf-8", "surrogatepass") if isinstance(item, str) else item, "t")
    assert refused.value.code == code


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_it_is_it_is_read_or_refused(item: bytes) -> None:
    try:
        envelope.read(item, "t")
    except Malformed as refused:
        assert refused.problem  # noqa: PT017 - either outcome will do, nothing else


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_problem_never_quotes_the_message(value: Any) -> None:
    private = "my private words"
    try:
        envelope.read(json.dumps({"text": private, "headers": value}).encode(), "t")
    except Malformed as refused:
        assert private not in str(refused)  # noqa: PT017


@pytest.mark.parametrize("raw", ["{}", "[1", "", '{"a":1}', '{"ion":[1,2', '{"ion":[1,2,3,[[]]],'])
def test_the_front_comes_off_as_it_went_on(raw: str) -> None:
    story = '[[5,"lost with its worker","w@1"],[6,"lost with its worker","w:2"]]'
    on = f'{{"ion":[1,2,3,{story}],{raw[1:]}' if raw.startswith("{") else f'{{"ion":[1,2,3,{story}]}}{raw}'
    assert envelope.front_of(on.encode()) == envelope.Front(2, raw.encode())
    assert envelope.front_of(raw.encode()) == envelope.Front(0, raw.encode())


# -- time -------------------------------------------------------------------------------------------


def test_the_servers_clock_is_asked_once_a_minute() -> None:
    """Asked at 100 s, when the server has 5,000.25 s; 30 s later it is 5,030.25 s; after 61 s, asked anew."""
    asked: list[float] = []
    now = [100.0]

    def ask() -> tuple[int, int]:
        asked.append(now[0])
        return (5_000, 250_000) if len(asked) == 1 else (9_000, 0)

    clock = ServerClock(ask, lambda: now[0])
    assert clock.now_ms() == 5_000_250
    now[0] = 130.0
    assert clock.now_ms() == 5_030_250
    now[0] = 161.0
    assert clock.now_ms() == 9_000_000
    assert asked == [100.0, 161.0]


# -- addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("redis://h:1/2", "redis://h:1/2"),
        ("redis://u:p%40@h", "redis://u:p%40@h"),
        ("valkey://h", "redis://h"),
        ("valkeys://h", "rediss://h"),
        ("rediss://h?ssl_cert_reqs=CERT_NONE", "rediss://h?ssl_cert_reqs=none"),
        ("redis+socket:///a/b.sock?virtual_host=3", "unix:///a/b.sock?db=3"),
        ("redis+socket://:pw@/a%20b", "unix://:pw@/a%20b?db=0"),
        ("unix:///a?db=1&protocol=2", "unix:///a?db=1&protocol=2"),
        ("stock+redis://h/1", "redis://h/1"),
        ("stock+redis+socket:///a?virtual_host=0", "unix:///a?db=0"),
        ("sentinel://a:1/2?master_name=m", "sentinel://a:1/2?master_name=m"),
        (
            "sentinel://u:p@a:1;sentinel://b:2;sentinel://x@c/0?master_name=m&ssl=true",
            "sentinel://u:p@a:1,b:2,c/0?master_name=m&ssl=true",
        ),
    ],
)
def test_what_people_write_has_one_meaning(written: str, meant: str) -> None:
    assert reply_url_of(written) == meant
    assert reply_url_of(meant) == meant
    assert is_redis(written)


def test_a_sentinel_without_a_master_is_refused_and_not_quoted() -> None:
    with pytest.raises(BadAddress, match="master_name") as refused:
        reply_url_of("sentinel://u:secret@a:1")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["amqp://g@h//", "memory://", "h:6379", ""])
def test_other_brokers_keep_no_replies(url: str) -> None:
    assert not is_redis(url)
    with pytest.raises(NoReplyStore, match="set ION_REPLY_URL"):
        reply_url_of(url)


def test_certificates_are_verified_unless_the_url_says_otherwise() -> None:
    assert tls_options("rediss://h") == {"ssl_cert_reqs": "required"}
    assert tls_options("rediss://h?ssl_cert_reqs=none&db=1") == {"ssl_cert_reqs": "none"}


def test_a_sentinel_address_has_its_parts_and_shows_no_password() -> None:
    address = SentinelAddress.of("sentinel://u:p%40@a:1,[::1]:2,c/3?master_name=m&sentinel_password=s")
    assert address.nodes == (("a", 1), ("::1", 2), ("c", 26379))
    assert (address.username, address.password, address.database) == ("u", "p@", 3)
    assert "p@" not in repr(address)
    assert "sentinel_password" not in repr(address)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("unix:///a?db=2", "redis+socket:///a?virtual_host=2"),
        ("redis://h/1?socket_timeout=3", "redis://h/1"),
        ("sentinel://u:p@a:1,b:2/3?master_name=m", "sentinel://u:p@a:1/3"),
    ],
)
def test_flower_is_told_addresses_in_words_that_it_knows(url: str, said: str) -> None:
    assert shown(url) == said
