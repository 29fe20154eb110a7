"""A worker inside the test's process: its cache, its tasks, and nothing of Celery."""

import copy
import functools
import time
import uuid
from typing import Any, Self

import msgspec

from persona_system.pipeline import PersonaPipeline, load_pipeline
from tests.support.settling import MemorySettlements
from tests.support.wait import wait_until
from workers.cache.answers import CachedAnswers
from workers.cache.caching import CacheUpkeep, open_cache
from workers.contract.dead_letters import DeadLetter
from workers.contract.payloads import Batch, Job, Outcome, Reply
from workers.contract.wire import decompress
from workers.runtime import Runtime
from workers.settings import WorkerSettings
from workers.tasks import persona

KEY = "calm-medium-learning"
PATIENCE_MS = 2_000  # with the store: these tests break it by killing it, not by being slow


class InProcessWorker:
    """One worker over the store at *url*; another *version* stands for another catalogue.

    Used as a context manager, it waits for its link to the store.
    """

    def __init__(self, url: str, version: str | None = None, **settings: Any) -> None:
        self.pipeline = versioned(version)
        self.bugs: list[str] = []
        given = {"broker_url": "redis://nowhere", "cache_url": url, "cache_timeout_ms": PATIENCE_MS}
        answers, upkeep = open_cache(
            WorkerSettings.model_validate({**given, **settings}),
            self.pipeline,
            lambda doing, error: self.bugs.append(f"{doing}: {type(error).__name__}"),
        )
        assert isinstance(answers, CachedAnswers)
        assert isinstance(upkeep, CacheUpkeep)
        self.answers, self.upkeep = answers, upkeep
        assert answers.cache.redis is not None
        self.redis = answers.cache.redis
        self.runtime = Runtime(
            self.pipeline,
            MemorySettlements(lambda _, packed: self._sent.append(packed)),
            self,
            lambda: time.time() * 1000,
            answers=answers,
            upkeep=upkeep,
        )
        self._sent: list[bytes] = []

    def process(self, *jobs: Job | str, **fields: Any) -> list[Outcome]:
        """Answer *jobs*, or texts with KEY, as one batch."""
        full = [Job(id=str(n), text=j, key=KEY) if isinstance(j, str) else j for n, j in enumerate(jobs)]
        return self._answer(full, fields, recommend=False)

    def recommend(self, *texts: str) -> list[Outcome]:
        """Answer scenarios as one batch."""
        return self._answer([Job(id=text, text=text) for text in texts], {}, recommend=True)

    def counts(self, scope: str) -> dict[str, int]:
        """Return what this worker has counted in *scope* so far."""
        return self.redis.counters.counts().get(scope, {})

    def keep(self, letter: DeadLetter) -> None:
        """Refuse dead letters: there are none in these stories."""
        raise AssertionError(letter.problem)

    def __enter__(self) -> Self:
        wait_until(lambda: self.answers.cache.up, what="the worker's link to the store")
        return self

    def __exit__(self, *_: object) -> None:
        self.runtime.close()

    def _answer(self, jobs: list[Job], fields: dict[str, Any], *, recommend: bool) -> list[Outcome]:
        packed = [msgspec.Raw(msgspec.msgpack.encode(job)) for job in jobs]
        batch = Batch(
            id=uuid.uuid4().hex, reply_to="me", sent_ms=int(time.time() * 1000), jobs=packed, **fields
        )
        task = persona.recommend if recommend else persona.process
        task(msgspec.msgpack.encode(batch), self.runtime)
        reply = msgspec.msgpack.decode(decompress(self._sent.pop()), type=Reply)
        return reply.outcomes


def versioned(version: str | None) -> PersonaPipeline:
    """Return the package's pipeline; with *version*, its answers count as other ones."""
    pipeline = copy.copy(_loaded())
    if version is not None:
        pipeline.version = version
    return pipeline


@functools.cache
def _loaded() -> PersonaPipeline:
    return load_pipeline()
