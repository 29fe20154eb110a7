"""``ion cache`` against a store of our own: what it counts there, what it voids, and what it refuses."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from persona_system.cache.answers import process_request
from persona_system.cache.inspection import Inspection, State
from persona_system.cache.keys import tag_ids
from persona_system.cache.lifetime import Lifetime
from persona_system.cache.local import LocalCache
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.redis_store import RedisStore
from persona_system.cache.tiers import Item
from persona_system.cache.two_tier import TwoTierCache
from producers.cache.counts import WAYS
from producers.cli.collaborators import ConfiguredFleet
from tests.support.cache_commands import REQUEST, TEXT, Found, Ion, Kept, tags_of
from tests.support.valkey import Server
from tests.support.wait import wait_until

LIFETIME = Lifetime(timedelta(minutes=5))

pytestmark = pytest.mark.usefixtures("server")


# -- top ---------------------------------------------------------------------------------------------


def test_top_ranks_requests_by_id_and_says_nothing_of_their_text(
    kept: Kept, server: Server, ion: Ion
) -> None:
    asked_by_id = process_request("a secret", None, None)
    kept.answer(kept.stamp(*tags_of()))
    server.client.zadd("ion:cache:popular", {REQUEST: 30, asked_by_id: 9, bytes(16): 1, b"foreign": 60})
    server.client.set(
        f"ion:cache:q:{asked_by_id.hex()}", msgspec.msgpack.encode(["recommend", "a secret", None, None])
    )
    first, second, third = ion.json("top")

    assert (first["id"], first["count"], first["share"]) == (REQUEST.hex(), 30, 0.75)
    assert (first["endpoint"], first["state"], first["served"]) == ("process", "fresh", True)
    assert 3 <= first["age_s"] < 60
    assert (second["endpoint"], second["state"], second["age_s"]) == ("recommend", "absent", None)
    assert third["endpoint"] is None

    code, out, err = ion("top", "-n", "2")
    assert (code, err) == (0, "")
    assert REQUEST.hex() in out
    assert bytes(16).hex() not in out
    assert "secret" not in out
    assert max(len(line) for line in out.splitlines()) <= 80


def test_top_of_nothing_is_no_error(ion: Ion) -> None:
    assert ion.json("top") == []
    assert "nothing is counted yet" in ion("top")[1]


# -- stats -------------------------------------------------------------------------------------------


def test_stats_add_up_what_processes_counted(kept: Kept, server: Server, ion: Ion) -> None:
    """Two of them, as clients and workers count: 7 + 5 jobs found, 3 computed; nothing is lost."""
    for counts in ({"producer_local": 7, "computed": 1}, {"producer_shared": 5, "computed": 2}):
        process = RedisCache(server.url, 10)
        assert process.wait_until_up(10)
        process.counters.add("process", **counts)
        process.counters.add("once", computed=1)
        process.close()
    kept.answer()
    found = ion.json("stats")

    process_counts = found["endpoints"]["process"]
    assert (process_counts["asked"], process_counts["computed"]) == (15, 3)
    assert process_counts["rates"]["combined"] == {"hits": 12, "of": 15, "rate": 0.8}
    assert found["all"]["asked"] == 15
    assert found["others"]["once"] == {"computed": 2}
    assert (found["answers"], found["all_counted"], found["listening"]) == (1, True, 0)
    assert found["server"]["name"].startswith("valkey")
    assert found["server"]["evicted"] == 0
    assert {"used_bytes", "max_bytes", "policy"} <= set(found["server"])

    code, out, _ = ion("stats")
    assert code == 0
    for words in ("producers' own tier", "80.0%", "of 15", "once", "valkey", "evicted"):
        assert words in out
    assert max(len(line) for line in out.splitlines()) <= 80


def test_stats_before_anything_was_asked(ion: Ion) -> None:
    code, out, _ = ion("stats")
    assert code == 0
    assert "no job has ended" in out


def test_large_counts_fit_a_terminal_of_80_columns(server: Server, ion: Ion) -> None:
    ways = dict.fromkeys(WAYS, 12_345_678)
    for endpoint in ("process", "bulk", "recommend"):
        server.client.hset("ion:cache:stats", mapping={f"{endpoint}.{way}": n for way, n in ways.items()})
    code, out, _ = ion("stats")
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "222,222,204" in out
    assert "of 185,185,170" in out


# -- invalidate and clear ----------------------------------------------------------------------------


@pytest.fixture
def process(server: Server) -> Iterator[TwoTierCache]:
    """Another process of the fleet, with an answer of Lua's in its own tier."""
    cache = TwoTierCache(LocalCache(), RedisCache(server.url, 10))
    cache.start()
    wait_until(lambda: cache.up, what="the cache is up")
    tags = tag_ids(("endpoint:process", "persona:Lua", "user:u1"))
    ticket = cache.lookup([b"k" * 20], tags).ticket
    cache.store([Item(b"k" * 20, b"answer", tags, LIFETIME)], ticket)
    assert cache.get_here(b"k" * 20) == b"answer"
    yield cache
    cache.close()


