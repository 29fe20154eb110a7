"""The public keys that sign tokens: a JWKS, from a file or over HTTPS.

Errors:  InvalidInput for an address that is none; Unavailable when nothing can be read there.
Source:  RFC 7517 (JWK), 7518 section 6.3 (RSA), 8037 section 2 (Ed25519).
"""

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from persona_system.errors import InvalidInput
from producers.errors import Unavailable
from producers.gateway.settings import is_loopback

WHAT = "the JWKS"
MAX_BYTES = 1_048_576
FETCH_S = 4.0  # for each answer of the server
_SMALLEST_RSA = 2_048  # bits
_PUBLIC = {"RSA": ("kty", "n", "e"), "OKP": ("kty", "crv", "x")}  # the parts of a key that we look at

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A public key, and the one algorithm that it is used with."""

    algorithm: str
    public: RSAPublicKey | Ed25519PublicKey


class Jwks:
    """Reads the JWKS at *place*, a path or an https:// URL; http:// is for loopback only.

    Raises InvalidInput for any other URL.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._unused = 0  # as it was told last: a warning a minute would be read by nobody
        self._remote = "://" in place
        parts = urlsplit(place)
        loopback = parts.scheme == "http" and is_loopback(parts.hostname or "")
        if self._remote and parts.scheme != "https" and not loopback:
            raise InvalidInput("ION_GATEWAY_JWT_KEYS", "is no https:// URL", "name one, or a file")

    def read(self) -> Mapping[str, TokenKey]:
        """Return the keys by ``kid``; raise Unavailable."""
        entries = _entries(_from_url(self._place) if self._remote else _from_file(Path(self._place)))
        keys = dict(pair for entry in entries for pair in _usable(entry))
        unused = len(entries) - len(keys)
        if unused not in (0, self._unused):
            logger.warning("%d of the %d keys in the JWKS cannot be used here", unused, len(entries))
        self._unused = unused
        return keys


def _entries(jwks: bytes) -> list[Any]:
    try:
        entries = json.loads(jwks)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise Unavailable(WHAT, "it is not a JSON object with a list of keys")
    return entries


def _usable(entry: Any) -> Iterator[tuple[str, TokenKey]]:
    """Yield the key in *entry* with its ``kid``, if it is one to verify signatures with."""
    kind, kid = (entry.get("kty"), entry.get("kid")) if isinstance(entry, dict) else (None, None)
    if not isinstance(kid, str) or kind not in ("RSA", "OKP") or entry.get("use", "sig") != "sig":
        return
    algorithm = "RS256" if kind == "RSA" else "EdDSA"
    if entry.get("alg", algorithm) != algorithm:
        return
    try:
        public = jwt.PyJWK({name: entry[name] for name in _PUBLIC[kind]}, algorithm).key
    except (jwt.PyJWTError, KeyError, ValueError, TypeError):
        return
    if isinstance(public, Ed25519PublicKey) or (
        isinstance(public, RSAPublicKey) and public.key_size >= _SMALLEST_RSA
    ):
        yield kid, TokenKey(algorithm, public)


def _from_file(path: Path) -> bytes:
    try:
        with path.expanduser().open("rb") as file:
            return _bounded(file.read(MAX_BYTES + 1))
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise Unavailable(WHAT, f"the file cannot be read: {why}") from None


def _from_url(url: str) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(url, timeout=FETCH_S) as response:
            return _bounded(response.read(MAX_BYTES + 1))
    except urllib.error.HTTPError as error:
        error.close()
        raise Unavailable(WHAT, f"its server answers {error.code}") from None
    except OSError as error:
        raise Unavailable(WHAT, f"its server does not answer: {type(error).__name__}") from None


def _bounded(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise Unavailable(WHAT, f"it is over {MAX_BYTES:,} bytes")
    return data


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Stays where it was sent: a redirect could lead to a server that nobody vouches for."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none."""
