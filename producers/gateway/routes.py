"""The table of the API: every address, its method, what it takes, and what it may end in."""

from dataclasses import dataclass
from typing import Any

from fastapi.routing import APIRoute
from starlette.responses import StreamingResponse

from persona_system.errors import UnknownPersona
from producers.errors import Unavailable
from producers.gateway.description.described import (
    COMMON,
    COMMON_V1,
    EVERYWHERE,
    WITH_BODY,
    WITH_CREDENTIALS,
    WITH_FLEET,
    WITH_KEY,
    WITH_WORK,
    Kind,
    Kinds,
    error_responses,
    headers,
    parameters,
)
from producers.gateway.endpoints.admin import Admin
from producers.gateway.endpoints.catalogue import Catalogue
from producers.gateway.endpoints.health import Health
from producers.gateway.endpoints.jobs import Jobs
from producers.gateway.endpoints.processing import Processing
from producers.gateway.entry.body import BodyReader, BodyRoute, CallRoute
from producers.gateway.errors import Forbidden, MissingField, TooManyRequests, UnknownJob
from producers.gateway.schemas import (
    BulkResponse,
    JobResponse,
    PersonaResponse,
    PersonasResponse,
    ProcessResponse,
    ProcessV1Response,
    RecommendResponse,
)
from producers.gateway.service_schemas import (
    CacheStatsResponse,
    HealthResponse,
    InvalidatedResponse,
    StatusResponse,
)

_ASKED: Kinds = (*EVERYWHERE, *WITH_CREDENTIALS)
_PREFERENCES = headers(["Preference-Applied"])
_KEPT = {
    200: {"headers": headers(["ETag"])},
    304: {"description": "What is at hand still holds.", "headers": headers(["ETag"])},
}
_DOWN = {503: {"model": HealthResponse, "description": "It cannot: the service is down."}}
_FOLLOW = {
    name: {
        "operationId": name,
        "parameters": {"job_id": "$response.body#/job_id"},
        "description": description,
    }
    for name, description in (
        ("get_job", "Ask where it stands."),
        ("follow_job", "Listen until it has ended."),
    )
}


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Who answers."""

    processing: Processing
    jobs: Jobs
    catalogue: Catalogue
    admin: Admin
    health: Health


def api_routes(ends: Endpoints, reader: BodyReader) -> list[APIRoute]:
    """Return the routes of both versions; the most frequent come first."""
    processing, jobs, admin = ends.processing, ends.jobs, ends.admin

    def post(name: str, path: str, endpoint: Any, model: Any, *errors: Kind, **told: Any) -> APIRoute:
        errors = (*_ASKED, *WITH_BODY, *errors)
        return BodyRoute(path, endpoint, reader=reader, **_described(name, endpoint, model, errors, told))

    def get(name: str, path: str, endpoint: Any, model: Any, *errors: Kind, **told: Any) -> APIRoute:
        return APIRoute(path, endpoint, methods=["GET"], **_described(name, endpoint, model, errors, told))

    def look(name: str, path: str, endpoint: Any, model: Any, *errors: Kind, **told: Any) -> APIRoute:
        return CallRoute(path, endpoint, **_described(name, endpoint, model, errors, told))

    def act(name: str, path: str, endpoint: Any, model: Any, *errors: Kind, **told: Any) -> APIRoute:
        errors = (*_ASKED, Forbidden, Unavailable, *errors)
        return APIRoute(path, endpoint, methods=["POST"], **_described(name, endpoint, model, errors, told))

    return [
        post(
            "process",
            "/api/v2/process",
            processing.process,
            ProcessResponse,
            *WITH_WORK,
            *WITH_KEY,
            Forbidden,
            tag="process",
            headers=("Prefer", "IdempotencyKey"),
            responses={
                200: {"headers": _PREFERENCES},
                202: {
                    "model": JobResponse,
                    "description": "Accepted; `Location` says where to follow.",
                    "headers": {**headers(["Location"]), **_PREFERENCES},
                    "links": _FOLLOW,
                },
            },
        ),
        post(
            "recommend",
            "/api/v2/recommend",
            processing.recommend,
            RecommendResponse,
            *WITH_WORK,
            tag="process",
        ),
        post(
            "bulk_process",
            "/api/v2/bulk-process",
            processing.bulk,
            BulkResponse,
            *WITH_FLEET,
            TooManyRequests,
            tag="process",
            headers=("Wait", "IdempotencyKey"),
            responses={200: {"headers": _PREFERENCES}},
        ),
        get(
            "get_job",
            "/api/v2/jobs/{job_id}",
            jobs.get,
            JobResponse,
            *_ASKED,
            UnknownJob,
            Unavailable,
            tag="jobs",
        ),
        get(
            "follow_job",
            "/api/v2/jobs/{job_id}/events",
            jobs.events,
            None,
            *_ASKED,
            UnknownJob,
            Unavailable,
            tag="jobs",
            response_class=EventStream,
            responses={204: {"description": "There is nothing more: the listener has seen the end."}},
        ),
        look(
            "list_personas",
            "/api/v2/personas",
            ends.catalogue.personas,
            PersonasResponse,
            *_ASKED,
            tag="personas",
            headers=("IfNoneMatch",),
            responses=_KEPT,
        ),
        get(
            "get_persona",
            "/api/v2/personas/{name}",
            ends.catalogue.persona,
            PersonaResponse,
            *_ASKED,
            UnknownPersona,
            tag="personas",
            headers=("IfNoneMatch",),
            responses=_KEPT,
        ),
        look(
            "cache_stats",
            "/api/v2/cache-stats",
            admin.stats,
            CacheStatsResponse,
            *_ASKED,
            Unavailable,
            tag="cache",
        ),
        act("clear_cache", "/api/v2/cache/clear", admin.clear, InvalidatedResponse, tag="cache"),
        act(
            "invalidate_cache",
            "/api/v2/cache/invalidate",
            admin.invalidate,
            InvalidatedResponse,
            MissingField,
            tag="cache",
        ),
        look(
            "health",
            "/api/v2/health",
            ends.health.health,
            HealthResponse,
            *EVERYWHERE,
            tag="service",
            responses=_DOWN,
        ),
        look("status", "/api/v2/status", ends.health.status, StatusResponse, *_ASKED, tag="service"),
        post(
            "process_v1",
            "/api/persona/process",
            processing.process_v1,
            ProcessV1Response,
            *WITH_WORK,
            tag="v1",
            common=COMMON_V1,
            deprecated=True,
        ),
    ]


def _described(name: str, endpoint: Any, model: Any, errors: Kinds, told: dict[str, Any]) -> dict[str, Any]:
    """Return what the framework is told of a route; the rest is written by ``openapi``."""
    summary, _, rest = (endpoint.__doc__ or "").partition("\n")
    named = [*told.pop("headers", ()), *told.pop("common", COMMON)]
    refused = error_responses(errors, has_body=any(kind in errors for kind in WITH_BODY))
    return {
        "response_model": model,
        "response_description": model.__doc__ or "The events.",
        "tags": [told.pop("tag")],
        "summary": summary.rstrip("."),
        "description": "\n\n".join(" ".join(part.split()) for part in rest.split("\n\n")).strip(),
        "operation_id": name,
        "responses": {**refused, **told.pop("responses", {})},
        "openapi_extra": {"parameters": parameters(named)},
        **told,
    }
