"""Where a stack's database is: its own file, the one that is named, or none."""

import json
import os
from pathlib import Path

import pytest

from infra.local.settings import LocalSettings
from infra.local.state import RunningStack, announce
from infra.local.urls import resolve
from producers.settings import ClientSettings


def database_of(tmp_path: Path, **given: object) -> str | None:
    settings = LocalSettings.model_validate({"state_dir": tmp_path, **given})
    return resolve(settings, tmp_path / "s.sock", tmp_path / "c.sock").database_url


def test_it_is_a_file_in_the_stacks_directory(tmp_path: Path) -> None:
    assert database_of(tmp_path) == f"sqlite:///{tmp_path}/ion.db"


@pytest.mark.parametrize("broker", [{}, {"broker_url": "redis://broker"}])
def test_a_named_one_wins(tmp_path: Path, broker: dict[str, str]) -> None:
    assert database_of(tmp_path, database_url="postgresql://db/ion", **broker) == "postgresql://db/ion"


def test_a_fleet_on_several_machines_has_none_unless_one_is_named(tmp_path: Path) -> None:
    """A file on one machine would hold the dead letters of its own workers only."""
    assert database_of(tmp_path, broker_url="redis://broker") is None


def test_an_empty_name_means_none_and_reaches_the_workers(tmp_path: Path) -> None:
    settings = LocalSettings.model_validate({"state_dir": tmp_path, "database_url": ""})
    urls = resolve(settings, tmp_path / "s.sock", tmp_path / "c.sock")
    assert urls.database_url is None
    assert urls.environment()["ION_DATABASE_URL"] == ""


def test_the_note_names_the_file_and_never_a_server(tmp_path: Path) -> None:
    """A server's URL may hold a password, and the note is a file."""
    for embedded in (f"sqlite:///{tmp_path}/ion.db", None):
        announce(RunningStack(os.getpid(), tmp_path, 0.0, tmp_path / "s.sock", None, embedded))
        assert json.loads((tmp_path / "stack.json").read_text())["database_url"] == embedded


def test_a_client_looks_into_the_local_stacks_file_unless_one_is_named(tmp_path: Path) -> None:
    settings = ClientSettings(state_dir=tmp_path)
    assert settings.database_address() == f"sqlite:///{tmp_path}/ion.db"
    named = ClientSettings.model_validate({"state_dir": tmp_path, "database_url": "postgresql://db/ion"})
    assert named.database_address() == "postgresql://db/ion"
    assert "postgresql" not in repr(named)
