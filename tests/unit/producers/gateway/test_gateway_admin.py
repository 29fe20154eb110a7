"""The cache endpoints on a store of our own: what they count, who may void, and what is kept of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response as HttpResponse

from persona_system.cache.keys import EVERYTHING, tag_id
from persona_system.catalogue import load_catalogue
from persona_system.errors import InvalidInput
from producers.aio import AsyncPersonaClient
from producers.cache.counts import WAYS, Usage
from producers.errors import Unavailable
from producers.gateway.call import Call
from producers.gateway.caller import ANONYMOUS, Caller
from producers.gateway.endpoints.admin import Admin, stats_body
from producers.gateway.errors import Forbidden
from producers.gateway.ports import Audit, NoAudit
from producers.settings import ClientSettings
from tests.support.valkey import Server
from tests.support.valkey import server as running

ADMIN = Caller("root", "admin", "key")
PERSONAS = load_catalogue().personas
Deed = tuple[str, str, str, bool]  # who, action, target, allowed


class Book:
    """An audit that can be read, and that can be away."""

    def __init__(self, *, away: bool = False) -> None:
        self.deeds: list[Deed] = []
        self._away = away

    async def record(self, call: Call, action: str, target: str, *, allowed: bool) -> None:
        if self._away:
            raise Unavailable("the audit log", "its database does not answer")
        self.deeds.append((call.caller.subject, action, target, allowed))


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    with running() as made:
        yield made


@pytest.fixture
def server(own_server: Server) -> Server:
    """An empty store."""
    own_server.client.flushall()
    return own_server


def call_of(caller: Caller) -> Call:
    call = Call.of({"type": "http", "headers": []})
    call.caller = caller
    return call


def told(
    cache_url: str, deed: Callable[[Admin], Awaitable[HttpResponse]], audit: Audit | None = None
) -> dict[str, Any]:
    """Return the body with which an endpoint answers, for a fleet whose cache is at *cache_url*."""
    fleet = ClientSettings.model_validate(
        {
            "broker_url": "redis+socket:///nowhere.sock?virtual_host=0",
            "cache_url": cache_url,
            "cache_timeout_ms": 10_000,
            "connect_timeout_s": 10,
        }
    )

    async def story() -> HttpResponse:
        async with AsyncPersonaClient(fleet) as client:
            return await deed(Admin(client, fleet, PERSONAS, NoAudit() if audit is None else audit))

    body: dict[str, Any] = json.loads(bytes(asyncio.run(story()).body))
    return body


def figures(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in {"success", "timestamp", "request_id"}}


# -- stats -------------------------------------------------------------------------------------------


def test_before_anything_was_asked_all_is_zero(server: Server) -> None:
    nothing = {"hits": 0, "hit_rate": 0.0}
    body = told(server.url, lambda admin: admin.stats(call_of(ANONYMOUS)))
    assert figures(body) == {
        **dict.fromkeys(("total_requests", "cache_hits", "cache_misses"), 0),
        "hit_rate": 0.0,
        "l1": nothing,
        "l2": nothing,
    }


def test_the_counts_of_all_endpoints_and_processes_are_added_up(server: Server) -> None:
    """100 jobs: 60 from processes' own tiers, 20 of the other 40 from the store, 20 computed."""
    counts = {
        "process.producer_local": 40,
        "process.worker_local": 10,
        "recommend.producer_local": 10,
        "process.producer_shared": 12,
        "bulk.worker_shared": 8,
        "process.computed": 15,
        "bulk.bypassed": 5,
        "process.refreshed": 3,  # found, although computed anew
        "once.computed": 1_000,  # functions of somebody's own
        "store.void": 7,
    }
    for name, count in counts.items():
        server.client.hset("ion:cache:stats", name, str(count))
    body = told(server.url, lambda admin: admin.stats(call_of(ANONYMOUS)))

    assert figures(body) == {
        "total_requests": 100,
        "cache_hits": 80,
        "cache_misses": 20,
        "hit_rate": 0.8,
        "l1": {"hits": 60, "hit_rate": 0.6},
        "l2": {"hits": 20, "hit_rate": 0.5},
    }


@given(st.fixed_dictionaries({way: st.integers(0, 10**9) for way in WAYS}))
def test_hits_and_misses_are_all_and_the_tiers_make_the_whole(ways: dict[str, int]) -> None:
    body = stats_body(Usage("all", ways), call_of(ANONYMOUS))

    assert body["cache_hits"] + body["cache_misses"] == body["total_requests"] == sum(ways.values())
    assert body["l1"]["hits"] + body["l2"]["hits"] == body["cache_hits"]
    left = (1 - body["l1"]["hit_rate"]) * (1 - body["l2"]["hit_rate"])
    assert 1 - left == pytest.approx(body["hit_rate"], abs=1e-9)


def test_the_store_is_asked_once_for_all_who_ask_at_the_same_time(server: Server) -> None:
    async def many(admin: Admin) -> HttpResponse:
        return (await asyncio.gather(*[admin.stats(call_of(ANONYMOUS)) for _ in range(50)]))[-1]

    server.client.config_resetstat()
    told(server.url, many)
    assert server.client.info("commandstats")["cmdstat_hgetall"]["calls"] == 1


def test_without_a_cache_it_is_said_so() -> None:
    with pytest.raises(
        Unavailable, match="the cache is not available: this fleet has none; set ION_CACHE_URL"
    ):
        told("", lambda admin: admin.stats(call_of(ANONYMOUS)))


