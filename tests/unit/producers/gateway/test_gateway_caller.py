"""Whose a job is: its id says so, so nobody else can see it, whatever they know of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.models import Context, Message
from producers.gateway.caller import ANONYMOUS, Caller
from producers.gateway.errors import Forbidden, UnknownJob
from producers.requests import check_job_id

MINA, JUNO = Caller("mina", "user", "token"), Caller("juno", "user", "token")
SHOP, ADMIN = Caller("shop", "service", "key"), Caller("root", "admin", "key")
EVERYBODY = {
    "a user": MINA,
    "another user": JUNO,
    "a service": SHOP,
    "another service": Caller("desk", "service", "key"),
    "a service that is called as a user": Caller("mina", "service", "key"),
    "a token's subject that is called as a key": Caller("shop", "service", "token"),
    "nobody in particular": ANONYMOUS,
    "an admin": ADMIN,
}


@pytest.mark.parametrize("owner", EVERYBODY)
@pytest.mark.parametrize("key", [None, "order-17"], ids=["no key", "a key"])
def test_only_its_owner_and_admins_see_a_job(owner: str, key: str | None) -> None:
    job_id = EVERYBODY[owner].new_job_id(key)
    assert check_job_id(job_id) == job_id  # the fleet takes it
    for name, caller in EVERYBODY.items():
        if name == owner or caller.role == "admin":
            assert caller.check_owns(job_id) == job_id
        else:
            with pytest.raises(UnknownJob, match="no job of yours has this id"):
                caller.check_owns(job_id)


def test_a_person_is_the_same_whatever_was_shown() -> None:
    """A phone with a key and a browser with a token are one user's."""
    assert Caller("mina", "user", "key").new_job_id("k") == MINA.new_job_id("k")


def test_a_service_with_a_users_name_is_not_that_user() -> None:
    assert Caller("user:mina", "service", "none").identity != MINA.identity
    assert Caller("mina", "service", "key").identity != MINA.identity


@given(st.text(min_size=1), st.text(min_size=1))
def test_idempotency_keys_are_their_callers_own(key: str, other: str) -> None:
    """The same key of the same caller is the same job; anything else is another one."""
    assert SHOP.new_job_id(key) == SHOP.new_job_id(key)
    assert SHOP.new_job_id(key) != MINA.new_job_id(key)
    assert (SHOP.new_job_id(key) == SHOP.new_job_id(other)) == (key == other)


def test_without_a_key_no_two_jobs_are_the_same() -> None:
    assert SHOP.new_job_id() != SHOP.new_job_id()


@pytest.mark.parametrize(
    "job_id",
    [
        pytest.param("", id="empty"),
        pytest.param("a" * 63, id="too short"),
        pytest.param("a" * 65, id="too long"),
        pytest.param("*" * 64, id="a pattern"),
        pytest.param("../" * 21 + "a", id="a path"),
        pytest.param("a" * 63 + "\n", id="a line end"),
        pytest.param("é" * 64, id="other letters"),
        pytest.param("٣" * 64, id="other digits"),
        pytest.param("\0" * 64, id="NUL"),
    ],
)
def test_what_is_no_id_is_a_job_that_nobody_has(job_id: str) -> None:
    """Not even an admin can send such a thing on to the store."""
    for caller in EVERYBODY.values():
        with pytest.raises(UnknownJob):
            caller.check_owns(job_id)


def test_admins_only() -> None:
    ADMIN.require_admin()
    for caller in (MINA, SHOP, ANONYMOUS):
        with pytest.raises(Forbidden, match="role admin"):
            caller.require_admin()


def test_a_users_context_is_its_own() -> None:
    history = (Message("user", "hello"),)
    given_by_user = Context(session_id="s-1", history=history)
    assert MINA.scoped(given_by_user) == Context("mina", "s-1", history=history)
    assert MINA.scoped(Context("mina")) == Context("mina")
    assert MINA.scoped(None) is None


def test_a_user_may_not_name_another() -> None:
    with pytest.raises(Forbidden, match="no other user_id than its own") as refused:
        MINA.scoped(Context("juno"))
    assert refused.value.field == "context.user_id"


def test_a_service_speaks_for_its_users() -> None:
    assert SHOP.scoped(Context("juno")) == Context("juno")
