"""Run the demo: the same real messages as an upstream app would send them, and as a batch pipeline would.

Units: milliseconds for latencies, seconds for durations.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from infra.demo.messages import DemoMessage
from infra.figures import percentile
from persona_system.models import Response
from producers import AsyncPersonaClient, PersonaClient, PersonaRequest
from producers.bulk.answer import BULK_PROCESS
from producers.bulk.collect import Collector, Counts
from producers.bulk.inputs import open_input
from producers.bulk.run import NullLedger, NullWatcher, Options, Surroundings, run
from producers.bulk.submit import Stop
from producers.settings import ClientSettings

CALLERS = 100
SAMPLES = 3
_BATCH_JOBS = 500

Advance = Callable[[int], None]  # so many jobs more are done


@dataclass(frozen=True, slots=True)
class AppRun:
    """What *CALLERS* concurrent callers saw, each waiting for its answer before it asks again."""

    seconds: float
    latencies_ms: Sequence[float]
    personas: Counter[str]
    languages: Counter[str]
    samples: Sequence[tuple[DemoMessage, Response]]
    cached: int

    @property
    def jobs(self) -> int:
        """How many messages were answered."""
        return len(self.latencies_ms)

    def percentile_ms(self, percent: float) -> float:
        """Return the latency that *percent* of the messages did not exceed."""
        return percentile(self.latencies_ms, percent)


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """What the batch pipeline did, from file to file."""

    seconds: float
    ok: int
    cached: int
    failed: int
    source: Path
    outcomes: Path


def as_app(settings: ClientSettings, messages: Sequence[DemoMessage], advance: Advance) -> AppRun:
    """Send *messages* from concurrent callers, without keys: the workers read the text themselves."""
    return asyncio.run(_as_app(settings, messages, advance))


async def _as_app(settings: ClientSettings, messages: Sequence[DemoMessage], advance: Advance) -> AppRun:
    latencies: list[float] = []
    personas: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    samples: dict[str, tuple[DemoMessage, Response]] = {}
    cached = 0
    work = iter(messages)
    async with AsyncPersonaClient(settings) as client:
        await client.process(messages[0].text)  # connect
        started = time.perf_counter()

        async def call() -> None:
            nonlocal cached
            for message in work:
                sent = time.perf_counter()
                outcome = await client.submit(PersonaRequest(message.text)).outcome()
                response = outcome.unwrap()
                cached += outcome.cached
                latencies.append((time.perf_counter() - sent) * 1000)
                personas[response.persona_used] += 1
                languages[response.language] += 1
                if _speaks_for_itself(message, response):
                    samples.setdefault(response.persona_used, (message, response))
                advance(1)

        await asyncio.gather(*(call() for _ in range(CALLERS)))
        seconds = time.perf_counter() - started
    return AppRun(seconds, latencies, personas, languages, list(samples.values())[:SAMPLES], cached)


def _speaks_for_itself(message: DemoMessage, response: Response) -> bool:
    sure = response.analysis is not None and response.analysis.tone_confidence >= 0.5
    return sure and 20 <= len(message.text) <= 90


def as_pipeline(
    settings: ClientSettings, messages: Sequence[DemoMessage], directory: Path, stop: Stop, advance: Advance
) -> PipelineRun:
    """Write *messages* to a JSONL file in *directory*, and run the file through the fleet."""
    directory.mkdir(parents=True, exist_ok=True)
    source, outcomes = directory / "messages.jsonl", directory / "outcomes.jsonl"
    encode = msgspec.json.Encoder().encode
    with source.open("wb") as file:
        for number, message in enumerate(messages):
            file.write(encode({"id": f"{message.source}-{number}", "user_input": message.text}) + b"\n")
    with (
        open_input(str(source), "jsonl") as opened,
        outcomes.open("wb") as output,
        (directory / "rejects.jsonl").open("wb") as rejects,
        PersonaClient(settings) as client,
    ):
        client.process(messages[0].text)  # connect
        started = time.perf_counter()
        summary = run(
            opened.items,
            lambda requests: client.submit_batch_as(BULK_PROCESS, requests, BULK_PROCESS.queue),
            Collector(output, rejects),
            Options(batch_jobs=_BATCH_JOBS),
            Surroundings(stop, _Watcher(advance), NullLedger()),
        )
        seconds = time.perf_counter() - started
    return PipelineRun(
        seconds, summary.ok, summary.cached, summary.rejected + summary.failed, source, outcomes
    )


class _Watcher(NullWatcher):
    """Tells *advance* how many lines more are written."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._seen = advance, 0

    def progress(self, counts: Counts) -> None:
        """Pass on what is new."""
        self._advance(counts.read - self._seen)
        self._seen = counts.read
