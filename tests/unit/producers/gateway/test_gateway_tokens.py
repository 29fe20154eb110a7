"""Signed tokens: who holds them, and every way to come by one that is not good."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Coroutine, Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from producers.errors import Unavailable
from producers.gateway.access.token_keys import TokenKey
from producers.gateway.access.tokens import LEEWAY_S, REMEMBERED, RHYTHM, Rules, Tokens
from producers.gateway.caller import Caller
from producers.gateway.snapshot import Rhythm, Snapshot
from tests.support.tokens import HOUR_S, Signer, ed25519_signer, hmac_token, raw_token, rsa_signer

NEVER_S = 1e6
RSA, ED = rsa_signer("rsa"), ed25519_signer("ed")


def trusted(*signers: Signer) -> dict[str, TokenKey]:
    return {each.kid: TokenKey(each.algorithm, each.private.public_key()) for each in signers}


class World:
    """Signers that are *trusted*, tokens checked with their keys, and clocks."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.trusted = trusted(RSA, ED)
        self.reads, self.now_s, self.wall_s = 0, 0.0, time.time()
        self.away = False
        rhythm = Rhythm(NEVER_S, RHYTHM.asked_s, RHYTHM.good_s)
        self.copy: Snapshot[Mapping[str, TokenKey]] = Snapshot(
            "the JWKS", self._read, rhythm, lambda: self.now_s
        )
        self.tokens = Tokens(self.copy, rules or Rules(), lambda: self.wall_s)

    def _read(self) -> Mapping[str, TokenKey]:
        self.reads += 1
        if self.away:
            raise Unavailable("the JWKS", "its server does not answer")
        return dict(self.trusted)


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def caller_of(token: str, rules: Rules | None = None) -> Caller | None:
    """Return whose *token* this is in a world of its own."""

    async def ask() -> Caller | None:
        world = World(rules)
        async with world.copy:
            return await world.tokens.caller(token)

    return asyncio.run(ask())


# -- good ones --------------------------------------------------------------------------------------


@pytest.mark.parametrize("signer", [RSA, ED], ids=["RS256", "EdDSA"])
def test_a_token_says_who_calls(signer: Signer) -> None:
    assert caller_of(signer.token()) == Caller("mina", "user", "token")


@pytest.mark.parametrize("role", ["user", "service", "admin"])
def test_a_claim_says_the_role(role: str) -> None:
    assert caller_of(ED.token(role=role)) == Caller("mina", role, "token")  # type: ignore[arg-type] # one of them
    assert caller_of(ED.token(groups=role), Rules(role_claim="groups")) == Caller("mina", role, "token")  # type: ignore[arg-type] # likewise


def test_a_claim_that_is_not_the_role_claim_says_nothing() -> None:
    assert caller_of(ED.token(role="admin"), Rules(role_claim="ion_role")) == Caller("mina", "user", "token")


@pytest.mark.parametrize("audience", ["ion", ["other", "ion"]], ids=repr)
def test_issuer_and_audience_are_those_of_the_settings(audience: Any) -> None:
    token = ED.token(iss="https://id.example", aud=audience)
    assert caller_of(token, Rules("https://id.example", "ion")) is not None


def test_without_settings_any_issuer_and_audience_will_do_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert caller_of(ED.token(iss="anybody", aud="anything")) is not None
    Rules("https://id.example", None).warn()
    assert "ION_GATEWAY_JWT_AUDIENCE is not set" in caplog.text
    assert "ION_GATEWAY_JWT_ISSUER" not in caplog.text


@pytest.mark.parametrize("claims", [{"exp": -10}, {"nbf": 10}, {"iat": 10}], ids=repr)
def test_clocks_may_differ_by_half_a_minute(claims: dict[str, int]) -> None:
    given: dict[str, Any] = {name: int(time.time()) + seconds for name, seconds in claims.items()}
    assert caller_of(ED.token(**given)) is not None


# -- forged ones ------------------------------------------------------------------------------------


def good_claims() -> dict[str, Any]:
    return {"sub": "mina", "role": "admin", "exp": int(time.time()) + HOUR_S}


