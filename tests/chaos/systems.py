"""The systems under test, as the harness sees them: hand over jobs, read outcomes, run workers.

``Ours`` is the product on Redis/Valkey or RabbitMQ, fed and read below its client, so that every reply
counts; ``Stock`` is bare Celery.  A system is used by two threads: one publishes, one reads.
"""

import itertools
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import redis
from celery import Celery

from infra.local.commands import worker_command
from infra.local.settings import LocalSettings
from producers.broker import BrokerPublisher
from tests.chaos.stock_worker import QUEUE, TASK, create_stock_app
from tests.support.oracle import Witness
from workers.contract import names
from workers.contract.addresses import reply_url_of
from workers.contract.payloads import Batch, Job, Reply
from workers.contract.wire import compress, decompress
from workers.transport.servers import open_redis

TEXT = "Why does my build fail again?"
_encode = msgspec.msgpack.Encoder().encode
_decode_reply = msgspec.msgpack.Decoder(Reply).decode

Ended = list[tuple[str, str]]  # job id, status
Way = Callable[[str], str]  # the broker's URL for the worker of this name: a proxy's, say


class System(Protocol):
    """What a scenario needs of a system."""

    def publish(self, job_ids: Sequence[str]) -> None:
        """Hand over jobs that travel together; when it raises, it is unknown whether they were taken."""

    def ended(self) -> Ended:
        """Return the outcomes that came since the last call; raise what the server's client raises."""

    def worker_command(self, worker: str) -> tuple[str, ...]:
        """Return a worker's command line."""

    def worker_env(self, worker: str) -> Mapping[str, str]:
        """Return what a worker's environment needs."""

    def close(self) -> None:
        """Give the connections back."""


