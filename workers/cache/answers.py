"""The worker's side of the answer cache: look a batch up at once, and keep at once what it computed.

A batch's jobs end here in one of four ways, which the counts of its endpoint tell apart: answered from this
process (``worker_local``), from the store (``worker_shared``), ``computed`` after a look-up, or
``bypassed``, computed without one.  ``refreshed`` counts those computed though an answer was there.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from persona_system.cache.answers import CachePolicy, endpoint_tag, owner_tag, persona_tag
from persona_system.cache.counters import Counters
from persona_system.cache.gate import Gate
from persona_system.cache.keys import EVERYTHING_ID, tag_id, version_id
from persona_system.cache.once import compute_once
from persona_system.cache.popularity import Popularity
from persona_system.cache.tiers import Item, Ticket
from persona_system.cache.two_tier import TwoTierCache
from persona_system.models import Context
from workers.contract.payloads import Job

RequestId = Callable[[str, str | None, Context | None], bytes]
Make = Callable[[], tuple[bytes, str]]
"""Computes an answer: packed, and the persona in it."""

WORTH_WAITING_S = 0.002  # a computation that takes longer is done once in the fleet, for all who wait
_SLOW = 0.2  # weight of the latest batch in the average time of a computation


@dataclass(slots=True)
class Plan:
    """What a batch found in the cache and adds to it; every list is in the order of the jobs."""

    policy: CachePolicy
    keys: list[bytes | None]  # None: the cache has no part in this job
    values: list[bytes | None]  # an answer that may be served
    anew: frozenset[int] = frozenset()  # places of answers to compute although there is one
    ticket: Ticket = field(default_factory=dict)
    owners: Mapping[int, bytes] = field(default_factory=dict)  # place -> tag of whose context is used
    items: dict[bytes, Item] = field(default_factory=dict)  # computed for this batch, by key
    jobs: Sequence[Job | None] = ()  # none while the cache is away
    asked_store: bool = False  # else its producer had asked it
    bypassed: int = 0  # jobs without a look-up
    local: int = 0  # found in this process
    shared: int = 0  # found in the store
    missing: int = 0  # looked up in vain
    repeated: int = 0  # of these, asked twice in one batch and computed once
    received: int = 0  # of these, computed by another process meanwhile
    made: int = 0  # computed here
    spent_s: float = 0.0  # on that
    once: bool = False  # computing takes so long that one process of the fleet is to do it

    def ready(self, place: int) -> bytes | None:
        """Return the packed answer of the job at *place*; None: compute it."""
        value = self.values[place]
        if value is not None and place not in self.anew:
            return value
        key = self.keys[place]
        item = None if key is None else self.items.get(key)
        if item is None:
            return None
        self.repeated += 1
        return item.value

    def old(self, place: int) -> bytes | None:
        """Return the answer that was to be replaced, for when that fails."""
        return self.values[place]

    def computed(self, place: int, value: bytes, persona: str) -> None:
        """Take note of a computed answer."""
        key = self.keys[place]
        if key is None:
            return
        owner = self.owners.get(place)
        tags = (endpoint_tag(self.policy.answers), persona_tag(persona))
        self.items[key] = Item(key, value, tags if owner is None else (*tags, owner), self.policy.lifetime)


class Answers(Protocol):
    """Where a batch task finds and leaves answers."""

    def begin(
        self, policy: CachePolicy, request_id: RequestId, jobs: Sequence[Job | None], *, ask_store: bool
    ) -> Plan:
        """Look *jobs* up; None stands for one that is not to be answered."""

    def compute(self, plan: Plan, place: int, make: Make) -> tuple[bytes, bool]:
        """Return the packed answer of the job at *place*, and whether it was computed for this job."""

    def finish(self, plan: Plan) -> None:
        """Keep what the batch computed."""

    def close(self) -> None:
        """Give connections back."""


class NullAnswers:
    """No cache: everything is computed."""

    def begin(
        self,
        policy: CachePolicy,
        request_id: RequestId,  # noqa: ARG002 - the protocol's signature
        jobs: Sequence[Job | None],
        *,
        ask_store: bool,  # noqa: ARG002 - likewise
    ) -> Plan:
        """Find nothing."""
        nothing: list[bytes | None] = [None] * len(jobs)
        return Plan(policy, nothing, nothing)

    def compute(self, plan: Plan, place: int, make: Make) -> tuple[bytes, bool]:  # noqa: ARG002
        """Compute it."""
        return make()[0], True

    def finish(self, plan: Plan) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Do nothing."""


