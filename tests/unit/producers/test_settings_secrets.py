"""Secrets from files, as Docker and Kubernetes mount them: for every class of settings."""

import os
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from infra.local.settings import LocalSettings
from persona_system.errors import InvalidInput
from producers.gateway.settings import GatewaySettings
from producers.settings import ClientSettings
from workers.settings import WorkerSettings

URL = "redis://:hunter2@broker:6379/0"
CLASSES = [ClientSettings, WorkerSettings, LocalSettings]


@pytest.fixture(autouse=True)
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory, with a file for the broker's URL; nothing else of ours is in the environment."""
    for name in os.environ:
        if name.startswith("ION_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ION_SECRETS_DIR", str(tmp_path))
    (tmp_path / "ION_BROKER_URL").write_text(f"{URL}\n")
    return tmp_path


def broker_of(settings: BaseSettings) -> str:
    url: str = settings.broker_url.get_secret_value()  # type: ignore[attr-defined] # of all three classes
    return url


@pytest.mark.parametrize("kind", CLASSES)
def test_a_file_gives_what_the_environment_does_not(kind: type[BaseSettings]) -> None:
    """Its last line's end belongs to the file, not to the secret."""
    settings = kind()
    assert broker_of(settings) == URL
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_environment_wins(kind: type[BaseSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ION_BROKER_URL", "redis://other:6379/0")
    assert broker_of(kind()) == "redis://other:6379/0"


@pytest.mark.parametrize("kind", CLASSES)
def test_what_is_passed_in_wins_over_both(kind: type[BaseSettings]) -> None:
    assert broker_of(kind(broker_url="redis://passed:6379/0")) == "redis://passed:6379/0"


def test_the_gateways_files_have_the_gateways_prefix(secrets: Path) -> None:
    (secrets / "ION_GATEWAY_JWT_KEYS").write_text("https://id.example/jwks.json")
    assert GatewaySettings().jwt_keys == "https://id.example/jwks.json"


def test_a_files_name_may_be_in_small_letters(secrets: Path) -> None:
    """Kubernetes' own names of secrets often are."""
    (secrets / "ion_reply_url").write_text("redis://replies:6379/0")
    reply_url = ClientSettings().reply_url
    assert reply_url is not None
    assert reply_url.get_secret_value() == "redis://replies:6379/0"


def test_a_link_within_the_directory_is_followed(secrets: Path) -> None:
    """Kubernetes changes all files of a secret at once by one link, ``..data``."""
    (secrets / "..2026").mkdir()
    (secrets / "..2026" / "ION_CACHE_URL").write_text("redis://cache:6379/0")
    (secrets / "..data").symlink_to("..2026")
    (secrets / "ION_CACHE_URL").symlink_to("..data/ION_CACHE_URL")
    assert ClientSettings().cache_address() == "redis://cache:6379/0"


@pytest.mark.parametrize("directory", ["", None], ids=["empty", "unset"])
def test_without_a_directory_no_file_is_read(directory: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if directory is None:
        monkeypatch.delenv("ION_SECRETS_DIR")
    else:
        monkeypatch.setenv("ION_SECRETS_DIR", directory)
    assert ClientSettings().broker_url is None


@pytest.mark.parametrize("kind", [*CLASSES, GatewaySettings])
def test_a_directory_that_is_not_there_is_a_mistake(
    kind: type[BaseSettings], secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Going on without the secrets would end in something harder to understand."""
    monkeypatch.setenv("ION_SECRETS_DIR", str(secrets / "none"))
    with pytest.raises(InvalidInput, match="ION_SECRETS_DIR names no directory"):
        kind()
