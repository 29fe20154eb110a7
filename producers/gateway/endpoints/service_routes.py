"""The addresses for orchestrators and for Prometheus.  See docs/gateway-operations.md."""

from typing import TYPE_CHECKING

from fastapi.routing import APIRoute

from producers.gateway.endpoints.health import Health

if TYPE_CHECKING:
    from producers.gateway.monitoring.exposition import (
        Exposition,  # needs prometheus_client, and is off as a rule
    )


def service_routes(health: Health, exposition: "Exposition | None") -> list[APIRoute]:
    """Return the routes; without *exposition* there are no metrics (404)."""
    endpoints = {"/livez": health.live, "/readyz": health.ready}
    routes = [APIRoute(path, one, include_in_schema=False) for path, one in endpoints.items()]
    if exposition is not None:
        routes.append(APIRoute("/metrics", exposition.metrics, include_in_schema=False))
    return routes
