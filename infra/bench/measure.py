"""Load generators: each returns a ``Round``, the jobs done and every job's latency.

Units: seconds in, milliseconds out.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import msgspec
from celery import Celery

from infra.bench.baseline import TASK
from infra.figures import percentile
from persona_system.pipeline import PersonaPipeline
from producers import AsyncPersonaClient, JobOutcome, PersonaClient, PersonaRequest
from producers.settings import ClientSettings
from workers.contract.payloads import Job, Outcome, Status

_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Round:
    """One stretch of load: how long, how many jobs, and the latency of each in ms (may be empty)."""

    seconds: float
    jobs: int
    latencies_ms: Sequence[float] = ()

    @property
    def jobs_per_s(self) -> float:
        """Throughput."""
        return self.jobs / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """Return the latency that *percent* of the jobs did not exceed."""
        return percentile(self.latencies_ms, percent)


def callers(
    settings: ClientSettings, requests: Sequence[PersonaRequest], count: int, seconds: float
) -> Round:
    """*count* coroutines, each submitting its next job when its last one is answered."""
    return asyncio.run(_callers(settings, requests, count, seconds))


async def _callers(
    settings: ClientSettings, requests: Sequence[PersonaRequest], count: int, seconds: float
) -> Round:
    latencies: list[float] = []
    work = cycle(requests)
    async with AsyncPersonaClient(settings) as client:
        await asyncio.gather(*(client.submit(next(work)) for _ in range(min(count, 100))))  # connect, warm up
        started = time.perf_counter()
        end = started + seconds

        async def call() -> None:
            while (sent := time.perf_counter()) < end:
                request = next(work)
                await client.process(request.user_input, request.resonance_key)
                latencies.append((time.perf_counter() - sent) * 1000)

        await asyncio.gather(*(call() for _ in range(count)))
        return Round(time.perf_counter() - started, len(latencies), latencies)


def bulk(
    settings: ClientSettings, requests: Sequence[PersonaRequest], batch: int, window: int, seconds: float
) -> Round:
    """One pipeline that keeps *window* messages of *batch* jobs each under way."""
    with PersonaClient(settings) as client:
        client.submit_batch(requests[:batch]).result(_TIMEOUT_S)
        started, jobs = time.perf_counter(), 0
        under_way: deque[Future[list[JobOutcome[Any]]]] = deque()
        starts = cycle(range(0, len(requests) - batch + 1, batch))
        while time.perf_counter() - started < seconds:
            if len(under_way) >= window:
                jobs += count_ok(under_way.popleft())
            start = next(starts)
            under_way.append(client.submit_batch(requests[start : start + batch]))
        while under_way:
            jobs += count_ok(under_way.popleft())
        return Round(time.perf_counter() - started, jobs)


def count_ok(future: "Future[list[JobOutcome[Any]]]") -> int:
    """Wait for a batch and return its number of jobs; raise RuntimeError if one did not succeed."""
    outcomes = future.result(_TIMEOUT_S)
    bad = [outcome for outcome in outcomes if outcome.error is not None]
    if bad:
        raise RuntimeError(f"{len(bad)} jobs of a batch did not succeed: {bad[0].error}")
    return len(outcomes)


def baseline(app: Celery, requests: Sequence[PersonaRequest], submitters: int, seconds: float) -> Round:
    """*submitters* threads, each sending one task and fetching its result before the next."""
    end = time.perf_counter() + seconds

    def submit(work: Iterator[PersonaRequest]) -> list[float]:
        latencies = []
        while (sent := time.perf_counter()) < end:
            request = next(work)
            result = app.send_task(
                TASK, (request.user_input, request.resonance_key), argsrepr="", kwargsrepr=""
            )
            result.get(timeout=_TIMEOUT_S)
            latencies.append((time.perf_counter() - sent) * 1000)
        return latencies

    started = time.perf_counter()
    with ThreadPoolExecutor(submitters) as pool:
        futures = [pool.submit(submit, cycle(requests[index:])) for index in range(submitters)]
        latencies = [latency for future in futures for latency in future.result()]
    return Round(time.perf_counter() - started, len(latencies), latencies)


def limit(pipeline: PersonaPipeline, requests: Sequence[PersonaRequest], seconds: float) -> Round:
    """Do the pure work on one core: unpack a job, route it, build its prompt, pack its outcome."""
    encode = msgspec.msgpack.Encoder().encode
    decode = msgspec.msgpack.Decoder(Job).decode
    packed = [
        encode(Job(id=str(n), text=r.user_input, key=str(r.resonance_key))) for n, r in enumerate(requests)
    ]
    started, jobs = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for one in packed:
            job = decode(one)
            result = msgspec.Raw(encode(pipeline.process(job.text, job.key)))
            encode(Outcome(job.id, Status.OK, result))
        jobs += len(packed)
    return Round(time.perf_counter() - started, jobs)