class CachedAnswers:
    """Answers of one *version* of the pipeline, whose *personas* may answer.

    *afterwards* is called with each batch's plan when its reply is out and its answers are kept; what is
    in there must be quick, and must not raise.
    """

    def __init__(
        self,
        cache: TwoTierCache,
        counters: Counters,
        popularity: Popularity,
        version: str,
        personas: Sequence[str],
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.cache = cache
        self._timer = timer
        self._computing_s: dict[str, float] = {}  # average by endpoint
        self._counters, self._popularity = counters, popularity
        self._version = version_id(version)
        self._personas = tuple([persona_tag(name) for name in personas])
        self._gates: dict[str, Gate] = {}
        self.afterwards: list[Callable[[Plan], object]] = []
        if cache.redis is not None:
            cache.redis.on_news.append(self._heard)

    def begin(
        self, policy: CachePolicy, request_id: RequestId, jobs: Sequence[Job | None], *, ask_store: bool
    ) -> Plan:
        """Look *jobs* up with one question to the store, or none when the producer has just asked it."""
        nothing: list[bytes | None] = [None] * len(jobs)
        plan = Plan(policy, nothing, list(nothing))
        if not self.cache.up:
            return plan
        plan.jobs, plan.asked_store = jobs, ask_store
        plan.once = self._computing_s.get(policy.endpoint, 0.0) > WORTH_WAITING_S
        places = self._admitted(policy.endpoint, jobs, ask_store=ask_store)
        plan.bypassed = len(jobs) - jobs.count(None) - len(places)
        if plan.bypassed:
            self._counters.add(policy.endpoint, bypassed=plan.bypassed)
        if not places:
            return plan
        requests, owners = [], {}
        plan.keys = list(nothing)
        for place in places:
            job = jobs[place]
            assert job is not None  # noqa: S101 - places are of jobs
            request = request_id(job.text, job.key, job.context)
            requests.append(request)
            plan.keys[place] = self._version + request
            if job.context is not None and (owner := owner_tag(job.context)) is not None:
                owners[place] = tag_id(owner)
        self._popularity.add(requests)
        plan.owners = owners
        # a producer found those to refresh, and has counted them
        wanted = [place for place in places if not _is_refresh(jobs[place])]
        self._look_up(plan, wanted, ask_store=ask_store)
        self._counters.add(policy.endpoint, refreshed=len(plan.anew) + len(places) - len(wanted))
        return plan

    def compute(self, plan: Plan, place: int, make: Make) -> tuple[bytes, bool]:
        """Return the packed answer of the job at *place*, and whether it was computed for this job.

        An answer of 70 us is computed at once, even if another process does the same: waiting for that one
        takes 1.5 ms.  Where the average is beyond 2 ms (another analyser), one process computes it, and
        its tags are those of all personas, since who will answer is not known to those who wait.
        """
        key = plan.keys[place]
        if key is None:
            return make()[0], True
        if not plan.once:
            value, persona = self._timed(plan, make)
            plan.computed(place, value, persona)
            return value, True
        mine: list[bytes] = []

        def compute() -> bytes:
            mine.append(self._timed(plan, make)[0])
            return mine[0]

        owner = plan.owners.get(place)
        tags = (endpoint_tag(plan.policy.answers), *self._personas, *(() if owner is None else (owner,)))
        value = compute_once(self.cache, key, compute, tags=tags, lifetime=plan.policy.lifetime)
        plan.received += not mine
        return value, bool(mine)

    def _timed(self, plan: Plan, make: Make) -> tuple[bytes, str]:
        started = self._timer()
        made = make()
        plan.spent_s += self._timer() - started
        plan.made += 1
        return made

    def finish(self, plan: Plan) -> None:
        """Store what the batch computed, with one write."""
        computed = plan.missing - plan.repeated - plan.received
        self._counters.add(
            plan.policy.endpoint,
            worker_local=plan.repeated,
            worker_shared=plan.received,
            computed=computed,
        )
        if plan.made:
            endpoint, each_s = plan.policy.endpoint, plan.spent_s / plan.made
            before_s = self._computing_s.get(endpoint, each_s)
            self._computing_s[endpoint] = before_s + _SLOW * (each_s - before_s)
        if plan.items:
            self.cache.store(list(plan.items.values()), plan.ticket, keep=plan.policy.keep_computed)
        for follow in self.afterwards:
            follow(plan)

    def admits(self, endpoint: str, text: str) -> bool:
        """Tell whether the cache would be asked about *text*: while it does not pay, only about a sample."""
        return self._gate(endpoint).admits(text)

    def close(self) -> None:
        """Give connections back."""
        self.cache.close()

    def _admitted(self, endpoint: str, jobs: Sequence[Job | None], *, ask_store: bool) -> list[int]:
        """Return the places of the jobs that the cache is asked about."""
        places = [place for place, job in enumerate(jobs) if job is not None and job.use_cache]
        gate = self._gate(endpoint)
        if ask_store and not gate.open:  # else the producer has made the choice
            places = [place for place in places if (job := jobs[place]) is not None and gate.admits(job.text)]
        return places

    def _look_up(self, plan: Plan, places: Sequence[int], *, ask_store: bool) -> None:
        tags = (endpoint_tag(plan.policy.answers), *self._personas, *dict.fromkeys(plan.owners.values()))
        keys = [key for place in places if (key := plan.keys[place]) is not None]
        found = self.cache.lookup(keys, tags, there=ask_store)
        for place, value in zip(places, found.values, strict=True):
            plan.values[place] = value
        plan.ticket = found.ticket
        plan.anew = frozenset(places[index] for index in found.refresh)
        hits = found.local + found.shared
        plan.local, plan.shared, plan.missing = found.local, found.shared, len(keys) - hits
        self._counters.add(plan.policy.endpoint, worker_local=found.local, worker_shared=found.shared)
        if ask_store:  # else the producer had the hits, and what is left says nothing
            self._gate(plan.policy.endpoint).note(len(keys), hits)

    def _gate(self, endpoint: str) -> Gate:
        gate = self._gates.get(endpoint)
        return self._gates.setdefault(endpoint, Gate()) if gate is None else gate

    def _heard(self, tags: Sequence[bytes] | None) -> None:
        """Give the cache its chance again when it was emptied on purpose."""
        if tags is not None and EVERYTHING_ID in tags:
            for gate in list(self._gates.values()):
                gate.restart()


def _is_refresh(job: Job | None) -> bool:
    return job is not None and job.refresh
