"""What an operator does to the database by hand, and the note of it in the audit log.

Times are in milliseconds since the Unix epoch, UTC.
"""

import os
import pwd
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from producers.settings import ClientSettings
from workers.store.audit import Entry
from workers.store.engine import Store, open_store


@contextmanager
def database(*, create: bool = False) -> Iterator[Store]:
    """Give the database that the settings name, whether a fleet runs or not; raise StoreError.

    Without *create*, a file that is not there yet is not made.
    """
    with open_store(ClientSettings().database_address(), create=create) as store:
        yield store


def deed(action: str, target: str, at_ms: int) -> Entry:
    """Return the note that this process's user did *action* to *target*, on this machine."""
    return Entry(
        at_ms=at_ms,
        subject=_user(),
        role="operator",
        proof="shell",
        action=action,
        target=target,
        address=socket.gethostname(),
    )


def now_ms() -> int:
    """Return the present."""
    return int(time.time() * 1000)


def when(at_ms: int | None) -> str | None:
    """Return a time as it is printed, e.g. ``2026-03-01T09:30:00+00:00``."""
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a number that has no name
        return f"uid {os.getuid()}"
