"""The endpoints that answer messages: process, recommend, bulk-process, and version 1's process."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
from pydantic import ValidationError
from starlette.responses import Response as HttpResponse

from persona_system.cache.answers import process_request
from persona_system.errors import InvalidInput
from persona_system.models import Context, Response
from persona_system.text import check_text
from persona_system.vocabulary import ResonanceKey, parse_key
from producers.aio import AsyncPersonaClient
from producers.errors import ProducerError
from producers.gateway.call import Call, TheCall, error_body, json_response, timestamp
from producers.gateway.endpoints.answer import metadata_body, process_body
from producers.gateway.endpoints.jobs import job_body
from producers.gateway.entry.preferences import Preferences, preferences_of
from producers.gateway.errors import GatewayError, TooManyRequests, WrongValue, refusal_of
from producers.gateway.ports import Door
from producers.gateway.schemas import (
    MAX_BULK,
    BulkRequest,
    BulkResponse,
    ErrorResponse,
    ProcessRequest,
    ProcessResponse,
    ProcessV1Request,
    ProcessV1Response,
    RecommendRequest,
    RecommendResponse,
)
from producers.gateway.settings import GatewaySettings
from producers.requests import JobOutcome, PersonaRequest

FALLBACK_KEY = ResonanceKey("calm", "medium", "learning")
"""What version 1 takes for any key that it does not know (facts of the system, section 7)."""


class Processing:
    """Answers messages through *client*; *door* counts the further jobs of a bulk request."""

    def __init__(self, client: AsyncPersonaClient, settings: GatewaySettings, door: Door) -> None:
        self._client, self._door = client, door
        self._max_wait_s = settings.max_wait_s
        self._async_deadline = timedelta(seconds=settings.async_deadline_s)

    async def process(self, body: ProcessRequest, call: TheCall) -> HttpResponse:
        """Answer one message with the prompt for the mentor who takes it.

        It waits for the answer, for `Prefer: wait=n` seconds at most.  With `Prefer: respond-async` it
        answers 202 as soon as the job is accepted (after up to `wait` seconds, if given, within which an
        answer is returned as usual), and `Location` says where to follow it.  With an `Idempotency-Key`, the
        same request sent again within an hour is not done again.
        """
        prefer = preferences_of(call, self._max_wait_s)
        request = _request(body, call, prefer)
        if prefer.respond_async:
            return await self._accept(body, request, prefer, call)
        if prefer.wait_s is not None:
            request = _with(request, deadline=timedelta(seconds=prefer.wait_s))
        outcome = await self._client.submit(request).outcome()
        return json_response(_answer(outcome, request, body, call), headers=prefer.applied())

    async def _accept(
        self, body: ProcessRequest, request: PersonaRequest, prefer: Preferences, call: Call
    ) -> HttpResponse:
        request = _with(
            request, deadline=self._async_deadline, job_id=request.job_id or call.caller.new_job_id()
        )
        handle = await self._client.send(request)
        if prefer.wait_s:
            try:
                async with asyncio.timeout(prefer.wait_s):
                    outcome = await handle.outcome()
                return json_response(_answer(outcome, request, body, call), headers=prefer.applied())
            except TimeoutError:
                pass  # then the caller follows it
        call.jobs += 1
        headers = (*prefer.applied(), ("location", f"/api/v2/jobs/{handle.job_id}"))
        return json_response(job_body(handle.job_id, None, call), 202, headers)

    async def recommend(self, body: RecommendRequest, call: TheCall) -> HttpResponse:
        """Say which mentor suits a situation, before anything is asked of them."""
        found = await self._client.recommend(check_text(body.scenario, field="scenario"))
        call.jobs += 1
        mentor = found.capabilities
        told: RecommendResponse = {
            "success": True,
            "recommended_persona": found.recommended_persona,
            "scores": dict(found.scores),
            "capabilities": {
                "name": mentor.name,
                "traits": list(mentor.traits),
                "strengths": list(mentor.strengths),
                "best_for_tones": list(mentor.best_for_tones),
                "best_for_paces": list(mentor.best_for_paces),
                "best_for_intents": list(mentor.best_for_intents),
            },
            "timestamp": timestamp(),
            "request_id": call.request_id,
        }
        return json_response(told)

    async def bulk(self, body: BulkRequest, call: TheCall) -> HttpResponse:
        """Answer up to 100 messages; each is answered or refused by itself, in the order of the requests.

        More at once is work for `ion bulk run`, which takes files of any size.  With an `Idempotency-Key`,
        each request is known by the key and its place.
        """
        total = len(body.requests)
        if total > MAX_BULK:
            raise TooManyRequests(
                f"{total:,} are over the limit of {MAX_BULK}; send them in several calls, "
                "or as a file with `ion bulk run`",
                "requests",
            )
        if not total:
            raise WrongValue("is empty; send 1 to 100 requests", "requests")
        prefer = preferences_of(call, self._max_wait_s)
        await self._door.count(call, total - 1)
        results: list[ProcessResponse | ErrorResponse | None] = [None] * total
        good: list[tuple[int, ProcessRequest, PersonaRequest]] = []
        for place, given in enumerate(body.requests):
            try:
                one = ProcessRequest.model_validate(given)
                good.append((place, one, _request(one, call, prefer, f"\n{place}")))
            except (ValidationError, InvalidInput, GatewayError) as error:
                results[place] = _refused(error, place, call)
        outcomes = await self._outcomes([request for _, _, request in good], prefer, parallel=body.parallel)
        if outcomes and all(outcome.status == "unsent" for outcome in outcomes):
            outcomes[0].unwrap()  # nothing was accepted: the fleet is full or away
        for (place, one, request), outcome in zip(good, outcomes, strict=True):
            try:
                results[place] = _answer(outcome, request, one, call)
            except (InvalidInput, ProducerError) as error:
                results[place] = _refused(error, place, call)
        ended = [result for result in results if result is not None]
        successful = sum(result["success"] for result in ended)
        told: BulkResponse = {
            "success": successful == total,
            "total": total,
            "successful": successful,
            "failed": total - successful,
            "results": ended,
            "timestamp": timestamp(),
            "request_id": call.request_id,
        }
        return json_response(told, headers=prefer.applied())

    async def _outcomes(
        self, requests: list[PersonaRequest], prefer: Preferences, *, parallel: bool
    ) -> list[JobOutcome[Response]]:
        if prefer.wait_s:
            requests = [_with(one, deadline=timedelta(seconds=prefer.wait_s)) for one in requests]
        if parallel:
            return await self._client.process_many(requests)
        return [outcome for one in requests for outcome in await self._client.process_many([one])]

    async def process_v1(self, body: ProcessV1Request, call: TheCall) -> HttpResponse:
        """Answer one message, as version 1 does: any key that is not known counts as calm-medium-learning.

        Use `POST /api/v2/process` instead: it takes the key apart, derives it from the text when there is
        none, and says why a mentor was chosen.
        """
        request = PersonaRequest(body.user_input, forgiven(body.resonance_key))
        outcome = await self._client.submit(request).outcome()
        _note(outcome, call)
        answer = outcome.unwrap()
        told: ProcessV1Response = {
            "content": answer.content,
            "persona_used": answer.persona_used,
            "confidence": answer.confidence,
        }
        return json_response(told)


def forgiven(key: object) -> ResonanceKey:
    """Return the key that version 1 takes *key* for; it never refuses one."""
    if not isinstance(key, str):
        return FALLBACK_KEY
    try:
        return parse_key(key)
    except InvalidInput:
        return FALLBACK_KEY


def _answer(
    outcome: JobOutcome[Response], request: PersonaRequest, asked: ProcessRequest, call: Call
) -> ProcessResponse:
    """Return how a message was answered; raise what the job ended in."""
    _note(outcome, call)
    answer = outcome.unwrap()
    key = request.resonance_key
    cache_key = process_request(request.user_input, None if key is None else str(key), request.context)
    told = process_body(answer, call, cache_key.hex(), cached=outcome.cached)
    if asked.include_metadata:
        told["metadata"] = metadata_body(answer)
    return told


def _note(outcome: JobOutcome[Response], call: Call) -> None:
    """Note for the metrics where an answer came from."""
    if outcome.status != "unsent":
        call.jobs += 1
        if outcome.cached:
            call.cache_hits += 1
        else:
            call.cache_misses += 1


def _request(body: ProcessRequest, call: Call, prefer: Preferences, place: str = "") -> PersonaRequest:
    context: Context | None = None if body.context is None else body.context.to_domain()
    job_id = None
    if prefer.idempotency_key is not None:
        job_id = call.caller.new_job_id(prefer.idempotency_key + place)
    return PersonaRequest(
        body.user_input,
        None if body.resonance_key is None else body.resonance_key.to_domain(),
        call.caller.scoped(context),
        body.metadata,
        job_id=job_id,
        use_cache=body.use_cache,
    )


def _with(request: PersonaRequest, **changes: Any) -> PersonaRequest:
    return msgspec.structs.replace(request, **changes)


def _refused(error: Exception, place: int, call: Call) -> ErrorResponse:
    told = error_body(refusal_of(error), call.request_id)
    field = told["error"]["field"]
    told["error"]["field"] = f"requests[{place}]" if field in (None, "body") else f"requests[{place}].{field}"
    return told
