"""What the root adds: the commands of infra, and the doctor's look at this machine."""

from pathlib import Path

import pytest

from infra import cli
from infra.fleet import LocalFleet, sections
from infra.stack_checks import disk_check, stack_checks, state_dir_checks, valkey_check
from producers.cli.app import run
from producers.cli.collaborators import Collaborators


def test_all_commands_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cli.build(), Collaborators(LocalFleet()), ["--help"]) == 0
    out = capsys.readouterr().out
    for name in (
        *("process", "recommend", "route", "analyze", "personas", "config", "doctor", "bulk"),
        *("up", "gateway", "demo", "bench"),
    ):
        assert f"\n  {name}" in out


def test_the_embedded_server_runs_here() -> None:
    assert valkey_check().status == "ok"


def test_a_state_directory_is_made_or_private(tmp_path: Path) -> None:
    def status(directory: Path) -> str:
        (check,) = state_dir_checks(directory)
        return check.status

    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o755)
    assert status(tmp_path / "new" / "deep") == "ok"
    assert status(private) == "ok"
    assert status(public) == "warn"


def test_little_disk_is_a_remark(tmp_path: Path) -> None:
    assert disk_check(tmp_path, little_bytes=0).status == "ok"
    assert disk_check(tmp_path, little_bytes=10**18).status == "warn"


def test_the_checks_of_this_machine_name_its_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ION_STATE_DIR", str(tmp_path))
    names = [check.name for check in stack_checks()]
    assert names == ["valkey", "state directory", "disk", "socket", "stack", "flower"]


def test_without_a_stack_there_is_no_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ION_BROKER_URL", "ION_CACHE_URL", "ION_CACHE", "ION_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ION_STATE_DIR", str(tmp_path))
    assert LocalFleet().find() is None
    parts = {section.name: section for section in sections()}
    assert list(parts) == ["client", "gateway", "flower", "alerts", "rules", "stack", "worker"]
    assert parts["worker"].assumed == {"broker_url", "reply_url", "cache_url", "database_url"}


def test_a_broker_that_is_named_is_the_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ION_BROKER_URL", "redis://host:6379/0")
    settings = LocalFleet().find()
    assert settings is not None
    assert settings.urls() == ("redis://host:6379/0", "redis://host:6379/0")
