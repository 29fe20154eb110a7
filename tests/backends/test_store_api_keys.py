"""API keys in the database, on every kind of database there is, and the form of their text."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.databases import postgresql_database
from workers.store.api_keys import ApiKey, ApiKeyStore, digest_of, make_key, split_key
from workers.store.engine import open_store

NOW_MS = 1_800_000_000_000


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ApiKeyStore]:
    """Each kind of database in turn; keys of other tests may be in it."""
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'ion.db'}" if sqlite else request.getfixturevalue("postgresql")
    with open_store(url) as store:
        yield ApiKeyStore(store)


def made(name: str = "app", role: str = "service", user: str | None = None, **times: int | None) -> ApiKey:
    return make_key(name, role, user, times.get("created", NOW_MS) or NOW_MS, times.get("expires"))[0]


def usable(keys: ApiKeyStore, now_ms: int = NOW_MS) -> set[str]:
    return {key.id for key in keys.usable(now_ms)}


def test_a_key_comes_back_as_it_was_kept(keys: ApiKeyStore) -> None:
    key = made("The user's own app \U0001f511", "user", "사용자-42", expires=NOW_MS + 1)
    keys.add(key)
    assert [kept for kept in keys.all() if kept.id == key.id] == [key]
    assert [kept for kept in keys.usable(NOW_MS) if kept.id == key.id] == [key]


def test_the_newest_key_is_listed_first(keys: ApiKeyStore) -> None:
    older, newer = made(created=1), made(created=2)
    keys.add(older)
    keys.add(newer)
    ids = [key.id for key in keys.all()]
    assert ids.index(newer.id) < ids.index(older.id)


def test_a_key_is_usable_until_the_moment_that_it_expires(keys: ApiKeyStore) -> None:
    key = made(expires=NOW_MS)
    keys.add(key)
    assert key.id in usable(keys, NOW_MS - 1)
    assert key.id not in usable(keys, NOW_MS)


def test_a_revoked_key_is_listed_and_not_usable(keys: ApiKeyStore) -> None:
    key = made()
    keys.add(key)
    keys.revoke(key.id, NOW_MS)
    assert key.id not in usable(keys)
    assert key.id in {kept.id for kept in keys.all()}


def test_a_key_is_revoked_once_for_all(keys: ApiKeyStore) -> None:
    """The second time changes nothing: the log of the first one stays true."""
    key = made()
    keys.add(key)
    for at_ms in (NOW_MS, NOW_MS + 1):
        revoked = keys.revoke(key.id, at_ms)
        assert revoked is not None
        assert revoked.revoked_ms == NOW_MS


def test_nothing_is_revoked_by_an_unknown_id(keys: ApiKeyStore) -> None:
    key = made()
    keys.add(key)
    assert keys.revoke("", NOW_MS) is None
    assert keys.revoke(key.id[:-1], NOW_MS) is None
    assert key.id in usable(keys)


def test_the_secret_is_not_in_the_database(tmp_path: Path) -> None:
    key, text = make_key("app", "admin", None, NOW_MS, None)
    with open_store(f"sqlite:///{tmp_path / 'ion.db'}") as store:
        ApiKeyStore(store).add(key)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key.id.encode() in written
    assert text.rpartition("_")[2].encode() not in written


# -- the text of a key ------------------------------------------------------------------------------


def test_a_key_acts_for_its_user_or_for_itself() -> None:
    assert made(role="user", user="mina").subject == "mina"
    service = made(role="service")
    assert service.subject == service.id


def test_no_two_keys_are_alike() -> None:
    texts = [make_key("app", "service", None, NOW_MS, None)[1] for _ in range(1_000)]
    for part in (1, 2):
        assert len({text.split("_")[part] for text in texts}) == 1_000


@given(st.integers(0, 2**40))
def test_a_text_leads_back_to_its_key(number: int) -> None:
    key, text = make_key("app", "service", None, number, None)
    parts = split_key(text)
    assert parts is not None
    assert (parts[0], digest_of(parts[1])) == (key.id, key.digest)
    assert text.isascii()
    assert text.replace("_", "").isalnum()


@given(st.text())
def test_any_text_is_a_key_or_is_none(text: str) -> None:
    parts = split_key(text)
    assert parts is None or text == "ion_{}_{}".format(*parts)


@given(st.data())
def test_a_text_with_one_character_changed_is_no_key_or_another_one(data: st.DataObject) -> None:
    text = make_key("app", "service", None, NOW_MS, None)[1]
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters())
    assume(other != text[place])
    changed = split_key(text[:place] + other + text[place + 1 :])
    assert changed is None or changed != split_key(text)


@pytest.mark.parametrize("wrong", ["{}\n", " {}", "{} ", "{}x", "I{}"], ids=repr)
def test_what_is_nearly_a_key_is_none(wrong: str) -> None:
    text = make_key("app", "service", None, NOW_MS, None)[1]
    assert split_key(wrong.format(text)) is None
