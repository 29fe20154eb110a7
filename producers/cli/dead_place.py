"""Where the dead letters of a fleet are, for commands that look at them.

They outlive the fleet, so these commands need none: a stopped stack's letters can be read from its file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from producers.cli.collaborators import Fleet
from producers.errors import Unavailable

if TYPE_CHECKING:
    from workers.store.dead_letters import DeadLetterStore

WHAT = "the database"
ON_THE_QUEUE = "this fleet has none, and its dead letters wait on the queue `dead`; set ION_DATABASE_URL"


@contextmanager
def reached(fleet: Fleet) -> Iterator["DeadLetterStore"]:
    """Give the dead letters of *fleet*; raise Unavailable or StoreUnavailable, with what to do."""
    url, running = database_of(fleet)
    from workers.store.dead_letters import DeadLetterStore  # noqa: PLC0415
    from workers.store.engine import open_store  # noqa: PLC0415

    with open_store(url, create=running) as store:
        yield DeadLetterStore(store)


def database_of(fleet: Fleet) -> tuple[str, bool]:
    """Return where the letters of *fleet* are kept, and whether it is there to keep some.

    Raises Unavailable when they stay on their queue.
    """
    from producers.settings import ClientSettings  # noqa: PLC0415

    given = ClientSettings()
    if given.database_url is not None:
        if not given.database_url.get_secret_value():
            raise Unavailable(WHAT, ON_THE_QUEUE)
        return given.database_address(), False
    found = fleet.find()
    if found is not None and found.database_url is None:
        raise Unavailable(WHAT, ON_THE_QUEUE)
    return (given if found is None else found).database_address(), found is not None
