"""Who may do what over HTTP: a real gateway, its keys in a real database, tokens signed by somebody else."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.stack import LocalStack
from tests.support.gateway import Running, gateway
from tests.support.tokens import Signer, ed25519_signer, jwks, raw_token, rsa_signer
from tests.support.wait import wait_until
from workers.store.api_keys import ApiKeyStore, make_key
from workers.store.audit import AuditStore, Entry
from workers.store.engine import Store, open_store

ISSUER, AUDIENCE = "https://id.example", "ion"
TEXT = "My build fails and I don't know why"
PROCESS, JOB = "/api/v2/process", "/api/v2/jobs/{}"
GOOD, ACCEPTED, UNKNOWN, FORBIDDEN, REFUSED, LIMITED, AWAY = 200, 202, 404, 403, 401, 429, 503
YEARS_MS = 10**11


@dataclass(frozen=True, slots=True)
class World:
    """A gateway, the database that it looks into, and those who sign tokens for it."""

    running: Running
    store: Store
    file: Path
    rsa: Signer
    ed: Signer

    def key(self, role: str = "service", user: str | None = None, *, expires_ms: int | None = None) -> str:
        """Return a new key's text."""
        key, text = make_key("test", role, user, now_ms(), expires_ms)
        ApiKeyStore(self.store).add(key)
        return text

    def revoke(self, text: str) -> None:
        assert ApiKeyStore(self.store).revoke(text.split("_")[1], now_ms()) is not None

    def token(self, signer: Signer | None = None, **claims: Any) -> str:
        return (signer or self.ed).token(**{"iss": ISSUER, "aud": AUDIENCE, **claims})

    def recorded(self, action: str, **wanted: object) -> list[Entry]:
        """Return the entries of *action* that have the *wanted* values."""
        entries = AuditStore(self.store).find(0, 10_000)
        return [
            entry
            for entry in entries
            if entry.action == action and all(getattr(entry, name) == value for name, value in wanted.items())
        ]

    def the_one(self, action: str, **wanted: object) -> Entry:
        """Return the only such entry; one of a refusal is written a moment after the answer."""
        wait_until(lambda: self.recorded(action, **wanted), what=f"{action} is recorded")
        (entry,) = self.recorded(action, **wanted)
        return entry

    def client(self, credentials: str | None) -> httpx.Client:
        headers = {} if credentials is None else {"Authorization": f"Bearer {credentials}"}
        return self.running.client(headers=headers)

    def status(self, credentials: str | None) -> int:
        """Return how a request with *credentials* ends."""
        with self.client(credentials) as client:
            return client.get("/api/v2/personas").status_code


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture(scope="module")
def world(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One gateway for the tests of this module, which takes keys and tokens and nobody without."""
    directory = tmp_path_factory.mktemp("access")
    rsa, ed = rsa_signer("rsa"), ed25519_signer("ed")
    (directory / "jwks.json").write_bytes(jwks(rsa, ed))
    file = directory / "ion.db"
    env = {
        **stack.urls.environment(),
        "ION_STATE_DIR": str(stack.settings.state_dir),
        "ION_DATABASE_URL": f"sqlite:///{file}",
    }
    given: dict[str, Any] = {
        "jwt_issuer": ISSUER,
        "jwt_audience": AUDIENCE,
        "jwt_keys": directory / "jwks.json",
    }
    with (
        open_store(env["ION_DATABASE_URL"]) as store,
        gateway(env, directory, anonymous=False, rate_limit_refused="10000/second", **given) as running,
    ):
        yield World(running, store, file, rsa, ed)


def accepted(client: httpx.Client, **body: Any) -> str:
    """Send a message that nobody waits for, and return its job's id."""
    answer = client.post(PROCESS, json={"user_input": TEXT, **body}, headers={"Prefer": "respond-async"})
    assert answer.status_code == ACCEPTED, answer.text
    return str(answer.json()["job_id"])


# -- keys -------------------------------------------------------------------------------------------


def test_without_credentials_nobody_comes_in_and_the_answer_says_how(world: World) -> None:
    with world.client(None) as client:
        answer = client.post(PROCESS, json={"user_input": TEXT})
    assert answer.status_code == REFUSED
    assert answer.headers["www-authenticate"] == 'Bearer realm="ion"'
    assert answer.json()["error"]["code"] == "UNAUTHENTICATED"
    assert "send an API key" in answer.json()["error"]["message"]


def test_a_new_key_is_good_at_once(world: World) -> None:
    key = world.key()
    assert world.status(key) == GOOD
    with world.running.client(headers={"X-API-Key": key}) as client:
        assert client.post(PROCESS, json={"user_input": TEXT}).status_code == GOOD


def test_a_revoked_key_is_out(world: World) -> None:
    """Within 2 s; the test waits for longer on a busy machine."""
    key = world.key()
    assert world.status(key) == GOOD
    world.revoke(key)
    wait_until(lambda: world.status(key) == REFUSED, what="the revoked key is refused")


def test_an_expired_key_is_out(world: World) -> None:
    assert world.status(world.key(expires_ms=now_ms() + YEARS_MS)) == GOOD
    assert world.status(world.key(expires_ms=now_ms() - 1)) == REFUSED
    soon = world.key(expires_ms=now_ms() + 1_500)
    wait_until(lambda: world.status(soon) == REFUSED, what="the key expires")


def test_refused_credentials_are_recorded_and_shown_nowhere(world: World) -> None:
    key = make_key("never kept", "admin", None, 0, None)[1]
    with world.client(key) as client:
        answer = client.get("/api/v2/personas")
    secret = key.split("_")[2]
    assert answer.status_code == REFUSED
    assert secret not in answer.text
    assert secret not in world.running.log()
    wait_until(lambda: world.recorded("credentials"), what="this refusal, or one just before it, is recorded")
    for entry in world.recorded("credentials"):
        assert (entry.subject, entry.proof, entry.allowed, entry.address) == ("", "none", False, "127.0.0.1")
        assert secret not in str(entry)


# -- tokens -----------------------------------------------------------------------------------------


def test_tokens_of_both_kinds_are_good(world: World) -> None:
    for signer in (world.rsa, world.ed):
        assert world.status(world.token(signer)) == GOOD


def test_tokens_that_are_not_for_us_are_refused(world: World) -> None:
    good = world.token()
    header, _, signature = good.split(".")
    claims = {"sub": "mina", "role": "admin", "exp": now_ms() // 1000 + 60, "iss": ISSUER, "aud": AUDIENCE}
    forged = {
        "none": raw_token({"alg": "none", "kid": "ed"}, claims),
        "tampered": ".".join([header, raw_token({}, claims).split(".")[1], signature]),
        "expired": world.token(exp=now_ms() // 1000 - 60),
        "no exp": world.token(exp=None),
        "issuer": world.token(iss="https://evil.example"),
        "audience": world.token(aud="others"),
        "unknown kid": world.token(ed25519_signer("nobody")),
        "another key": world.token(ed25519_signer("ed")),
        "role": world.token(role="root"),
    }
    assert {what: world.status(token) for what, token in forged.items()} == dict.fromkeys(forged, REFUSED)
    assert world.status(good) == GOOD


# -- whose is whose ---------------------------------------------------------------------------------


def test_a_user_acts_for_nobody_else(world: World) -> None:
    with world.client(world.key("user", "mina")) as client:
        mine = client.post(PROCESS, json={"user_input": TEXT, "context": {"user_id": "mina"}})
        others = client.post(PROCESS, json={"user_input": TEXT, "context": {"user_id": "jun"}})
    assert mine.status_code == GOOD
    assert others.status_code == FORBIDDEN
    assert others.json()["error"]["field"] == "context.user_id"


def test_a_service_acts_for_its_users(world: World) -> None:
    with world.client(world.key("service")) as client:
        answer = client.post(PROCESS, json={"user_input": TEXT, "context": {"user_id": "jun"}})
    assert answer.status_code == GOOD


def test_a_users_jobs_are_the_users_by_key_and_by_token(world: World) -> None:
    with world.client(world.key("user", "sora")) as phone, world.client(world.token(sub="sora")) as browser:
        job_id = accepted(phone)
        assert browser.get(JOB.format(job_id)).status_code == GOOD


@pytest.mark.parametrize("role", ["user", "service"])
@pytest.mark.parametrize("end", ["", "/events"], ids=["job", "events"])
def test_anothers_job_is_not_there_and_looking_for_it_is_recorded(world: World, role: str, end: str) -> None:
    """It reads as a job that never was, so that nobody learns which ids exist."""
    curious = world.key(role, f"jun{end}" if role == "user" else None)
    with world.client(world.key("user", "mina")) as mina, world.client(curious) as other:
        job_id = accepted(mina)
        answer = other.get(JOB.format(job_id) + end)
        nothing = other.get(JOB.format("no-job") + end)
    assert (answer.status_code, nothing.status_code) == (UNKNOWN, UNKNOWN)
    assert answer.json()["error"] == nothing.json()["error"]
    assert TEXT not in answer.text
    entry = world.the_one("job.read", target=job_id)
    assert (entry.role, entry.allowed, entry.request_id) == (role, False, answer.headers["x-request-id"])


def test_an_admin_may_look_at_anybodys_job_and_that_is_recorded(world: World) -> None:
    with world.client(world.key("user", "mina")) as mina, world.client(world.key("admin")) as admin:
        job_id = accepted(mina)
        assert admin.get(JOB.format(job_id)).status_code == GOOD
        assert mina.get(JOB.format(job_id)).status_code == GOOD
    entry = world.the_one("job.read", target=job_id)
    assert (entry.role, entry.proof, entry.allowed) == ("admin", "key", True)


# -- what admins do ---------------------------------------------------------------------------------

ADMINS_ONLY = {
    "cache.clear": "/api/v2/cache/clear",
    "cache.invalidate": "/api/v2/cache/invalidate?pattern=user:42",
}


@pytest.mark.parametrize("action", ADMINS_ONLY)
@pytest.mark.parametrize("proof", ["key", "token"])
@pytest.mark.parametrize("role", ["user", "service"])
def test_what_admins_do_others_may_not(world: World, role: str, proof: str, action: str) -> None:
    subject = f"{role}-{proof}"
    by_key = proof == "key"
    shown = (
        world.key(role, subject if role == "user" else None)
        if by_key
        else world.token(sub=subject, role=role)
    )
    with world.client(shown) as client:
        answer = client.post(ADMINS_ONLY[action])
    assert (answer.status_code, answer.json()["error"]["code"]) == (FORBIDDEN, "FORBIDDEN")
    entry = world.the_one(action, request_id=answer.headers["x-request-id"])
    assert (entry.role, entry.proof, entry.allowed) == (role, proof, False)


@pytest.mark.parametrize("action", ADMINS_ONLY)
def test_what_an_admin_does_is_recorded_and_not_logged(world: World, action: str) -> None:
    with world.client(world.token(sub="ops", role="admin")) as client:
        answer = client.post(ADMINS_ONLY[action])
    assert answer.status_code == GOOD, answer.text
    entry = world.the_one(action, request_id=answer.headers["x-request-id"])
    assert (entry.subject, entry.role, entry.proof, entry.allowed) == ("ops", "admin", "token", True)
    assert (entry.target == "user:42") is (action == "cache.invalidate")
    assert "user:42" not in world.running.log()


def test_what_cannot_be_recorded_is_not_done_and_the_rest_goes_on(world: World) -> None:
    """Somebody holds the database: keys are still known, since they are looked up in a copy."""
    admin = world.key("admin")
    assert world.status(admin) == GOOD
    with (
        contextlib.closing(sqlite3.connect(world.file, isolation_level=None)) as holder,
        world.client(admin) as client,
    ):
        holder.execute("BEGIN IMMEDIATE")
        answer = client.post("/api/v2/cache/clear")
        assert world.status(admin) == GOOD
        assert world.status(make_key("x", "admin", None, 0, None)[1]) == REFUSED
    assert (answer.status_code, answer.json()["error"]["code"]) == (AWAY, "UNAVAILABLE")
    assert answer.json()["error"]["message"].startswith("the audit log is not available")
    assert str(world.file) not in answer.text


# -- limits -----------------------------------------------------------------------------------------


def test_who_guesses_is_soon_told_to_wait_and_good_keys_go_on(
    stack_env: dict[str, str], tmp_path: Path
) -> None:
    env = {**stack_env, "ION_DATABASE_URL": f"sqlite:///{tmp_path / 'ion.db'}"}
    key, good = make_key("good", "service", None, now_ms(), None)
    with open_store(env["ION_DATABASE_URL"]) as store:
        ApiKeyStore(store).add(key)

    def status(text: str) -> int:
        with running.client(headers={"X-API-Key": text}) as client:
            return client.get("/api/v2/personas").status_code

    with gateway(env, tmp_path, anonymous=False, rate_limit_refused="3/hour") as running:
        guess = make_key("guessed", "service", None, 0, None)[1]
        assert status(guess) == REFUSED
        wait_until(lambda: status(guess) == LIMITED, 30.0, "whoever guesses has to wait")
        assert status(good) == GOOD
