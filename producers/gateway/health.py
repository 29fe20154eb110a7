"""The endpoints about the service itself."""

from typing import TYPE_CHECKING

from starlette.responses import Response as HttpResponse

from producers.gateway.call import TheCall, json_response, timestamp
from producers.gateway.schemas import HealthResponse

if TYPE_CHECKING:
    from producers.settings import ClientSettings


class Health:
    """Knows how the service is."""

    def __init__(self, fleet: "ClientSettings") -> None:
        self._fleet = fleet

    async def health(self, call: TheCall) -> HttpResponse:
        """Tell whether the service can answer, and why not."""
        told: HealthResponse = {
            "healthy": True,
            "service_status": {"status": "operational"},
            "dependencies": {},
            "timestamp": timestamp(),
        }
        return json_response(told)

    async def status(self, call: TheCall) -> HttpResponse:
        """Tell what runs, and how full it is."""
        return await self.health(call)
