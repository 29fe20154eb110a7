"""Signers of tokens for tests: an RSA and an Ed25519 key pair, their JWKS, and what they sign."""

import base64
import functools
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class Signer:
    """Somebody who signs with *private*, a key that is called *kid*."""

    kid: str
    algorithm: str
    private: Any

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key as a JWKS has it."""
        as_jwk = RSAAlgorithm.to_jwk if self.algorithm == "RS256" else OKPAlgorithm.to_jwk
        return {**as_jwk(self.private.public_key(), as_dict=True), "kid": self.kid, "use": "sig"}

    def token(self, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a token for ``mina`` that is good for an hour, with *claims*; None leaves one out."""
        given = {"sub": "mina", "exp": int(time.time()) + HOUR_S, **claims}
        given = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(given, self.private, self.algorithm, {"kid": self.kid, **(headers or {})})

    def signed(self, header: dict[str, Any], payload: dict[str, Any]) -> str:
        """Return a token that says just this, be it nonsense, with a good Ed25519 signature."""
        unsigned = raw_token(header, payload).rpartition(".")[0]
        return f"{unsigned}.{_base64(self.private.sign(unsigned.encode()))}"


@functools.cache
def rsa_private(number: int = 0, bits: int = 2_048) -> rsa.RSAPrivateKey:
    """Return a private key, always the same one for *number*: making one takes a tenth of a second."""
    _ = number
    return rsa.generate_private_key(65_537, bits)


def rsa_signer(kid: str = "rsa", number: int = 0) -> Signer:
    """Return one that signs with RS256."""
    return Signer(kid, "RS256", rsa_private(number))


def ed25519_signer(kid: str = "ed") -> Signer:
    """Return a new one that signs with EdDSA."""
    return Signer(kid, "EdDSA", ed25519.Ed25519PrivateKey.generate())


def jwks(*signers: Signer) -> bytes:
    """Return the public keys of *signers*."""
    return json.dumps({"keys": [signer.jwk for signer in signers]}).encode()


def raw_token(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    """Return a token that says just this, signed with *signature* as it is."""
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(map(_base64, parts))


def hmac_token(header: dict[str, Any], payload: dict[str, Any], key: bytes) -> str:
    """Return a token that is signed with the shared secret *key*, as its ``alg`` (HS256...) says."""
    unsigned = raw_token(header, payload).rpartition(".")[0]
    digest = hmac.new(key, unsigned.encode(), f"sha{header['alg'][2:]}").digest()
    return f"{unsigned}.{_base64(digest)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
