"""The endpoints that follow a job to its one outcome: by asking, or by listening.

Events of a job have fixed numbers: 1 says that it is pending, 2 how it ended.  A listener that comes back
with the last number it has seen gets the rest; one that has seen the end is told to stop (204).
Source: WHATWG HTML, server-sent events.
"""

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from fastapi import Header, Path
from starlette.responses import Response as HttpResponse
from starlette.responses import StreamingResponse

from persona_system.models import Response
from producers.aio import AsyncPersonaClient
from producers.gateway.call import Call, TheCall, error_out, json_response, timestamp
from producers.gateway.endpoints.answer import answer_body, metadata_body
from producers.gateway.endpoints.watch import JobWatch
from producers.gateway.errors import UnknownJob, refusal_of
from producers.gateway.ports import Audit
from producers.gateway.schemas import JobResponse, JobStatus
from producers.requests import JobOutcome

_PENDING, _ENDED = 1, 2

JobId = Annotated[str, Path(description="As `Location` and `job_id` of the 202 had it.")]
LastEventId = Annotated[
    str, Header(alias="Last-Event-ID", description="The number of the last event that was seen.")
]

_encode = msgspec.json.Encoder().encode


class Jobs:
    """Looks at jobs through *client*; *watch* tells when they end, *audit* keeps who looked at others'."""

    def __init__(self, client: AsyncPersonaClient, watch: JobWatch, audit: Audit) -> None:
        self._client, self._watch, self._audit = client, watch, audit

    async def get(self, job_id: JobId, call: TheCall) -> HttpResponse:
        """Say where a job stands, for an hour after it was sent."""
        return json_response(job_body(job_id, await self._found(job_id, call), call))

    async def events(self, job_id: JobId, call: TheCall, last_event_id: LastEventId = "") -> HttpResponse:
        """Follow a job as server-sent events.

        They are `pending` (id 1) and `ended` (id 2), each with where the job stands.

        A listener that reconnects with `Last-Event-ID` gets what it has not seen; after 2 there is nothing
        more (204).
        """
        outcome = await self._found(job_id, call)
        seen = int(last_event_id) if last_event_id in ("1", "2") else 0
        if seen == _ENDED and outcome is not None:
            return HttpResponse(status_code=204)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}  # proxies pass it on at once
        return StreamingResponse(
            self._stream(job_id, call, outcome, seen), headers=headers, media_type="text/event-stream"
        )

    async def _found(self, job_id: str, call: Call) -> JobOutcome[Response] | None:
        """Return how the job ended, None if it has not; raise UnknownJob."""
        if call.caller.is_anothers(job_id):
            await self._audit.record(call, "job.read", job_id, allowed=call.caller.role == "admin")
        call.caller.check_owns(job_id)
        outcome = await self._watch.look(job_id)
        if outcome is None and not await self._client.knows(job_id):
            raise UnknownJob("no job of yours has this id", "job_id")
        return outcome

    async def _stream(
        self, job_id: str, call: Call, outcome: JobOutcome[Response] | None, seen: int
    ) -> AsyncIterator[bytes]:
        if seen < _PENDING:
            yield _event(_PENDING, "pending", job_body(job_id, None, call))
        if outcome is None:
            async for ended in self._watch.follow(job_id):
                if ended is None:
                    yield b": still pending\n\n"  # keeps proxies and half-open connections from idling
                    continue
                outcome = ended
        if outcome is not None:
            yield _event(_ENDED, "ended", job_body(job_id, outcome, call))


def job_body(job_id: str, outcome: JobOutcome[Response] | None, call: Call) -> JobResponse:
    """Return where a job stands; *outcome* None: it is pending."""
    status: JobStatus = "pending" if outcome is None else _STATUS[outcome.status]
    told: JobResponse = {
        "success": True,
        "job_id": job_id,
        "status": status,
        "result": None,
        "error": None,
        "timestamp": timestamp(),
        "request_id": call.request_id,
    }
    if outcome is None:
        return told
    if outcome.error is not None:
        told["success"] = False
        told["error"] = error_out(refusal_of(outcome.error))
    elif outcome.result is not None:
        told["result"] = {**answer_body(outcome.result), "metadata": metadata_body(outcome.result)}
    return told


_STATUS: dict[str, JobStatus] = {
    "ok": "ok",
    "rejected": "rejected",
    "failed": "failed",
    "expired": "expired",
    "dead": "dead",
}


def _event(number: int, name: str, body: JobResponse) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, name.encode(), _encode(body))
