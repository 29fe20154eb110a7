"""The private directories of a stack, and the paths of its sockets.

Units: socket paths are limited in bytes, as the kernel counts them.
"""

import hashlib
import os
import stat
import sys
from pathlib import Path

from infra.local.errors import UnsafeDirectory

# sockaddr_un.sun_path holds 108 bytes on Linux and 104 on macOS, with the closing zero.
SOCKET_PATH_LIMIT = 107 if sys.platform == "linux" else 103


def ensure_private(path: Path) -> None:
    """Make *path* a directory that only we can enter, or raise UnsafeDirectory.

    Whoever can open the socket controls the broker, so the mode of an existing directory is narrowed.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        raise UnsafeDirectory(path, f"cannot be made: {error.strerror}", "set ION_STATE_DIR") from None
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafeDirectory(path, "is not a directory", "remove it or set ION_STATE_DIR")
    if status.st_uid != os.geteuid():
        raise UnsafeDirectory(path, "belongs to another user", "remove it or set ION_STATE_DIR")
    if status.st_mode & 0o077:
        path.chmod(0o700)


def socket_path(
    state_dir: Path, temp_dir: Path, name: str = "valkey.sock", limit: int = SOCKET_PATH_LIMIT
) -> Path:
    """Return where the server of *state_dir* whose socket is called *name* listens.

    Beside its data, unless that path is longer than the kernel allows (deep checkouts, CI workspaces):
    then in a directory of its own under *temp_dir*, named after the state directory so that every
    command finds it.  The caller makes it private; see ensure_private.
    """
    beside = state_dir / name
    if len(os.fsencode(beside)) <= limit:
        return beside
    whose = hashlib.blake2b(os.fsencode(state_dir), digest_size=8).hexdigest()
    short = temp_dir / f"ion-{os.geteuid()}-{whose}" / name
    if len(os.fsencode(short)) > limit:
        raise UnsafeDirectory(temp_dir, "is too long a path for a socket", "set TMPDIR to a shorter one")
    return short