class Ours:
    """The product.  *deadline_s* None: jobs do not expire; *durable*: their outcomes are kept by id.

    Replies are read by position and never taken off the list, so that a read that fails loses none.
    """

    def __init__(
        self,
        broker_url: str,
        reply_url: str,
        witness_url: str,
        directory: Path,
        *,
        queue: str = names.INTERACTIVE,
        way: Way | None = None,
        pool: str = "solo",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.reply_to = uuid.uuid4().hex[:16]
        self.durable = False
        self.deadline_s: float | None = None
        self.use_cache = False
        self._queue, self._pool, self._way = queue, pool, way
        self._directory, self._witness_url = directory, witness_url
        self._env = {
            "ION_BROKER_URL": broker_url,
            "ION_REPLY_URL": reply_url,
            "ION_CACHE_URL": "",
            "ION_LOG_LEVEL": "WARNING",
            "ION_STATE_DIR": str(directory),
            "ION_DATABASE_URL": f"sqlite:///{directory}/ion.db",
            **(settings or {}),
        }
        self._urls = broker_url, reply_url
        self._key: str | None = None
        self._texts: Iterator[str] = itertools.repeat(TEXT)
        self._publisher = BrokerPublisher(broker_url, 2.0, 4.0)
        self._replies: redis.Redis = open_redis(reply_url, socket_timeout=5)
        self._read = 0
        self._seen: set[int] = set()
        self._published = ("", b"", 0)

    def beside(self, queue: str, key: str, texts: Sequence[str]) -> "Ours":
        """Return another producer, of work for *queue* on *texts*, whose *key* spares the analyser."""
        other = Ours(*self._urls, self._witness_url, self._directory, queue=queue)
        other._key, other._texts = key, itertools.cycle(texts)
        return other

    def publish(self, job_ids: Sequence[str]) -> None:
        """Publish one batch."""
        self._published = self._packed(job_ids)
        self.publish_again()

    def publish_again(self) -> None:
        """Publish the last batch once more, as it was."""
        batch_id, payload, jobs = self._published
        self._publisher.publish(names.PERSONA_PROCESS, self._queue, batch_id, payload, jobs)

    def _packed(self, job_ids: Sequence[str]) -> tuple[str, bytes, int]:
        batch = Batch(
            id=uuid.uuid4().hex,
            reply_to=self.reply_to,
            sent_ms=int(time.time() * 1000),
            jobs=[msgspec.Raw(_encode(self._job(job_id))) for job_id in job_ids],
            bulk=True if self._queue == names.BULK else msgspec.UNSET,
        )
        return batch.id, compress(_encode(batch)), len(job_ids)

    def _job(self, job_id: str) -> Job:
        deadline = None if self.deadline_s is None else int((time.time() + self.deadline_s) * 1000)
        return Job(
            id=job_id,
            text=f"{job_id}|{next(self._texts)}",
            key=self._key,
            durable=self.durable,
            deadline_ms=deadline,
            use_cache=self.use_cache,
        )

    def ended(self) -> Ended:
        """Read the replies that came since the last call."""
        key = names.reply_key(self.reply_to)
        try:
            packed: Any = self._replies.lrange(key, self._read, self._read + 255)
        except redis.RedisError:
            self._read = 0  # the server that comes back may hold fewer: see them all again
            raise
        self._read += len(packed)
        fresh = [one for one in packed if hash(one) not in self._seen]  # two replies to a batch do differ
        self._seen.update(map(hash, fresh))
        replies = [_decode_reply(decompress(one)) for one in fresh]
        return [(outcome.id, str(outcome.status)) for reply in replies for outcome in reply.outcomes]

    def worker_command(self, worker: str) -> tuple[str, ...]:
        """Return the command that ``ion up`` uses, with our analyser."""
        settings = LocalSettings.model_validate(
            {"state_dir": self._directory, "worker_pool": self._pool, "log_level": "WARNING"}
        )
        command = worker_command(settings, int(worker.removeprefix("worker")))
        return tuple("tests.chaos.our_worker" if word == "workers.entry" else word for word in command)

    def worker_env(self, worker: str) -> Mapping[str, str]:
        """Return where the servers are."""
        env = {**self._env, "CHAOS_WITNESS_URL": self._witness_url, "CHAOS_WORKER": worker}
        if self._way is not None:
            url = self._way(worker)
            env |= {"ION_BROKER_URL": url, "ION_REPLY_URL": reply_url_of(url)}
        return env

    def close(self) -> None:
        """Give the connections back."""
        self._publisher.close()
        self._replies.close()


class Stock:
    """Bare Celery: one job a message, its effect noted with the witness."""

    def __init__(
        self,
        broker_url: str,
        witness_url: str,
        *,
        prefetch: int = 4,
        way: Way | None = None,
        pool: str = "prefork",
    ) -> None:
        self._broker_url, self._way = broker_url, way
        self._prefetch, self._pool, self._witness_url = prefetch, pool, witness_url
        self._app: Celery = create_stock_app(broker_url)
        self._witness = Witness(witness_url)

    def publish(self, job_ids: Sequence[str]) -> None:
        """Send one message a job."""
        with self._app.producer_pool.acquire(block=True) as producer:
            for job_id in job_ids:
                self._app.send_task(TASK, (job_id,), queue=QUEUE, producer=producer, retry=False)

    def ended(self) -> Ended:
        """Return the effects that were noted since the last call."""
        return [(job_id, "ok") for job_id in self._witness.ended()]

    def worker_command(self, worker: str) -> tuple[str, ...]:
        """Return the command of its manual, with two children."""
        return (
            *(sys.executable, "-m", "celery", "--quiet", "-A", "tests.chaos.stock_worker", "worker"),
            *("-n", f"{worker}@stock", "-Q", QUEUE, f"--pool={self._pool}", "--concurrency=2"),
            *("--loglevel=WARNING", "--without-gossip", "--without-mingle"),
        )

    def worker_env(self, worker: str) -> Mapping[str, str]:
        """Return where the servers are."""
        return {
            "CHAOS_STOCK_URL": self._broker_url if self._way is None else self._way(worker),
            "CHAOS_PREFETCH": str(self._prefetch),
            "CHAOS_WITNESS_URL": self._witness_url,
            "CHAOS_WORKER": worker,
        }

    def close(self) -> None:
        """Give the connections back."""
        self._app.close()
        self._witness.close()