FORMS = {
    "PEM": (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "DER": (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
}


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("signer", [RSA, ED], ids=["RSA", "Ed25519"])
def test_a_public_key_is_no_shared_secret(signer: Signer, form: str, algorithm: str) -> None:
    """The confusion of algorithms: everybody has the public key, so everybody could sign with it."""
    public = signer.private.public_key().public_bytes(*FORMS[form])
    for shared in (public, public.strip(), b""):
        assert caller_of(hmac_token({"alg": algorithm, "kid": signer.kid}, good_claims(), shared)) is None


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 0, ["none"]], ids=repr)
@pytest.mark.parametrize("signature", [b"", b"x" * 64], ids=["unsigned", "signed"])
def test_a_token_does_not_do_without_a_signature(algorithm: Any, signature: bytes) -> None:
    assert caller_of(raw_token({"alg": algorithm, "kid": "ed"}, good_claims(), signature)) is None


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS512"])
def test_a_key_is_used_with_one_algorithm_only(algorithm: str) -> None:
    """It is signed with the right private key, in another way."""
    token = jwt.encode(good_claims(), RSA.private, algorithm, {"kid": "rsa"})
    assert caller_of(token) is None


def test_a_key_of_one_type_does_not_verify_for_another() -> None:
    for signer, kid in ((RSA, "ed"), (ED, "rsa")):
        assert caller_of(signer.token({"kid": kid})) is None


def test_a_key_of_another_jwks_is_not_ours() -> None:
    """Whoever calls a key of theirs as ours is called signs nothing for us."""
    assert caller_of(ed25519_signer("ed").token()) is None
    assert caller_of(rsa_signer("rsa", number=7).token()) is None


def test_a_token_that_brings_its_own_key_is_not_believed() -> None:
    stranger = ed25519_signer("ed")
    assert caller_of(stranger.token({"jwk": stranger.jwk, "jku": "https://evil.example/jwks"})) is None


@pytest.mark.parametrize("kid", [None, "", "other", 7, ["ed"], {"ed": 1}, "ed\0"], ids=repr)
def test_a_key_that_is_not_named_is_not_looked_for(kid: Any) -> None:
    header = {"alg": "EdDSA"} | ({} if kid is None else {"kid": kid})
    token = ED.signed(header, good_claims())
    assert caller_of(token) is None


@pytest.mark.parametrize("signer", [RSA, ED], ids=["RS256", "EdDSA"])
def test_a_payload_that_was_changed_is_refused(signer: Signer) -> None:
    header, _, signature = signer.token().split(".")
    other = base64.urlsafe_b64encode(json.dumps(good_claims()).encode()).rstrip(b"=").decode()
    assert caller_of(f"{header}.{other}.{signature}") is None


@given(place=st.integers(0, 10**6), other=st.characters(min_codepoint=1, max_codepoint=255))
def test_a_character_that_was_changed_is_refused(place: int, other: str) -> None:
    token = ED_TOKEN
    at = place % len(token)
    changed = token[:at] + other + token[at + 1 :]
    assert (caller_of(changed) is None) is (changed != token)


ED_TOKEN = ED.token()


@given(st.text(st.characters(max_codepoint=255)))
def test_any_text_is_nobodys_and_breaks_nothing(text: str) -> None:
    assert caller_of(text) is None


DEEP = base64.urlsafe_b64encode(b"[" * 6_000).decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        f"{DEEP}.e30.e30",
        f"e30.{DEEP}.e30",
        "e30.e30.e30",
        "W10.e30.e30",
        "bnVsbA.e30.e30",
    ],
    ids=lambda token: token[:12],
)
def test_malformed_tokens_are_nobodys(token: str) -> None:
    assert caller_of(token) is None


@pytest.mark.parametrize(
    "headers", [{"crit": ["exp"]}, {"crit": []}, {"crit": "b64"}, {"b64": False, "crit": ["b64"]}], ids=repr
)
def test_what_a_token_calls_critical_has_to_be_understood(headers: dict[str, Any]) -> None:
    token = ED.signed({"alg": "EdDSA", "kid": "ed", **headers}, good_claims())
    assert caller_of(token) is None


# -- signed ones that say the wrong thing -----------------------------------------------------------


