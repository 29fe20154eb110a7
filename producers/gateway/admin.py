"""The endpoints about the answer cache: what it did, and voiding what it holds."""

from typing import TYPE_CHECKING, Annotated

from fastapi import Query
from starlette.responses import Response as HttpResponse

from persona_system.personas import Personas
from producers.errors import Unavailable
from producers.gateway.call import TheCall

if TYPE_CHECKING:
    from producers.settings import ClientSettings


class Admin:
    """Looks at the cache of *fleet*, and voids what is in it."""

    def __init__(self, fleet: "ClientSettings", personas: Personas) -> None:
        self._fleet, self._personas = fleet, personas

    async def stats(self, call: TheCall) -> HttpResponse:
        """Tell what the cache of the fleet did."""
        raise Unavailable("the cache", "not there")

    async def clear(self, call: TheCall) -> HttpResponse:
        """Void every cached answer, in every process at once."""
        raise Unavailable("the cache", "not there")

    async def invalidate(
        self, call: TheCall, pattern: Annotated[str, Query(description="KIND:NAME")]
    ) -> HttpResponse:
        """Void the answers that carry a tag."""
        raise Unavailable("the cache", "not there")
