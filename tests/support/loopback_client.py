"""The synchronous client on a loopback: all of the client, none of the servers."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from producers import PersonaClient
from producers.ports import Rations
from producers.settings import ClientSettings
from tests.support.loopback import Loopback


@contextmanager
def loopback_client(
    loopback: Loopback, rations: Rations | None = None, **settings: Any
) -> Iterator[PersonaClient]:
    """Run a client of *loopback* with *settings*; without *rations* there is no rate limit."""
    given = {"broker_url": "memory://", "cache_url": "", "monitoring": False, **settings}
    client = PersonaClient(ClientSettings.model_validate(given))
    client._core._connect = lambda client_id: loopback.fleet(rations)  # type: ignore[method-assign]  # noqa: ARG005
    try:
        yield client
    finally:
        client.close(timedelta(seconds=0.2))