NOW_S = int(time.time())
WRONG: dict[str, dict[str, Any]] = {
    "no exp": {"exp": None},
    "expired": {"exp": NOW_S - LEEWAY_S - 5},
    "exp is a word": {"exp": "soon"},
    "exp is a list": {"exp": [1]},
    "exp is infinite": {"exp": float("inf")},
    "exp is no number": {"exp": float("nan")},
    "not yet": {"nbf": NOW_S + HOUR_S},
    "nbf is a word": {"nbf": "later"},
    "signed in the future": {"iat": NOW_S + HOUR_S},
    "no sub": {"sub": None},
    "empty sub": {"sub": ""},
    "blank sub": {"sub": "   "},
    "sub is a number": {"sub": 7},
    "long sub": {"sub": "x" * 129},
    "two lines": {"sub": "mina\nadmin"},
    "zero byte": {"sub": "mina\0"},
    "unknown role": {"role": "root"},
    "role in capitals": {"role": "Admin"},
    "empty role": {"role": ""},
    "several roles": {"role": ["admin"]},
    "role is an object": {"role": {"admin": True}},
    "role is true": {"role": True},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_claim_that_is_wrong_makes_the_token_worthless(what: str) -> None:
    assert caller_of(ED.token(**WRONG[what])) is None


def test_a_role_that_is_null_is_no_role() -> None:
    token = jwt.encode({**good_claims(), "role": None}, ED.private, "EdDSA", {"kid": "ed"})
    assert caller_of(token) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example", "aud": "ion"},
        {"iss": "https://id.example/", "aud": "ion"},
        {"iss": ["https://id.example"], "aud": "ion"},
        {"aud": "ion"},
        {"iss": "https://id.example"},
        {"iss": "https://id.example", "aud": "other"},
        {"iss": "https://id.example", "aud": []},
        {"iss": "https://id.example", "aud": [1, "ion"]},
        {"iss": "https://id.example", "aud": {"ion": 1}},
    ],
    ids=repr,
)
def test_a_token_for_somebody_else_or_of_somebody_else_is_refused(claims: dict[str, Any]) -> None:
    payload = {**good_claims(), **claims}
    token = ED.signed({"alg": "EdDSA", "kid": "ed"}, payload)
    assert caller_of(token, Rules("https://id.example", "ion")) is None


# -- over time --------------------------------------------------------------------------------------


def test_a_verified_token_is_remembered_until_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        world = World()
        token = ED.token(exp=int(world.wall_s) + 60)
        async with world.copy:
            assert await world.tokens.caller(token) is not None
            monkeypatch.setattr(jwt, "decode", _fail)
            assert await world.tokens.caller(token) is not None
            world.wall_s += 60 + LEEWAY_S
            with pytest.raises(AssertionError, match="verified again"):
                await world.tokens.caller(token)

    run(story())


def _fail(*_: object, **__: object) -> None:
    raise AssertionError("verified again")


def test_what_is_remembered_is_bounded() -> None:
    async def story() -> None:
        world = World()
        async with world.copy:
            for number in range(REMEMBERED + 10):
                assert await world.tokens.caller(ED.token(jti=str(number))) is not None
            assert len(world.tokens._verified) == REMEMBERED

    run(story())


def test_tokens_are_not_kept_in_memory() -> None:
    """A core dump or a debugger shows digests."""

    async def story() -> None:
        world = World()
        token = ED.token()
        async with world.copy:
            await world.tokens.caller(token)
            assert list(world.tokens._verified) == [hashlib.sha256(token.encode()).digest()]

    run(story())


def test_a_token_whose_key_was_taken_away_is_out_with_the_next_reading() -> None:
    async def story() -> None:
        world = World()
        token = ED.token()
        async with world.copy:
            assert await world.tokens.caller(token) is not None
            world.trusted = trusted(RSA)
            await world.copy.ask()
            assert await world.tokens.caller(token) is None

    run(story())


def test_a_new_key_is_known_at_once_and_an_unknown_one_is_looked_for_every_ten_seconds() -> None:
    async def story() -> None:
        world, new = World(), ed25519_signer("new")
        async with world.copy:
            world.trusted = trusted(RSA, ED, new)
            assert await world.tokens.caller(new.token()) is not None
            assert world.reads == 2
            for number in range(50):
                assert await world.tokens.caller(ed25519_signer(f"kid-{number}").token()) is None
            assert world.reads == 2
            world.now_s = 10.0
            assert await world.tokens.caller(ed25519_signer("kid").token()) is None
            assert world.reads == 3

    run(story())


def test_without_the_jwks_the_last_copy_counts_for_an_hour() -> None:
    async def story() -> None:
        world = World()
        token = ED.token()
        async with world.copy:
            world.away, world.now_s = True, 3_600.0
            assert await world.tokens.caller(token) is not None
            world.now_s = 3_600.1
            with pytest.raises(Unavailable, match="the JWKS is not available"):
                await world.tokens.caller(token)

    run(story())
