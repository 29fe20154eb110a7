"""The endpoints about the service itself; all answer at once, from what ``probe`` saw last."""

import time
from typing import TypedDict

from starlette.responses import PlainTextResponse
from starlette.responses import Response as HttpResponse

from producers.gateway.call import TheCall, json_response, timestamp
from producers.gateway.monitoring.condition import ServiceState
from producers.gateway.monitoring.probe import Probe
from producers.gateway.service_schemas import HealthResponse, QueueOut, StatusResponse

SERVICE = "ion-mentoring"
API_VERSIONS = ("1", "2")
STOPPING = "stopping"  # what a process that drains has to say for itself


class ReadyResponse(TypedDict):
    """Whether a process takes new messages; *missing* names what it lacks."""

    ready: bool
    missing: list[str]


class Health:
    """Tells how the service is, in the region *region*; *version* is the package's."""

    def __init__(self, probe: Probe, region: str, version: str) -> None:
        self._probe, self._region, self._version = probe, region, version
        self._started, self._draining = time.monotonic(), False

    def drain(self) -> None:
        """Be ready no more: this process stops."""
        self._draining = True

    async def live(self) -> HttpResponse:
        """Say that the event loop turns, and nothing else."""
        return PlainTextResponse("ok")

    async def ready(self) -> HttpResponse:
        """Say whether this process takes new messages, and what it lacks if not (503)."""
        missing = self._probe.state().missing()
        if self._draining:
            missing.append(STOPPING)
        told: ReadyResponse = {"ready": not missing, "missing": missing}
        return json_response(told, 503 if missing else 200)

    async def health(self, call: TheCall) -> HttpResponse:  # noqa: ARG002 - as every endpoint
        """Tell whether the service can answer, and why not.

        It can (200) while it is operational or degraded; it is down (503) without its broker, its reply
        store or a worker.  The answer is from memory: nothing is asked for it.
        """
        state = self._probe.state()
        condition = state.condition
        told: HealthResponse = {
            "healthy": condition != "down",
            "service_status": {"status": condition},
            "dependencies": state.dependencies(),
            "timestamp": timestamp(),
        }
        return json_response(told, 503 if condition == "down" else 200)

    async def status(self, call: TheCall) -> HttpResponse:
        """Tell what runs, and how full it is."""
        state = self._probe.state()
        condition = state.condition
        told: StatusResponse = {
            "success": True,
            "service": SERVICE,
            "version": self._version,
            "api_versions": list(API_VERSIONS),
            "uptime_s": round(time.monotonic() - self._started, 3),
            "status": condition,
            "dependencies": state.dependencies(),
            "regions": [
                {
                    "name": self._region,
                    "status": condition,
                    "workers": state.workers(),
                    "queues": _queues(state),
                }
            ],
            "timestamp": timestamp(),
            "request_id": call.request_id,
        }
        return json_response(told)


def _queues(state: ServiceState) -> list[QueueOut]:
    return [
        {"name": name, "waiting": queue.length, "oldest_age_s": queue.oldest_age_s}
        for name, queue in state.queues()
    ]
