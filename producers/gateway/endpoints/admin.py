"""The endpoints about the answer cache: what it did, and voiding what it holds."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from fastapi import Query
from starlette.responses import Response as HttpResponse

from persona_system.cache.keys import EVERYTHING
from persona_system.errors import Unavailable as StoreUnavailable
from persona_system.personas import Personas
from producers.aio import AsyncPersonaClient
from producers.cache.change import Told, Wording, expanded, invalidate
from producers.cache.counts import Report, Usage, report_of
from producers.cache.place import reached
from producers.errors import Unavailable
from producers.gateway.call import Call, TheCall, json_response, timestamp
from producers.gateway.errors import Forbidden
from producers.gateway.ports import Audit
from producers.gateway.service_schemas import CacheStatsResponse, InvalidatedResponse
from producers.gateway.snapshot import Rhythm, Snapshot

if TYPE_CHECKING:
    from producers.settings import ClientSettings

_WHAT = "the cache"
_RHYTHM = Rhythm(every_s=1.0, asked_s=1.0, good_s=2.0)  # as often as processes hand on their counts
_LONGEST_PATTERN = 600  # characters: a kind, and the longest name
_WORDING = Wording(field="pattern", clear="POST /api/v2/cache/clear")


class Admin:
    """Looks at the cache of *fleet*, and voids what is in it; *audit* keeps who did.

    It is *client* that voids, so that its own tier, which serves this process, is the first to know.
    """

    def __init__(
        self, client: AsyncPersonaClient, fleet: "ClientSettings", personas: Personas, audit: Audit
    ) -> None:
        self._client, self._fleet = client, fleet
        self._personas, self._audit = personas, audit
        self._report = Snapshot(_WHAT, self._read, _RHYTHM)

    async def stats(self, call: TheCall) -> HttpResponse:
        """Tell what the cache did for the whole fleet, since its counts began.

        A request is a job that ended, whoever sent it.  It is a hit if the cache had an answer (even one
        that was due, and then computed anew), a miss if not, or if the cache was not asked (`use_cache`:
        false); so hits and misses add up to all requests.  `l1` are the hits in a process's own tier, of a
        client or a worker, with their share of all requests; `l2` those in the shared store, with their
        share of what `l1` left.  A share of nothing is 0.  What a process counts is told here within two
        seconds.  Jobs that end while the cache is away are not counted.
        """
        await self._report.ask()
        report = self._report.value
        if isinstance(report, Unavailable):
            raise Unavailable(*report.args)
        return json_response(stats_body(report.total, call))

    async def clear(self, call: TheCall) -> HttpResponse:
        """Void every cached answer, in every process at once.

        It takes the role admin.  The fleet then computes answers anew.
        """
        await self._check_right(call, "cache.clear", EVERYTHING)
        return await self._void(call, "cache.clear", EVERYTHING, [EVERYTHING])

    async def invalidate(
        self,
        call: TheCall,
        pattern: Annotated[
            str,
            Query(
                description="`persona:NAME` or `persona:*`, `endpoint:process` or `endpoint:recommend`, "
                "`user:ID`, `session:ID`, `function:NAME`",
                max_length=_LONGEST_PATTERN,
                json_schema_extra={"pattern": "^(persona|endpoint|user|session|function):."},
                examples=["persona:Lua"],
            ),
        ],
    ) -> HttpResponse:
        """Void the cached answers that fit a pattern, in every process at once.

        It takes the role admin.  A pattern stands for the answers of a persona or an endpoint, or for those
        that rest on the context of a person or a conversation.
        """
        await self._check_right(call, "cache.invalidate", pattern)
        tags = expanded([pattern], self._personas, _WORDING)
        return await self._void(call, "cache.invalidate", pattern, tags)

    async def _check_right(self, call: Call, action: str, target: str) -> None:
        try:
            call.caller.require_admin()
        except Forbidden:
            await self._audit.record(call, action, target, allowed=False)
            raise

    async def _void(self, call: Call, action: str, target: str, tags: Sequence[str]) -> HttpResponse:
        await self._audit.record(call, action, target, allowed=True)  # what cannot be kept does not happen
        done = await asyncio.to_thread(self._invalidate, tags)
        told: InvalidatedResponse = {
            "success": True,
            "tags": list(done.tags),
            "invalidated": len(done.tags),
            "listening": done.listening,
            "timestamp": timestamp(),
            "request_id": call.request_id,
        }
        return json_response(told)

    def _invalidate(self, tags: Sequence[str]) -> Told:
        try:
            with reached(self._fleet, self._client.cache()) as place:
                return invalidate(place, tags)
        except StoreUnavailable:  # it names the address
            raise Unavailable(_WHAT, "its server did not answer; try again") from None

    def _read(self) -> Report | Unavailable:
        try:
            with reached(self._fleet, self._client.cache()) as place:
                return report_of(place.cache.stats())
        except Unavailable as there_is_none:
            return there_is_none


def stats_body(total: Usage, call: Call) -> CacheStatsResponse:
    """Return how the jobs of *total* ended; each ended in one way."""
    ways, asked = total.ways, total.asked
    l1 = ways["producer_local"] + ways["worker_local"]
    l2 = ways["producer_shared"] + ways["worker_shared"]
    return {
        "success": True,
        "total_requests": asked,
        "cache_hits": l1 + l2,
        "cache_misses": asked - l1 - l2,
        "hit_rate": _share(l1 + l2, asked),
        "l1": {"hits": l1, "hit_rate": _share(l1, asked)},
        "l2": {"hits": l2, "hit_rate": _share(l2, asked - l1)},
        "timestamp": timestamp(),
        "request_id": call.request_id,
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
