"""Signed tokens (JWT): who the holder is, as somebody says whose public key we have.

Which algorithm checks a token is decided by the key that its ``kid`` names, never by the token: RS256 for RSA
keys of 2,048 bits or more, EdDSA for Ed25519, nothing else.  ``exp`` and ``sub`` are required.

Units:   seconds; claims are seconds since the Unix epoch.
Source:  RFC 7517 (JWK), 7519 (JWT), 8037 (EdDSA), 8725 (best current practice); PyJWT 2.15.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from producers.gateway.access.token_keys import TokenKey
from producers.gateway.caller import Caller
from producers.gateway.snapshot import Rhythm, Snapshot
from producers.roles import is_role, is_subject

RHYTHM = Rhythm(every_s=60.0, asked_s=10.0, good_s=3_600.0)
LEEWAY_S = 30  # between the clocks of whoever signs and ours
REMEMBERED = 1_000  # tokens; verifying one costs some 100 us

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a token must say, beside being signed: None means anything."""

    issuer: str | None = None
    audience: str | None = None
    role_claim: str = "role"

    def warn(self) -> None:
        """Log what is not asked of a token and should be."""
        for setting, given in (("ISSUER", self.issuer), ("AUDIENCE", self.audience)):
            if given is None:
                logger.warning(
                    "ION_GATEWAY_JWT_%s is not set: a token that these keys sign for others is taken, too",
                    setting,
                )


@dataclass(frozen=True, slots=True)
class _Verified:
    caller: Caller
    until_s: float
    keys: Mapping[str, TokenKey]  # the copy that it was verified with


class Tokens:
    """Verifies tokens with the copy *keys*, which belongs to whoever made it."""

    def __init__(
        self, keys: Snapshot[Mapping[str, TokenKey]], rules: Rules, now: Callable[[], float] = time.time
    ) -> None:
        self._keys, self._rules, self._now = keys, rules, now
        self._verified: dict[bytes, _Verified] = {}

    async def caller(self, token: str) -> Caller | None:
        """Return whose *token* this is; None: nobody's.  Raises Unavailable while none can be checked."""
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is not None and known.keys is self._keys.value and self._now() < known.until_s:
            return known.caller
        kid = _kid(token)
        if kid is None:
            return None
        if kid not in self._keys.value:
            await self._keys.ask()
        keys = self._keys.value
        verified = self._verify(token, kid, keys)
        if verified is None:
            return None
        if len(self._verified) >= REMEMBERED:
            del self._verified[next(iter(self._verified))]  # the one that was verified first
        self._verified[digest] = verified
        return verified.caller

    def _verify(self, token: str, kid: str, keys: Mapping[str, TokenKey]) -> _Verified | None:
        key = keys.get(kid)
        if key is None:
            return None
        try:
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                issuer=self._rules.issuer,
                audience=self._rules.audience,
                leeway=LEEWAY_S,
                options={"require": ["exp", "sub"], "verify_aud": self._rules.audience is not None},
            )
        except jwt.PyJWTError:
            return None
        caller = self._caller_of(claims)
        return None if caller is None else _Verified(caller, int(claims["exp"]) + LEEWAY_S, keys)

    def _caller_of(self, claims: Mapping[str, Any]) -> Caller | None:
        subject, role = claims["sub"], claims.get(self._rules.role_claim, "user")
        return Caller(subject, role, "token") if is_subject(subject) and is_role(role) else None


def _kid(token: str) -> str | None:
    """Return which key *token* says it is signed with: a hint, no more."""
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError:
        return None
    return kid if isinstance(kid, str) else None