@pytest.mark.parametrize("tag", ["persona:lua", "persona:루아", "persona:*", "endpoint:pro*", "user:u1"])
def test_an_invalidation_reaches_every_process(process: TwoTierCache, ion: Ion, tag: str) -> None:
    found = ion.json("invalidate", tag)

    assert (found["invalidated"], found["listening"]) == (len(found["tags"]), 1)
    wait_until(lambda: process.get_here(b"k" * 20) is None, what="the news has arrived")
    assert process.lookup([b"k" * 20]).values == [None]


def test_patterns_stand_for_what_is_known_and_each_tag_counts_once(ion: Ion) -> None:
    found = ion.json("invalidate", "persona:*", "persona:Lua", "endpoint:*", "function:shop.price")
    assert found["tags"] == [
        *("persona:Lua", "persona:Elro", "persona:Riri", "persona:Nana"),
        *("endpoint:process", "endpoint:recommend", "function:shop.price"),
    ]
    assert "7 tags invalidated; every process has been told (none is connected)" in ion(
        "invalidate", *found["tags"]
    )[1].replace("\n", " ")
    assert ion.json("invalidate", "product:5", "--as-is")["tags"] == ["product:5"]
    assert ion.json("stats")["store"]["invalidations"] == 15


def test_clear_voids_everything_in_every_process(process: TwoTierCache, ion: Ion, server: Server) -> None:
    found = ion.json("clear", "--yes")
    assert found == {"answers": 1, "all_counted": True, "listening": 1}
    wait_until(lambda: process.get_here(b"k" * 20) is None, what="the news has arrived")
    (left,) = Inspection(RedisStore(server.url, 10)).answers([b"k" * 20])
    assert left.state is State.VOID
    assert ion("clear")[1].startswith("cleared, 1 answer")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["invalidate", "u1"], "TAG is not KIND:NAME; use persona:NAME"),
        (["invalidate", "users:u1"], "'users' is not a kind of tag; use persona:NAME, endpoint:NAME"),
        (["invalidate", "persona:Bob"], "'Bob' is not a known persona; use one of Lua"),
        (["invalidate", "persona:X*"], "is not a known persona"),
        (["invalidate", "endpoint:nothing"], "is not a known endpoint; use one of process, recommend"),
        (["invalidate", "user:*"], "has no list to expand to"),
        (["invalidate"], "see ion cache invalidate --help"),
        (["explain"], "--id is missing"),
        (["explain", "hi", "--id", "00"], "exclude each other"),
        (["explain", "--id", "zz"], "is not a request's id"),
        (["explain", "--id", "00" * 16, "--compact"], "leave the other options out"),
        (["explain", "hi", "--key", "x"], "is not tone-pace-intent"),
        (["explain", " "], "is empty"),
        (["explain", "hi", "--persona", "Nobody"], "is not a known persona"),
        (["top", "-n", "0"], "see ion cache top --help"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(ion: Ion, words: list[str], said: str) -> None:
    code, out, err = ion(*words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


def test_a_tag_that_may_name_a_person_is_not_quoted(ion: Ion) -> None:
    assert "kim@example.org" not in ion("invalidate", "kim@example.org")[2]
    assert "kim@example.org" not in ion("invalidate", "mail:kim@example.org")[2]


# -- where there is no cache -------------------------------------------------------------------------

COMMANDS = (["stats"], ["top"], ["explain", TEXT], ["invalidate", "persona:Lua"], ["clear"], ["warm"])


@pytest.mark.parametrize("words", COMMANDS)
def test_without_a_fleet_none_is_started(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = Ion(capsys, ConfiguredFleet())(*words)
    assert (code, out) == (3, "")
    assert "no stack runs here" in err
    assert "`ion up`" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", COMMANDS)
def test_a_store_that_is_away_is_one_line_with_the_fix(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = Ion(capsys, Found(f"unix://{tmp_path}/absent.sock"))(*words, "--json")
    assert code == 3
    assert json.loads(out)["error"]["code"] == "UNAVAILABLE"
    assert "the cache store is not available" in err
    assert "ION_CACHE_URL" in err
    assert err.count("\n") == 1
    assert TEXT not in err


def test_a_cache_that_is_named_needs_no_fleet_to_be_looked_at(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ION_CACHE_URL", server.url)
    assert Ion(capsys, ConfiguredFleet()).json("stats")["all"]["asked"] == 0


def test_a_fleet_without_a_cache_and_an_address_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = Ion(capsys, Found(""))("stats")
    assert (code, "this fleet has none" in err) == (3, True)

    code, _, err = Ion(capsys, Found("amqp://:hunter2@host"))("stats")
    assert (code, "ION_CACHE_URL is no redis:// or unix:// address" in err) == (2, True)
    assert "hunter2" not in err


def test_warming_without_a_broker_is_unavailable(ion: Ion) -> None:
    code, _, err = ion("warm", "--wait", "1")
    assert (code, "the broker is not available" in err, err.count("\n")) == (3, True, 1)


def test_watching_is_for_people(ion: Ion) -> None:
    code, out, _ = ion("stats", "--watch", "--json")
    assert (code, json.loads(out)["error"]["field"]) == (2, "--watch")


@pytest.mark.parametrize("words", [[], *COMMANDS])
def test_help_is_there_with_an_example(ion: Ion, words: list[str]) -> None:
    code, out, _ = ion(*words[:1], "--help")
    assert code == 0
    if words:
        assert f"Examples:\n    ion cache {words[0]}" in out
