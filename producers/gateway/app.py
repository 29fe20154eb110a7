"""The gateway's composition root: settings in, an ASGI application out."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from persona_system.catalogue import load_catalogue
from persona_system.errors import PersonaError
from producers.aio import AsyncPersonaClient
from producers.errors import ProducerError
from producers.gateway.admin import Admin
from producers.gateway.body import BodyReader
from producers.gateway.call import error_response
from producers.gateway.catalogue import Catalogue
from producers.gateway.edge import Edge
from producers.gateway.errors import GatewayError, refusal_of
from producers.gateway.health import Health
from producers.gateway.jobs import Jobs
from producers.gateway.ports import NoMeter, OpenDoor
from producers.gateway.processing import Processing
from producers.gateway.routes import Endpoints, api_routes
from producers.gateway.settings import GatewaySettings
from producers.gateway.stopping import stopping_well
from producers.gateway.watch import JobWatch

if TYPE_CHECKING:
    from producers.settings import ClientSettings


def build_gateway(settings: GatewaySettings, fleet: "ClientSettings") -> ASGIApp:
    """Return the gateway to *fleet*; it connects when it is started."""
    client = AsyncPersonaClient(fleet)
    watch = JobWatch(client)
    personas = load_catalogue().personas
    door = OpenDoor()
    ends = Endpoints(
        processing=Processing(client, settings, door),
        jobs=Jobs(client, watch),
        catalogue=Catalogue(personas),
        admin=Admin(fleet, personas),
        health=Health(fleet),
    )

    async def give_up() -> None:
        await client.close(_AT_ONCE)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client, stopping_well(watch.close, give_up, settings):
            yield

    app = FastAPI(
        title="ION Mentoring",
        version=version("ion-mentoring"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.router.routes.extend(api_routes(ends, BodyReader(settings)))
    app.router.redirect_slashes = False
    for kind in (HTTPException, RequestValidationError, ValidationError, *_OURS, Exception):
        app.add_exception_handler(kind, _answer_error)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, **_cors(settings))
    return Edge(app, settings, door, NoMeter())


_AT_ONCE = timedelta(0)
_OURS: tuple[type[Exception], ...] = (GatewayError, PersonaError, ProducerError)


async def _answer_error(request: Request, error: Exception) -> Response:
    return error_response(refusal_of(error), request.scope["ion_call"].request_id)


def _cors(settings: GatewaySettings) -> dict[str, Any]:
    return {
        "allow_origins": settings.cors_origins,
        "allow_methods": ["GET", "POST"],
        "allow_headers": [
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "Last-Event-ID",
            "Prefer",
            "X-API-Key",
            "X-API-Version",
            "X-Request-ID",
        ],
        "expose_headers": ["Location", "Preference-Applied", "Retry-After", "X-API-Version", "X-Request-ID"],
    }
