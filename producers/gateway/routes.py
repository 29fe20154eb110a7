"""The table of the API: every address, its method, what it takes, and what it may end in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi.routing import APIRoute

from persona_system.errors import UnknownPersona
from producers.errors import Unavailable
from producers.gateway.admin import Admin
from producers.gateway.body import BodyReader, BodyRoute
from producers.gateway.catalogue import Catalogue
from producers.gateway.described import (
    COMMON_HEADERS,
    EVERYWHERE,
    JOB_HEADERS,
    WITH_BODY,
    WITH_CREDENTIALS,
    WITH_KEY,
    WITH_WORK,
    error_responses,
)
from producers.gateway.errors import Forbidden, TooManyRequests, UnknownJob
from producers.gateway.health import Health
from producers.gateway.jobs import Jobs
from producers.gateway.processing import Processing
from producers.gateway.schemas import (
    BulkResponse,
    CacheStatsResponse,
    HealthResponse,
    InvalidatedResponse,
    JobResponse,
    PersonaResponse,
    PersonasResponse,
    ProcessResponse,
    ProcessV1Response,
    RecommendResponse,
    StatusResponse,
)

_ENDED = (*EVERYWHERE, *WITH_CREDENTIALS)


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

    def post(
        path: str, endpoint: Any, model: Any, tag: str, *more: type[Exception], **given: Any
    ) -> APIRoute:
        errors = (*_ENDED, *WITH_BODY, *WITH_WORK, *more)
        return BodyRoute(path, endpoint, reader=reader, **_described(endpoint, model, tag, errors, given))

    def get(
        path: str, endpoint: Any, model: Any, tag: str, *errors: type[Exception], **given: Any
    ) -> APIRoute:
        return APIRoute(path, endpoint, methods=["GET"], **_described(endpoint, model, tag, errors, given))

    def act(path: str, endpoint: Any, model: Any, *errors: type[Exception]) -> APIRoute:
        errors = (*_ENDED, Forbidden, Unavailable, *errors)
        return APIRoute(path, endpoint, methods=["POST"], **_described(endpoint, model, "cache", errors, {}))

    return [
        post(
            "/api/v2/process",
            processing.process,
            ProcessResponse,
            "process",
            Forbidden,
            *WITH_KEY,
            headers=JOB_HEADERS,
            responses={
                202: {"model": JobResponse, "description": "Accepted; `Location` says where to follow."}
            },
        ),
        post("/api/v2/recommend", processing.recommend, RecommendResponse, "process"),
        post(
            "/api/v2/bulk-process",
            processing.bulk,
            BulkResponse,
            "process",
            TooManyRequests,
            headers=JOB_HEADERS,
        ),
        get("/api/v2/jobs/{job_id}", jobs.get, JobResponse, "jobs", *_ENDED, UnknownJob, Unavailable),
        get(
            "/api/v2/jobs/{job_id}/events",
            jobs.events,
            None,
            "jobs",
            *_ENDED,
            UnknownJob,
            Unavailable,
            responses={
                200: {"description": "The events.", "content": {"text/event-stream": {}}},
                204: {"description": "There is nothing more."},
            },
        ),
        get("/api/v2/personas", ends.catalogue.personas, PersonasResponse, "personas", *_ENDED),
        get(
            "/api/v2/personas/{name}",
            ends.catalogue.persona,
            PersonaResponse,
            "personas",
            *_ENDED,
            UnknownPersona,
        ),
        get("/api/v2/cache-stats", admin.stats, CacheStatsResponse, "cache", *_ENDED, Unavailable),
        act("/api/v2/cache/clear", admin.clear, InvalidatedResponse),
        act("/api/v2/cache/invalidate", admin.invalidate, InvalidatedResponse),
        get("/api/v2/health", ends.health.health, HealthResponse, "service", *EVERYWHERE),
        get("/api/v2/status", ends.health.status, StatusResponse, "service", *_ENDED),
        post(
            "/api/persona/process",
            processing.process_v1,
            ProcessV1Response,
            "v1",
            deprecated=True,
        ),
    ]


def _described(
    endpoint: Callable[..., Any],
    model: Any,
    tag: str,
    errors: tuple[type[Exception], ...],
    given: dict[str, Any],
) -> dict[str, Any]:
    summary, _, rest = (endpoint.__doc__ or "").partition("\n")
    headers = [*COMMON_HEADERS, *given.pop("headers", ())]
    return {
        "response_model": model,
        "tags": [tag],
        "summary": summary.rstrip("."),
        "description": "\n".join(line.strip() for line in f"{summary}\n{rest}".splitlines()),
        "operation_id": endpoint.__name__,
        "responses": {**error_responses(errors), **given.pop("responses", {})},
        "openapi_extra": {"parameters": headers},
        **given,
    }
