"""The gateway's composition root: settings in, an ASGI application out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from persona_system.catalogue import load_catalogue
from persona_system.errors import PersonaError
from producers.aio import AsyncPersonaClient
from producers.errors import ProducerError
from producers.gateway.access.entrance import Entrance
from producers.gateway.call import Call, error_response
from producers.gateway.description.openapi import api_document
from producers.gateway.description.pages import page_routes
from producers.gateway.endpoints.admin import Admin
from producers.gateway.endpoints.catalogue import Catalogue
from producers.gateway.endpoints.health import Health
from producers.gateway.endpoints.jobs import Jobs
from producers.gateway.endpoints.processing import Processing
from producers.gateway.endpoints.service_routes import service_routes
from producers.gateway.endpoints.watch import JobWatch
from producers.gateway.entry.body import BodyReader, Shortcut
from producers.gateway.entry.edge import Edge
from producers.gateway.entry.traced import Traced
from producers.gateway.errors import GatewayError, refusal_of
from producers.gateway.monitoring.looks import looks_of
from producers.gateway.monitoring.probe import Probe, probing
from producers.gateway.monitoring.sight import sight_of
from producers.gateway.monitoring.tally import RequestTally, telling
from producers.gateway.ports import Door, NoMeter
from producers.gateway.routes import Endpoints, api_routes
from producers.gateway.server.stopping import stopping_well
from producers.gateway.settings import GatewaySettings
from workers.monitoring.events import Tell
from workers.observability.settings import ObservabilitySettings
from workers.operations.measuring import Measuring, open_measuring
from workers.process_slot import ProcessSlot

if TYPE_CHECKING:
    from producers.gateway.dashboards.pages import DashboardPages
    from producers.gateway.monitoring.exposition import Exposition
    from producers.settings import ClientSettings


def build_gateway(
    settings: GatewaySettings, fleet: "ClientSettings", counts_dir: Path | None = None
) -> ASGIApp:
    """Return the gateway to *fleet*; it connects when it is started.

    *counts_dir* is where the processes of one port leave their counts; None: there is one process.
    """
    sight = sight_of(ObservabilitySettings(), settings.region)
    measuring = ProcessSlot(partial(_measuring, settings, fleet, sight.tells))
    client = AsyncPersonaClient(fleet, measuring.get)
    watch = JobWatch(client)
    personas = load_catalogue(fleet.catalogue_dir).personas
    entrance = Entrance(settings, fleet)
    door, audit = entrance.door, entrance.audit
    probe = Probe(looks_of(settings, fleet))
    health = Health(probe, settings.region, _VERSION)
    exposition = _exposition(counts_dir, probe, door, settings, fleet) if settings.metrics else None
    meter = NoMeter() if exposition is None else exposition.meter
    tally = RequestTally(meter, measuring.get)
    pages = _dashboards(fleet, door) if settings.dashboards else None
    ends = Endpoints(
        processing=Processing(client, settings, door),
        jobs=Jobs(client, watch, audit),
        catalogue=Catalogue(personas),
        admin=Admin(client, fleet, personas, audit),
        health=health,
    )

    async def give_up() -> None:
        await client.close(_AT_ONCE)

    def drain() -> None:
        health.drain()
        watch.close()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        metering = contextlib.nullcontext() if exposition is None else exposition.sharing()
        async with (
            client,
            entrance.opened(),
            probing(probe),
            metering,
            telling(tally),
            stopping_well(drain, give_up, settings),
            contextlib.nullcontext() if pages is None else contextlib.aclosing(pages),
        ):
            yield
            await client.close(_FAREWELL)
        await asyncio.to_thread(measuring.close)
        await asyncio.to_thread(sight.close)

    app = FastAPI(
        title="ION Mentoring",
        version=_VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    routes = api_routes(ends, BodyReader(settings))
    app.router.routes.extend(routes)
    app.router.routes.extend(service_routes(health, exposition))
    if pages is not None:
        app.router.routes.extend(pages.routes())
    if settings.docs:
        app.router.routes.extend(page_routes(partial(api_document, routes, anonymous=settings.anonymous)))
    app.router.redirect_slashes = False
    for kind in (HTTPException, RequestValidationError, ValidationError, *_OURS, Exception):
        app.add_exception_handler(kind, _answer_error)
    told = tally if fleet.monitoring or sight.tells else meter
    return Edge(Traced(Shortcut(app, routes), sight), settings, door, told)


_AT_ONCE, _FAREWELL = timedelta(0), timedelta(seconds=1)  # by then nobody waits for a job that goes on
_VERSION = version("ion-mentoring")
_OURS: tuple[type[Exception], ...] = (GatewayError, PersonaError, ProducerError)


async def _answer_error(request: Request, error: Exception) -> Response:
    call: Call = request.scope["ion_call"]
    refusal = refusal_of(error)
    call.code = refusal.code
    return error_response(refusal, call.request_id)


def _measuring(settings: GatewaySettings, fleet: "ClientSettings", tells: tuple[Tell, ...]) -> Measuring:
    region = settings.region if "region" in settings.model_fields_set else fleet.region
    measuring = Measuring(region)
    if fleet.monitoring:
        measuring = open_measuring("gateway", region, *fleet.urls())
    measuring.tell = measuring.telling(tells)
    return measuring


def _exposition(
    counts_dir: Path | None, probe: Probe, door: Door, settings: GatewaySettings, fleet: "ClientSettings"
) -> "Exposition":
    from producers.gateway.monitoring.exposition import Exposition  # noqa: PLC0415 - off as a rule; prometheus_client
    from producers.gateway.monitoring.fleet import FleetView  # noqa: PLC0415 - likewise; SQLAlchemy
    from producers.gateway.monitoring.meter import RequestMeter, SharedCounts  # noqa: PLC0415

    shared = None if counts_dir is None else SharedCounts(counts_dir)
    view = FleetView(fleet.database_address)
    return Exposition(RequestMeter(), shared, probe, door, view, home=settings.region, version=_VERSION)


def _dashboards(fleet: "ClientSettings", door: Door) -> "DashboardPages":
    from producers.dashboards import Dashboards, rules_in_effect  # noqa: PLC0415 - SQLAlchemy
    from producers.gateway.dashboards.pages import DashboardPages  # noqa: PLC0415 - Jinja2

    return DashboardPages(lambda: Dashboards(fleet.database_address(), rules_in_effect()), door)
