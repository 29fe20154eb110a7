"""Bringing the broker's file to the disk: as long as it can be done, and never in anybody's way."""

import os
from pathlib import Path

import pytest

from infra.local.syncing import Syncer
from tests.support.wait import wait_until


def test_files_are_synced_again_and_again_and_once_more_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "appendonly.aof.1.incr.aof"
    file.write_bytes(b"SET")
    (tmp_path / "appendonly.aof.manifest").touch()
    synced: list[int] = []

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr("infra.local.syncing.os.fsync", fsync)
    syncer = Syncer(tmp_path, pytest.fail, period_s=0.01)
    wait_until(lambda: len(synced) >= 3)
    syncer.close()
    seen = len(synced)

    assert set(synced) == {file.stat().st_ino}
    assert len(synced) == seen  # closed, it rests


def test_a_disk_that_refuses_is_told_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.aof").touch()
    tries: list[int] = []
    told: list[str] = []

    def fsync(descriptor: int) -> None:
        tries.append(descriptor)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("infra.local.syncing.os.fsync", fsync)
    syncer = Syncer(tmp_path, told.append, period_s=0.01)
    wait_until(lambda: len(tries) >= 3)
    syncer.close()

    assert told == ["the broker's file cannot be synced to disk: Input/output error"]


def test_before_the_server_has_written_there_is_nothing_to_sync(tmp_path: Path) -> None:
    Syncer(tmp_path / "appendonlydir", pytest.fail, period_s=0.01).close()
