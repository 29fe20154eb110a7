"""``ion cache explain``: what it says of an answer is what a look-up makes of it."""

from collections.abc import Callable

import pytest

from persona_system.cache.answers import persona_tag, process_request
from persona_system.cache.inspection import State
from persona_system.cache.keys import tag_id
from persona_system.cache.redis_cache import RedisCache
from persona_system.models import Context
from tests.support.cache_commands import REQUEST, TEXT, Ion, Kept, tags_of
from tests.support.valkey import Server

OTHER_VERSION = b"\x01\x02\x03\x04"

pytestmark = pytest.mark.usefixtures("server")


def fresh(kept: Kept) -> None:
    kept.answer(kept.stamp(*tags_of()))


def due(kept: Kept) -> None:
    kept.answer(kept.stamp(*tags_of()), age_s=300)


def void(kept: Kept) -> None:
    kept.answer(kept.stamp(*tags_of()))
    kept.stamp(persona_tag("Lua"))


def stampless(kept: Kept) -> None:
    kept.answer(kept.stamp(*tags_of()))
    kept.client.delete(f"ion:cache:t:{persona_tag('Lua').hex()}")


def aged(kept: Kept) -> None:
    kept.answer(kept.stamp(*tags_of()), age_s=1_905)


def ahead(kept: Kept) -> None:
    kept.answer(kept.stamp(*tags_of()), age_s=-60)


def anothers(kept: Kept) -> None:
    kept.answer(kept.stamp(*tags_of()), request=bytes(16), under=REQUEST)


def absent(kept: Kept) -> None:
    kept.answer(kept.stamp(*tags_of()), request=bytes(16))


def of_another_version(kept: Kept) -> None:
    kept.answer(kept.stamp(*tags_of()), version=OTHER_VERSION)


@pytest.mark.parametrize(
    ("prepare", "state", "said"),
    [
        (fresh, State.FRESH, "would hit: the store has it, fresh for another 3 min 5"),
        (due, State.DUE, "would hit: the store has it; it is due, so one elected caller computes it anew"),
        (void, State.VOID, "would miss: since it was made, persona:Lua was invalidated."),
        (stampless, State.VOID, "persona:Lua was invalidated (or lost what marks it as current)"),
        (aged, State.AGED, "would miss: its time was up 1 min 4"),
        (ahead, State.AHEAD, "in the future: clocks differ"),
        (anothers, State.UNREADABLE, "would miss: what is stored there is not readable"),
        (absent, State.ABSENT, "would miss: the store has no answer to it"),
        (of_another_version, State.ABSENT, "an answer of another version only (01020304)"),
    ],
)
def test_explain_tells_what_a_look_up_does_and_why(
    prepare: Callable[[Kept], None],
    state: State,
    said: str,
    kept: Kept,
    server: Server,
    version: bytes,
    ion: Ion,
) -> None:
    prepare(kept)
    found = ion.json("explain", TEXT)
    redis = RedisCache(server.url, 10)
    assert redis.wait_until_up(10)
    (looked_up,), _ = redis.lookup([version + REQUEST], ())
    redis.close()

    assert (found["store"]["state"], found["would_hit"]) == (state, looked_up is not None)
    assert said in found["why"]
    assert found["id"] == REQUEST.hex()
    assert found["key"] == (version + REQUEST).hex()
    code, out, _ = ion("explain", TEXT)
    assert code == 0
    assert found["why"][:25] in out
    assert max(len(line) for line in out.splitlines()) <= 80


def test_explain_names_tags_with_their_stamps(kept: Kept, ion: Ion) -> None:
    request = process_request(TEXT, None, Context(user_id="u1"))
    kept.answer(kept.stamp(*tags_of("Lua", tag_id("user:u1"))), request=request)

    tags = {tag["name"]: tag for tag in ion.json("explain", TEXT, "--user-id", "u1")["tags"]}
    assert list(tags) == ["endpoint:process", "persona:Lua", "user:u1", "everything"]
    assert all(tag["current"] and tag["stamped"] == tag["now"] for tag in tags.values())

    names = [tag["name"] for tag in ion.json("explain", "--id", request.hex())["tags"]]
    assert names == ["endpoint:process", "persona:Lua", None, "everything"], "a digest names nobody"


def test_explain_tells_an_absent_answers_tags_beforehand(ion: Ion) -> None:
    tags = ion.json("explain", TEXT, "--session-id", "s1")["tags"]
    assert [tag["name"] for tag in tags][-2:] == ["session:s1", "everything"]
    assert not any(tag["current"] for tag in tags)


def test_what_of_a_context_counts_and_that_two_people_never_share(ion: Ion) -> None:
    one, other, compact, other_compact, recommended = (
        ion.json("explain", TEXT, *words)
        for words in (
            ["--user-id", "u1", "--session-id", "s1"],
            ["--user-id", "u2", "--session-id", "s1"],
            ["--user-id", "u1", "--compact"],
            ["--user-id", "u2", "--compact"],
            ["--user-id", "u1", "--recommend"],
        )
    )
    assert one["context"] == {"counts": ["user_id", "session_id"], "ignored": [], "shared_by_all": False}
    assert one["id"] != other["id"]
    assert compact["context"] == {"counts": ["mode"], "ignored": ["user_id"], "shared_by_all": True}
    assert compact["id"] == other_compact["id"]
    assert recommended["context"]["ignored"] == ["user_id"]
    assert recommended["endpoint"] == "recommend"


def test_an_alias_of_a_key_is_the_same_request(ion: Ion) -> None:
    one, other = (
        ion.json("explain", TEXT, "--key", f"calm-medium-{intent}") for intent in ("plan", "planning")
    )
    assert one["id"] == other["id"]


def test_without_workers_nobody_knows_what_is_current(ion: Ion, version: bytes) -> None:
    found = ion.json("explain", TEXT)
    assert (found["would_hit"], found["version"], found["own_version"]) == (False, None, version.hex())
    assert "no worker has said yet" in found["why"]


def test_another_catalogue_here_than_in_the_workers_is_told(server: Server, ion: Ion) -> None:
    Kept(server, OTHER_VERSION).answer()
    code, out, _ = ion("explain", TEXT)
    assert code == 0
    assert "01020304; this installation's is" in out
