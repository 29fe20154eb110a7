"""Where a client looks for the fleet and for its cache."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from producers import PersonaClient, Unavailable
from producers.settings import ClientSettings
from workers.settings import WorkerSettings

EMBEDDED = "unix:///here/cache.sock?db=0"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROKER_URL", "REPLY_URL", "STATE_DIR", "CACHE_URL"):
        monkeypatch.delenv(f"ION_{name}", raising=False)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A directory in which a stack says where its servers are."""
    note = {"broker_url": "redis+socket:///here/valkey.sock?virtual_host=0", "cache_url": EMBEDDED}
    (tmp_path / "stack.json").write_text(json.dumps(note))
    return tmp_path


def test_the_cache_is_that_of_the_local_stack(state_dir: Path) -> None:
    assert ClientSettings(state_dir=state_dir).cache_address() == EMBEDDED


def test_a_cache_that_is_named_wins(state_dir: Path) -> None:
    settings = ClientSettings(state_dir=state_dir, cache_url=SecretStr("redis://:hunter2@cache:6379/1"))

    assert settings.cache_address() == "redis://:hunter2@cache:6379/1"
    assert "hunter2" not in repr(settings)


def test_an_empty_address_switches_the_cache_off(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ION_CACHE_URL", "")

    assert ClientSettings(state_dir=state_dir).cache_address() is None
    assert WorkerSettings(broker_url=SecretStr("redis://b:1/0")).cache_url is None


def test_a_broker_that_is_named_comes_without_the_local_cache(state_dir: Path) -> None:
    """Its fleet runs on other machines, too, and would not hear what is invalidated in ours."""
    settings = ClientSettings(state_dir=state_dir, broker_url=SecretStr("redis://b:1/0"))

    assert settings.cache_address() is None


@pytest.mark.parametrize(
    "note", [None, "", "[]", "{}", '{"cache_url": null}', '{"cache_url":', "\udcff"], ids=repr
)
def test_a_note_that_names_no_cache_is_no_cache(tmp_path: Path, note: str | None) -> None:
    """There is none, it is of an older version, it is broken, or its stack runs without a cache."""
    if note is not None:
        (tmp_path / "stack.json").write_text(note, encoding="utf-8", errors="surrogateescape")

    assert ClientSettings(state_dir=tmp_path).cache_address() is None


@pytest.mark.parametrize("kind", [ClientSettings, WorkerSettings])
@pytest.mark.parametrize("wrong", [{"cache_timeout_ms": 0}, {"cache_entries": -1}, {"cache_mb": 0}])
def test_sizes_and_times_are_positive(
    kind: type[ClientSettings] | type[WorkerSettings], wrong: dict[str, float]
) -> None:
    with pytest.raises(ValidationError):
        kind.model_validate({"broker_url": "redis://b:1/0", **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_memory_ratio": 1},  # a limit that is never passed is none
        {"max_bulk_memory_ratio": 0},
        {"rate_limit_per_s": 0},
        {"rate_limit_burst": 0},
    ],
)
def test_limits_limit_and_let_something_through(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        ClientSettings.model_validate({"broker_url": "redis://b:1/0", **wrong})


def test_a_cache_address_that_cannot_be_read_is_told_without_quoting_it() -> None:
    settings = ClientSettings.model_validate({"broker_url": "memory://", "cache_url": "cache:secret@nowhere"})
    with PersonaClient(settings) as client, pytest.raises(Unavailable) as caught:
        client.process("Why does it fail?")
    assert "ION_CACHE_URL" in str(caught.value)
    assert "secret" not in str(caught.value)
