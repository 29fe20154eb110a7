"""Where the answer cache of a fleet is, for commands that look at it or change it.

None of them starts a fleet: its cache would be empty, and gone with the command.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from persona_system.errors import Unavailable as StoreUnavailable
from producers.cache import place
from producers.cli.collaborators import Fleet
from producers.errors import Unavailable

if TYPE_CHECKING:
    from producers.settings import ClientSettings

_START = "start a stack with `ion up` or set ION_CACHE_URL"


@contextmanager
def reached(fleet: Fleet) -> Iterator[place.Place]:
    """Give the cache of *fleet*; raise Unavailable with what to do when there is none, or it is away."""
    try:
        with place.reached(_settings(fleet)) as found:
            yield found
    except StoreUnavailable as error:
        raise Unavailable(error.what, f"{error.why.rstrip('.')}; {_START}") from None


def _settings(fleet: Fleet) -> "ClientSettings":
    settings = fleet.find()
    if settings is None:
        from producers.settings import ClientSettings  # noqa: PLC0415

        settings = ClientSettings()
        if settings.cache_url is None:
            raise Unavailable("the cache", f"no stack runs here; {_START}")
    return settings
