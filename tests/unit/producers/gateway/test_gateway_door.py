"""Who is let in by which credentials, what is counted, and what becomes of the others."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest

from producers.gateway.access.door import GuardedDoor
from producers.gateway.access.key_book import KeyBook, KeyReader
from producers.gateway.access.token_keys import TokenKey
from producers.gateway.access.tokens import Rules, Tokens
from producers.gateway.call import Call
from producers.gateway.caller import ANONYMOUS, Caller
from producers.gateway.errors import RateLimited, Unauthenticated
from producers.gateway.snapshot import Rhythm, Snapshot
from tests.support.tokens import ed25519_signer
from workers.store.api_keys import make_key

SIGNER = ed25519_signer("ed")
MINA, MINAS_KEY = make_key("mina's phone", "user", "mina", 0, None)
APP, APPS_KEY = make_key("app", "service", None, 0, None)
STRANGERS_KEY = make_key("of another system", "admin", None, 0, None)[1]
RHYTHM = Rhythm(1e6, 1e6, 1e6)


class Notes:
    """Stands in for the limits and for the audit log; raises what it is given."""

    def __init__(self) -> None:
        self.taken: list[tuple[object, ...]] = []
        self.over: set[str] = set()

    def _count(self, what: str, *who: object) -> None:
        self.taken.append((what, *who))
        if what in self.over:
            raise RateLimited("over the limit", 1.0)

    async def caller(self, identity: str, jobs: int = 1) -> None:
        self._count("caller", identity, jobs)

    async def address(self, address: str, jobs: int = 1) -> None:
        self._count("address", address, jobs)

    async def refused(self, address: str) -> None:
        self._count("refused", address)

    async def record(self, call: Call, action: str, target: str, *, allowed: bool) -> None:
        _ = call
        self.taken.append(("recorded", action, target, allowed))


def call_with(**headers: str) -> Call:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Call.of({"method": "POST", "headers": raw, "client": ("192.0.2.7", 4711)})


async def admitted(
    call: Call, notes: Notes, *, anonymous: bool = False, tokens: bool = True, jobs: int = 0
) -> Caller:
    keys = Snapshot("the keys", KeyReader(lambda: [MINA, APP]).read, RHYTHM)
    trusted: Snapshot[Mapping[str, TokenKey]] = Snapshot(
        "the JWKS", lambda: {"ed": TokenKey("EdDSA", SIGNER.private.public_key())}, RHYTHM
    )
    async with keys, trusted:
        taken = Tokens(trusted, Rules()) if tokens else None
        door = GuardedDoor(KeyBook(keys), taken, notes, notes, anonymous=anonymous)
        call.caller = await door.admit(call)
        if jobs:
            await door.count(call, jobs)
    return call.caller


def admit(call: Call, notes: Notes | None = None, **given: Any) -> Caller:
    return asyncio.run(admitted(call, Notes() if notes is None else notes, **given))


USER_BY_KEY, USER_BY_TOKEN = Caller("mina", "user", "key"), Caller("mina", "user", "token")


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ({"authorization": f"Bearer {MINAS_KEY}"}, USER_BY_KEY),
        ({"authorization": f"bearer  {MINAS_KEY} "}, USER_BY_KEY),
        ({"x_api_key": MINAS_KEY}, USER_BY_KEY),
        ({"x_api_key": MINAS_KEY, "authorization": f"Bearer {MINAS_KEY}"}, USER_BY_KEY),
        ({"authorization": f"Bearer {SIGNER.token()}"}, USER_BY_TOKEN),
        ({"x_api_key": APPS_KEY}, Caller(APP.id, "service", "key")),
    ],
    ids=["bearer key", "any case", "key", "both the same", "token", "service"],
)
def test_good_credentials_open_the_door(headers: dict[str, str], caller: Caller) -> None:
    notes = Notes()
    assert admit(call_with(**headers), notes) == caller
    assert notes.taken == [("caller", caller.identity, 1)]


def test_a_user_is_counted_as_one_whatever_the_user_shows() -> None:
    assert USER_BY_KEY.identity == USER_BY_TOKEN.identity


REFUSED = {
    "another's key": {"x_api_key": STRANGERS_KEY},
    "no key": {"x_api_key": "hunter2"},
    "empty key": {"x_api_key": ""},
    "empty bearer": {"authorization": "Bearer "},
    "no scheme": {"authorization": MINAS_KEY},
    "another scheme": {"authorization": f"Basic {MINAS_KEY}"},
    "two keys": {"x_api_key": MINAS_KEY, "authorization": f"Bearer {APPS_KEY}"},
    "a key and a token": {"x_api_key": MINAS_KEY, "authorization": f"Bearer {SIGNER.token()}"},
    "a good key and another scheme": {"x_api_key": MINAS_KEY, "authorization": "Basic x"},
    "two in one header": {"x_api_key": f"{MINAS_KEY}, {APPS_KEY}"},
    "a token as a key": {"x_api_key": SIGNER.token()},
    "an expired token": {"authorization": f"Bearer {SIGNER.token(exp=int(time.time()) - 60)}"},
    "not ASCII": {"x_api_key": "ion_é"},
}


@pytest.mark.parametrize("anonymous", [False, True], ids=["closed", "anonymous"])
@pytest.mark.parametrize("what", REFUSED)
def test_other_credentials_are_counted_recorded_and_refused(what: str, *, anonymous: bool) -> None:
    """In that order, and even where nobody needs any: who shows some means to be somebody."""
    notes = Notes()
    with pytest.raises(Unauthenticated):
        admit(call_with(**REFUSED[what]), notes, anonymous=anonymous)
    key_id = STRANGERS_KEY.split("_")[1] if what == "another's key" else ""
    assert notes.taken == [("refused", "192.0.2.7"), ("recorded", "credentials", key_id, False)]


def test_every_refusal_says_the_same() -> None:
    said = set()
    for headers in REFUSED.values():
        with pytest.raises(Unauthenticated) as caught:
            admit(call_with(**headers))
        said.add(str(caught.value))
    assert len(said) == 1


def test_beyond_the_limit_nothing_is_told_and_nothing_is_recorded() -> None:
    notes = Notes()
    notes.over = {"refused"}
    with pytest.raises(RateLimited):
        admit(call_with(x_api_key=STRANGERS_KEY), notes)
    assert notes.taken == [("refused", "192.0.2.7")]


def test_good_credentials_are_let_in_whatever_others_at_the_address_do() -> None:
    """Or anybody behind the same proxy could shut all of them out."""
    notes = Notes()
    notes.over = {"refused", "address"}
    assert admit(call_with(x_api_key=MINAS_KEY), notes) == USER_BY_KEY


def test_a_known_caller_who_comes_too_often_is_told_so() -> None:
    notes = Notes()
    notes.over = {"caller"}
    with pytest.raises(RateLimited):
        admit(call_with(x_api_key=MINAS_KEY), notes)


def test_without_credentials_the_door_says_what_to_send() -> None:
    notes = Notes()
    with pytest.raises(Unauthenticated, match="send an API key"):
        admit(call_with(), notes)
    assert notes.taken == []


def test_where_anybody_may_come_in_addresses_are_counted() -> None:
    notes = Notes()
    assert admit(call_with(), notes, anonymous=True, jobs=9) == ANONYMOUS
    assert notes.taken == [("address", "192.0.2.7", 1), ("address", "192.0.2.7", 9)]


def test_a_bulk_request_counts_for_its_caller() -> None:
    notes = Notes()
    admit(call_with(x_api_key=APPS_KEY), notes, jobs=99)
    assert notes.taken == [("caller", f"key:{APP.id}", 1), ("caller", f"key:{APP.id}", 99)]


def test_without_a_jwks_no_token_is_good() -> None:
    with pytest.raises(Unauthenticated):
        admit(call_with(authorization=f"Bearer {SIGNER.token()}"), tokens=False)
