"""Where the answer cache of a fleet is, for commands that look at it or change it.

None of them starts a fleet: its cache would be empty, and gone with the command.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from persona_system.errors import InvalidInput
from persona_system.errors import Unavailable as StoreUnavailable
from producers.cli.collaborators import Fleet
from producers.errors import Unavailable

if TYPE_CHECKING:
    from persona_system.cache.inspection import Inspection
    from persona_system.cache.redis_cache import RedisCache
    from producers.settings import ClientSettings

_START = "start a stack with `ion up` or set ION_CACHE_URL"


@dataclass(frozen=True, slots=True)
class Place:
    """A store that answers.  *cache* connects to it when it is first used; *look* reads it and no more."""

    settings: "ClientSettings"
    cache: "RedisCache"
    look: "Inspection"

    @property
    def patience_s(self) -> float:
        """How long to wait for the server."""
        return self.settings.connect_timeout_s


@contextmanager
def reached(fleet: Fleet) -> Iterator[Place]:
    """Give the cache of *fleet*; raise Unavailable with what to do when there is none, or it is away."""
    settings, url = _address(fleet)
    from persona_system.cache.inspection import Inspection  # noqa: PLC0415
    from persona_system.cache.redis_cache import RedisCache  # noqa: PLC0415
    from persona_system.cache.redis_store import RedisStore  # noqa: PLC0415

    patience_s = settings.connect_timeout_s
    try:
        store, cache = RedisStore(url, patience_s), RedisCache(url, patience_s)
    except ValueError:  # it may quote the URL
        raise InvalidInput(
            "ION_CACHE_URL", "is no redis:// or unix:// address", "correct or unset it"
        ) from None
    try:
        store.run(("PING",))
        yield Place(settings, cache, Inspection(store))
    except StoreUnavailable as error:
        raise Unavailable(error.what, f"{error.why.rstrip('.')}; {_START}") from None
    finally:
        cache.close()
        store.close()


def _address(fleet: Fleet) -> tuple["ClientSettings", str]:
    settings = fleet.find()
    if settings is None:
        from producers.settings import ClientSettings  # noqa: PLC0415

        settings = ClientSettings()
        if settings.cache_url is None:
            raise Unavailable("the cache", f"no stack runs here; {_START}")
    url = settings.cache_address()
    if url is None:
        raise Unavailable("the cache", "this fleet has none; set ION_CACHE_URL to its server")
    return settings, url
