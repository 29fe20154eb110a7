"""A JWKS: which of its keys are used, and where it may come from."""

import base64
import http.server
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_system.errors import InvalidInput
from producers.errors import Unavailable
from producers.gateway.access.token_keys import MAX_BYTES, Jwks
from tests.support.tokens import Signer, ed25519_signer, jwks, rsa_private, rsa_signer


class Served:
    """What a server on loopback answers with."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 200, dict[str, str](), b""
        self.url = ""


@pytest.fixture
def served() -> Iterator[Served]:
    answer = Served()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        answer.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield answer
        server.shutdown()


def read(tmp_path: Path, content: bytes) -> dict[str, str]:
    """Return the algorithms of the keys in a file with *content*, by kid."""
    file = tmp_path / "jwks.json"
    file.write_bytes(content)
    return {kid: key.algorithm for kid, key in Jwks(str(file)).read().items()}


def one(**changed: Any) -> bytes:
    """Return a JWKS of one RSA key with some members *changed*; None leaves one out."""
    jwk = {**rsa_signer("kid").jwk, **changed}
    return json.dumps({"keys": [{name: v for name, v in jwk.items() if v is not None}]}).encode()


def test_a_keys_type_decides_how_it_is_used(tmp_path: Path) -> None:
    found = read(tmp_path, jwks(rsa_signer("a"), ed25519_signer("b")))
    assert found == {"a": "RS256", "b": "EdDSA"}


def test_a_key_need_not_say_what_it_is_for(tmp_path: Path) -> None:
    assert read(tmp_path, one(use=None)) == {"kid": "RS256"}
    assert read(tmp_path, one(alg="RS256", key_ops=["verify"])) == {"kid": "RS256"}


HMAC = {"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 64).decode(), "kid": "hmac"}
P256 = {
    "kty": "EC",
    "crv": "P-256",
    "kid": "ec",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}


@pytest.mark.parametrize(
    "entry",
    [
        HMAC,
        P256,
        {**rsa_signer("enc").jwk, "use": "enc"},
        {**rsa_signer("ps").jwk, "alg": "PS256"},
        {**rsa_signer("hs").jwk, "alg": "HS256"},
        {**rsa_signer("none").jwk, "alg": "none"},
        {**ed25519_signer("ed").jwk, "crv": "Ed448"},
        {**ed25519_signer("ed").jwk, "x": "AA"},
        {**rsa_signer("n").jwk, "n": "!"},
        {**rsa_signer("n").jwk, "n": 5},
        {"kty": "RSA", "kid": "empty"},
        {"kty": ["RSA"], "kid": "list"},
        {**rsa_signer().jwk, "kid": None},
        {**rsa_signer().jwk, "kid": 7},
        Signer("short", "RS256", rsa_private(1, 1_024)).jwk,
        "no object",
        None,
    ],
    ids=lambda entry: entry.get("kid") if isinstance(entry, dict) else repr(entry),
)
def test_a_key_that_is_not_for_us_is_left_out_and_told(
    entry: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = rsa_signer("good").jwk
    assert read(tmp_path, json.dumps({"keys": [entry, good]}).encode()) == {"good": "RS256"}
    assert "1 of the 2 keys in the JWKS cannot be used here" in caplog.text


def test_it_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [HMAC]}))
    reader = Jwks(str(file))
    for _ in range(3):
        assert reader.read() == {}
    assert len(caplog.records) == 1


def test_the_private_part_of_a_key_is_not_even_looked_at(tmp_path: Path) -> None:
    assert read(tmp_path, one(d="AQAB", p="AQAB")) == {"kid": "RS256"}


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"7", b'{"keys": 7}', b'{"keys": {}}', b'{"keys": null}', b"\xff", b"[" * 100_000],
    ids=lambda content: repr(content[:16]),
)
def test_what_is_no_jwks_is_unavailable(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="it is not a JSON object with a list of keys"):
        read(tmp_path, content)


NAMES = st.sampled_from(["kty", "kid", "n", "e", "x", "crv", "use"])
LEAVES = st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["RSA", "OKP", "Ed25519", "AQAB"])
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner))


@given(st.lists(JSON))
def test_whatever_a_jwks_lists_it_is_a_key_or_left_out(entries: list[Any]) -> None:
    from producers.gateway.access.token_keys import _usable  # noqa: PLC0415 - a file for each example takes longer

    for entry in entries:
        for kid, key in _usable(entry):
            assert (type(kid), key.algorithm) in ((str, "RS256"), (str, "EdDSA"))


# -- where it comes from ----------------------------------------------------------------------------


def test_it_may_come_from_a_server(served: Served) -> None:
    served.body = jwks(ed25519_signer("ed"))
    assert list(Jwks(served.url).read()) == ["ed"]


@pytest.mark.parametrize(
    "url", ["http://example.org/jwks", "ftp://example.org/x", "file:///etc/passwd", "://"]
)
def test_other_addresses_are_refused_when_they_are_given(url: str) -> None:
    with pytest.raises(InvalidInput, match="ION_GATEWAY_JWT_KEYS is no https:// URL; name one, or a file"):
        Jwks(url)


def test_a_redirect_is_not_followed(served: Served) -> None:
    """It could lead from https:// to a server that nobody vouches for."""
    served.status, served.headers = 302, {"Location": served.url}
    with pytest.raises(Unavailable, match="its server answers 302"):
        Jwks(served.url).read()


@pytest.mark.parametrize("status", [404, 500])
def test_an_error_of_the_server_is_told(served: Served, status: int) -> None:
    served.status = status
    with pytest.raises(Unavailable, match=f"its server answers {status}"):
        Jwks(served.url).read()


def test_an_endless_answer_ends(served: Served) -> None:
    served.body = b" " * (MAX_BYTES + 1)
    with pytest.raises(Unavailable, match="it is over 1,048,576 bytes"):
        Jwks(served.url).read()


def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="its server does not answer"):
        Jwks("http://127.0.0.1:1/jwks.json").read()


def test_a_file_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="the file cannot be read: no such file or directory"):
        Jwks(str(tmp_path / "none.json")).read()
