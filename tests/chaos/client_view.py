"""T5c: faults as a caller sees them, who has ids of its own, and asks again until it knows."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.local.urls import socket_urls
from persona_system.models import Response
from producers import JobOutcome, Overloaded, PersonaClient, PersonaRequest, Unavailable
from producers.settings import ClientSettings
from tests.chaos.arena import Arena, arena
from tests.chaos.poison import Supervisor
from tests.chaos.scenario import Result, Scenario, Stage
from tests.chaos.systems import TEXT
from workers.contract import names

_DEADLINE = timedelta(seconds=15)  # more than a lost batch takes to come back
_MOST_ROUNDS = 40
_LATE_S = 5.0  # after the deadline, a caller knows at the latest
_GIVE_UP_S = 120.0
_PART = 40  # 2 s of work
_ASKED_LATER = 500


class Harm:
    """Kills Valkey and a worker in turn, every other second, until it is left."""

    def __init__(self, stage: Stage, ring: Arena) -> None:
        self.done = 0
        self._ring, self._rng, self._ended = ring, stage.rng, threading.Event()
        self._thread = threading.Thread(target=self._run, name="harm", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._rng.uniform(1.0, 3.0)):
            if self.done % 2:
                self._ring.fleet.kill(self._rng.choice(self._ring.fleet.workers))
            else:
                self._ring.valkey.kill()
                self._ring.valkey.start()
            self.done += 1


def callers(stage: Stage) -> Result:
    """Ask for every job under its own id, again and again, until each has ended as ok."""
    jobs = stage.pick(1_200, 200)
    waits: list[float] = []
    with arena(stage, workers=2) as ring, Supervisor(ring):
        ring.fleet.start()
        ring.fleet.wait_ready()
        urls = socket_urls(Path(ring.valkey.url.removeprefix("unix://")))
        settings = ClientSettings.model_validate(
            {"broker_url": urls.broker_url, "reply_url": urls.reply_url, "cache_url": ""}
        )
        with PersonaClient(settings) as client, Harm(stage, ring) as harm:
            answers, told, rounds = _until_known(client, jobs, stage, waits)
        with PersonaClient(settings) as another:
            later = {job_id: another.outcome(job_id) for job_id in list(answers)[:_ASKED_LATER]}
        reruns = ring.witness.reruns()
    different = sum(
        outcome is None or outcome.result is None or outcome.result.content != answers[job_id]
        for job_id, outcome in later.items()
    )
    broken = []
    if len(answers) != jobs:
        broken.append(f"{jobs - len(answers):,} of {jobs:,} jobs were never known to be ok")
    if different:
        broken.append(f"{different} of {len(later)} outcomes are not what the caller was told")
    late = max(waits) - _DEADLINE.total_seconds()
    if late > _LATE_S:
        broken.append(f"a caller was told {late:.1f} s after the deadline")
    if unknown := set(told) - {"ok", "expired", "unsent"}:
        broken.append(f"callers were told {sorted(unknown)}")
    said = (
        f"{len(answers):,} of {jobs:,} known as ok after {rounds} rounds and {harm.done} kills; asked for by "
        f"another process, {len(later) - different} of {len(later)} are the same; {reruns:,} run again; the "
        f"longest wait was {max(waits):.1f} s with a deadline of {_DEADLINE.total_seconds():g} s"
    )
    return Result(harm.done, said, broken, {"told": dict(told), "rounds": rounds, "reruns": reruns})


def _until_known(
    client: PersonaClient, jobs: int, stage: Stage, waits: list[float]
) -> tuple[dict[str, str], Counter[str], int]:
    """Return each job's answer, how often callers were told what, and after how many rounds."""
    answers: dict[str, str] = {}
    told: Counter[str] = Counter()
    missing = [f"slow-{number:x}" for number in range(jobs)]
    rounds = 0
    while missing and rounds < _MOST_ROUNDS:
        rounds += 1
        for outcome in _ask(client, missing, waits):
            told[outcome.status] += 1
            if outcome.result is not None:
                answers[outcome.job_id] = outcome.result.content
        missing = [job_id for job_id in missing if job_id not in answers]
        stage.say(f"round {rounds}: {len(answers):,} of {jobs:,} known, told {dict(told)}")
        threading.Event().wait(0.5)
    return answers, told, rounds


def _ask(client: PersonaClient, job_ids: list[str], waits: list[float]) -> Iterator[JobOutcome[Response]]:
    """Send the jobs in batches, all at once, and give how each ended; one refused gives nothing.

    *waits* gets how long each batch took to end.
    """
    requests = [
        PersonaRequest(f"{job_id}|{TEXT}", job_id=job_id, deadline=_DEADLINE, use_cache=False)
        for job_id in job_ids
    ]
    waiting = []
    for start in range(0, len(requests), _PART):
        with contextlib.suppress(Unavailable, Overloaded):  # nothing of it was accepted
            begun = time.monotonic()
            batch = client.submit_batch(requests[start : start + _PART], queue=names.INTERACTIVE)
            batch.add_done_callback(partial(_note, begun, waits))
            waiting.append(batch)
    for batch in waiting:
        yield from batch.result(_GIVE_UP_S)


def _note(begun: float, waits: list[float], _: object) -> None:
    waits.append(time.monotonic() - begun)


SCENARIOS = (
    Scenario(
        "T5c",
        "Valkey and workers are killed in turn while callers wait; they ask again under the same ids",
        "each job ends for its caller each time; in the end all are ok, and any process is told the same",
        f"nobody waits longer than the deadline and {_LATE_S:g} s",
        callers,
    ),
)
