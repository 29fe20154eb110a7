"""The broker's disk is full: producers are told, nothing that was accepted is lost, and it ends by itself."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from persona_system.models import Response
from producers import JobHandle, NotWritable, Overloaded, PersonaClient, PersonaRequest, Unavailable
from tests.support.stack import client_settings_for
from tests.support.valkey import Server, server
from tests.support.wait import wait_until
from workers.contract.wire import MAX_JOB_BYTES

KEY = "calm-medium-learning"
PATIENCE_S = 60.0
ROOM_BYTES = 4 * MAX_JOB_BYTES


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    size = f"size={ROOM_BYTES}"
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", size, "tmpfs", disk], check=False).returncode
    ):
        pytest.skip("NOT TESTED: a full disk, since this user may not mount a small one")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)  # noqa: S607 - where mount is, it is


@pytest.fixture
def broker(small_disk: Path) -> Iterator[Server]:
    with server(appendonly="yes", dir=str(small_disk)) as made:
        yield made


@pytest.fixture
def fleet(broker: Server, tmp_path: Path) -> Iterator[LocalStack]:
    url = f"redis+socket://{broker.url.removeprefix('unix://')}?virtual_host=0"
    settings = LocalSettings(
        state_dir=tmp_path / "ion", broker_url=SecretStr(url), cache_url=SecretStr(""), workers=1, beat=False
    )
    with LocalStack(settings) as started:
        yield started


def fill(disk: Path) -> Path:
    """Leave no room on *disk*; return the file that takes it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def words(chance: random.Random) -> str:
    """Return a message that cannot be compressed to nothing, as the file must grow with it."""
    return "".join(chr(chance.randrange(0xAC00, 0xD7A4)) for _ in range(2_000))


@pytest.mark.timeout(300)
def test_a_full_disk_is_told_and_over_when_there_is_room(fleet: LocalStack, small_disk: Path) -> None:
    chance = random.Random(4)
    with PersonaClient(client_settings_for(fleet, deadline_s=120)) as client:
        assert client.process(words(chance), KEY).persona_used
        ballast = fill(small_disk)

        accepted: list[JobHandle[Response]] = []
        told: list[Exception] = []

        def is_told() -> bool:
            try:
                accepted.append(client.submit(PersonaRequest(words(chance), KEY, use_cache=False)))
            except (Unavailable, Overloaded) as error:
                told.append(error)
            told.extend(
                why for handle in accepted if handle.done() and (why := handle.outcome().error) is not None
            )
            return any(isinstance(error, NotWritable) for error in told)

        wait_until(is_told, PATIENCE_S, "somebody is told that the disk is full")
        ballast.unlink()

        def works_again() -> bool:
            try:
                return bool(client.process(words(chance), KEY).persona_used)
            except (Unavailable, Overloaded):
                return False

        wait_until(works_again, PATIENCE_S, "jobs are answered again")
        ends = [handle.outcome(PATIENCE_S) for handle in accepted]
    assert {end.status for end in ends} <= {"ok", "unsent"}  # sent ones are answered, the others are told
    assert all(row.restarts == 0 for row in fleet.processes())
