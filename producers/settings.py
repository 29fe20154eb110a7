"""Settings of a client, from ``ION_*`` environment variables or passed in."""

import json
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from producers.admission import QueueLimits
from producers.errors import Unavailable
from workers.contract.addresses import NoReplyStore, reply_url_of
from workers.contract.names import BULK
from workers.contract.settings import REGION, IonSettings
from workers.contract.wire import MAX_MESSAGE_BYTES, MAX_MESSAGE_JOBS

_NO_STACK = (OSError, ValueError)  # no note, or none that can be read


class ClientSettings(IonSettings):
    """How a client reaches the fleet, how it gathers jobs into batches, and when it refuses work.

    Without ``broker_url`` the client looks for a stack that runs on this machine in ``state_dir``.  The
    cache is that stack's, or the one that ``cache_url`` names; an empty ``cache_url`` means no cache.
    URLs may hold a password, hence the secret type: it prints masked.
    """

    model_config = SettingsConfigDict(env_prefix="ION_", frozen=True, hide_input_in_errors=True)

    broker_url: SecretStr | None = Field(default=None, description="the broker, as a Celery URL")
    reply_url: SecretStr | None = Field(
        default=None, description="Redis/Valkey for replies; by default the broker's server"
    )
    state_dir: Path = Field(default=Path(".ion"), description="where a local stack keeps its files")
    catalogue_dir: Path | None = Field(
        default=None, description="personas of the fleet's workers, for the gateway; default: ours"
    )

    deadline_s: float = Field(default=30.0, gt=0, description="a job's time to live unless it says its own")
    max_text_chars: int = Field(default=32_768, ge=1, description="longest message accepted")

    linger_ms: float = Field(default=2.0, ge=0, description="how long a busy client gathers a batch")
    max_batch_jobs: int = Field(
        default=512, ge=1, le=MAX_MESSAGE_JOBS, description="jobs in one message on the queue"
    )
    max_batch_bytes: int = Field(
        default=262_144, ge=1024, le=MAX_MESSAGE_BYTES, description="size of one message on the queue"
    )

    connect_timeout_s: float = Field(default=0.8, gt=0, description="patience with a server that is away")
    publish_timeout_s: float = Field(default=1.2, gt=0, description="patience with a broker that is silent")

    max_pending_jobs: int = Field(default=100_000, ge=1, description="unanswered jobs of this client")
    max_queue_batches: int = Field(default=2_000, ge=1, description="messages waiting on a queue")
    max_queue_age_s: float = Field(default=10.0, gt=0, description="age of a queue's oldest message")
    max_bulk_batches: int = Field(default=5_000, ge=1, description="messages waiting on the bulk queue")
    max_bulk_age_s: float = Field(default=1_800.0, gt=0, description="age of the bulk queue's oldest message")
    max_memory_ratio: float = Field(
        default=0.85, gt=0, lt=1, description="share of the broker's memory beyond which no work is sent"
    )
    max_bulk_memory_ratio: float = Field(
        default=0.7, gt=0, lt=1, description="share of the broker's memory beyond which no bulk work is sent"
    )

    rate_limit_per_s: float | None = Field(
        default=None, gt=0, description="jobs a second sent by all clients with the same key; none: no limit"
    )
    rate_limit_burst: int = Field(
        default=512, ge=1, description="jobs that the rate limit lets through at once"
    )
    rate_limit_key: str = Field(default="default", description="clients with the same key share a rate limit")

    trace_url: str | None = Field(
        default=None,
        description="where a trace is shown, with {trace_id} for its id; `ion jobs trace` prints it",
    )
    region: str = Field(
        default="local", pattern=REGION, description="where this client is: us, eu, asia, or your own name"
    )
    monitoring: bool = Field(
        default=True, description="measure how jobs end, and report it to the reply store every 5 s"
    )

    cache_url: SecretStr | None = Field(
        default=None,
        description="Redis/Valkey for cached answers; by default the local stack's; empty: no cache",
    )
    cache_timeout_ms: float = Field(
        default=100.0,
        gt=0,
        description="patience with the cache server; beyond it, the cache is off until the server is back",
    )
    cache_entries: int = Field(default=1_500, ge=0, description="answers kept in the process itself; 0: none")
    cache_mb: float = Field(default=8.0, gt=0, description="memory for the answers kept in the process")

    database_url: SecretStr | None = Field(
        default=None,
        description="SQLite or PostgreSQL for dead letters and bulk runs; default: ion.db of the local stack",
    )

    def queue_limits(self, queue: str) -> QueueLimits:
        """Return beyond which *queue* takes no more work: bulk may wait, and leaves room for the rest."""
        if queue == BULK:
            return QueueLimits(self.max_bulk_batches, self.max_bulk_age_s, self.max_bulk_memory_ratio)
        return QueueLimits(self.max_queue_batches, self.max_queue_age_s, self.max_memory_ratio)

    def urls(self) -> tuple[str, str]:
        """Return (broker URL, reply URL); raise Unavailable when nothing says where the fleet is."""
        if self.broker_url is not None:
            broker = self.broker_url.get_secret_value()
        else:
            broker = self._local_broker_url()
        if self.reply_url is not None:
            return broker, self.reply_url.get_secret_value()
        try:
            return broker, reply_url_of(broker)
        except NoReplyStore as error:
            raise Unavailable("the reply store", str(error)) from None

    def cache_address(self) -> str | None:
        """Return the redis-py URL of the cache server; None: there is no cache.

        A fleet on an external broker has the cache that it is told: any other one, such as a server of
        this machine's stack, would not hear of what is invalidated elsewhere.
        """
        if self.cache_url is not None:
            return self.cache_url.get_secret_value() or None
        if self.broker_url is not None:
            return None
        try:
            url = self._local_stack().get("cache_url")
        except _NO_STACK:
            return None
        return None if url is None else str(url)

    def database_address(self) -> str:
        """Return the database's URL for ``workers.store``: the given one, or the file in ``state_dir``."""
        given = "" if self.database_url is None else self.database_url.get_secret_value()
        return given or f"sqlite:///{self.state_dir.expanduser().absolute() / 'ion.db'}"

    def _local_broker_url(self) -> str:
        try:
            return str(self._local_stack()["broker_url"])
        except (*_NO_STACK, KeyError):
            raise Unavailable(
                "the fleet",
                f"no stack runs in {self.state_dir}; start one with `ion up` or set ION_BROKER_URL",
            ) from None

    def _local_stack(self) -> dict[str, Any]:
        """Return the note that the stack in ``state_dir`` left."""
        note = json.loads((self.state_dir / "stack.json").read_text(encoding="utf-8"))
        if not isinstance(note, dict):
            raise ValueError(note)  # noqa: TRY004 - as any other note that cannot be read
        return note
