"""``ion cache`` beside a store of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from persona_system.cache.keys import version_id
from persona_system.pipeline import load_pipeline
from tests.support.cache_commands import Found, Ion, Kept
from tests.support.valkey import Server
from tests.support.valkey import server as running


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    with running() as made:
        yield made


@pytest.fixture
def server(own_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """An empty store, and an environment that says nothing."""
    for name in ("ION_BROKER_URL", "ION_CACHE_URL", "ION_CATALOGUE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ION_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    own_server.client.flushall()
    return own_server


@pytest.fixture(scope="module")
def version() -> bytes:
    return version_id(load_pipeline().version)


@pytest.fixture
def kept(server: Server, version: bytes) -> Kept:
    return Kept(server, version)


@pytest.fixture
def ion(capsys: pytest.CaptureFixture[str], server: Server) -> Ion:
    return Ion(capsys, Found(server.url, connect_timeout_s=10))