DEEDS = {
    "stats": lambda admin: admin.stats(call_of(ADMIN)),
    "clear": lambda admin: admin.clear(call_of(ADMIN)),
    "invalidate": lambda admin: admin.invalidate(call_of(ADMIN), "persona:Lua"),
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_a_cache_that_is_away_is_unavailable_and_its_address_is_nobodys_business(
    deed: Callable[[Admin], Awaitable[HttpResponse]],
) -> None:
    with pytest.raises(Unavailable) as caught:
        told("unix:///nowhere/secret.sock", deed)
    assert str(caught.value).startswith("the cache is not available: its ")
    assert "nowhere" not in str(caught.value)


# -- clear and invalidate ----------------------------------------------------------------------------


def stamp(server: Server, *tags: str) -> None:
    """Let answers carry *tags*: an invalidation takes a tag's stamp away."""
    for tag in tags:
        server.client.set(f"ion:cache:t:{tag_id(tag).hex()}", b"8 bytes.")


def stamped(server: Server, *tags: str) -> list[str]:
    return [tag for tag in tags if server.client.exists(f"ion:cache:t:{tag_id(tag).hex()}")]


@pytest.mark.parametrize(
    ("pattern", "tags"),
    [
        ("persona:lua", ["persona:Lua"]),
        ("persona:루아", ["persona:Lua"]),
        ("persona:*", ["persona:Lua", "persona:Elro", "persona:Riri", "persona:Nana"]),
        ("endpoint:process", ["endpoint:process"]),
        ("user:42", ["user:42"]),
        ("session:가:나", ["session:가:나"]),
        ("function:shop.price", ["function:shop.price"]),
    ],
)
def test_a_pattern_voids_its_tags_and_no_others(server: Server, pattern: str, tags: list[str]) -> None:
    stamp(server, *tags, "persona:Kai", "user:4", "session:가")
    audit = Book()
    body = told(server.url, lambda admin: admin.invalidate(call_of(ADMIN), pattern), audit)

    assert (body["tags"], body["invalidated"]) == (tags, len(tags))
    assert body["listening"] in (0, 1)  # this process itself, if it is connected by now
    assert stamped(server, *tags, "persona:Kai", "user:4", "session:가") == [
        "persona:Kai",
        "user:4",
        "session:가",
    ]
    assert audit.deeds == [("root", "cache.invalidate", pattern, True)]


def test_clearing_voids_what_every_answer_carries(server: Server) -> None:
    stamp(server, EVERYTHING)
    audit = Book()
    body = told(server.url, lambda admin: admin.clear(call_of(ADMIN)), audit)

    assert (body["tags"], body["invalidated"]) == ([EVERYTHING], 1)
    assert stamped(server, EVERYTHING) == []
    assert audit.deeds == [("root", "cache.clear", EVERYTHING, True)]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("kim@example.org", "is not KIND:NAME"),
        ("persona:", "is not KIND:NAME"),
        ("*", "is not KIND:NAME"),
        ("users:42", "'users' is not a kind of tag"),
        ("persona:Bob", "'Bob' is not a known persona"),
        ("persona:X*", "'X*' is not a known persona"),
        ("endpoint:health", "'health' is not a known endpoint"),
        ("user:*", "user:* has no list to expand to"),
        ("user:" + "x" * 129, "has 129 characters"),
        ("session:a\x00", "holds a control character"),
    ],
    ids=lambda given: given[:12].replace("\x00", "NUL"),
)
def test_a_wrong_pattern_names_the_parameter_and_what_to_send(
    server: Server, pattern: str, problem: str
) -> None:
    audit = Book()
    with pytest.raises(InvalidInput) as caught:
        told(server.url, lambda admin: admin.invalidate(call_of(ADMIN), pattern), audit)

    assert caught.value.field == "pattern"
    assert problem in caught.value.problem
    assert "ion " not in caught.value.fix  # no words of the command line
    assert "--" not in caught.value.fix
    assert "kim" not in str(caught.value)
    assert audit.deeds == []  # nothing was done, and nothing refused to somebody


CALLERS = [Caller("42", "user", "token"), Caller("shop", "service", "key"), ANONYMOUS]


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.subject)
def test_only_an_admin_may_and_who_tried_is_kept(server: Server, caller: Caller) -> None:
    stamp(server, EVERYTHING, "user:42")
    audit = Book()
    with pytest.raises(Forbidden):
        told(server.url, lambda admin: admin.clear(call_of(caller)), audit)
    with pytest.raises(Forbidden):
        told(server.url, lambda admin: admin.invalidate(call_of(caller), "user:42"), audit)

    assert stamped(server, EVERYTHING, "user:42") == [EVERYTHING, "user:42"]
    assert audit.deeds == [
        (caller.subject, "cache.clear", EVERYTHING, False),
        (caller.subject, "cache.invalidate", "user:42", False),
    ]


@pytest.mark.parametrize("deed", [DEEDS["clear"], DEEDS["invalidate"]], ids=["clear", "invalidate"])
def test_what_cannot_be_kept_is_not_done(
    server: Server, deed: Callable[[Admin], Awaitable[HttpResponse]]
) -> None:
    stamp(server, EVERYTHING, "persona:Lua")
    with pytest.raises(Unavailable, match="the audit log"):
        told(server.url, deed, Book(away=True))
    assert stamped(server, EVERYTHING, "persona:Lua") == [EVERYTHING, "persona:Lua"]
