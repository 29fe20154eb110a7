"""Settings of a client, from ``ION_*`` environment variables or passed in."""

import json
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from producers.errors import Unavailable
from workers.contract.addresses import NoReplyStore, reply_url_of
from workers.contract.wire import MAX_MESSAGE_BYTES, MAX_MESSAGE_JOBS


class ClientSettings(BaseSettings):
    """How a client reaches the fleet, how it gathers jobs into batches, and when it refuses work.

    Without ``broker_url`` the client looks for a stack that runs on this machine in ``state_dir``.
    URLs may hold a password, hence the secret type: it prints masked.
    """

    model_config = SettingsConfigDict(env_prefix="ION_", frozen=True, hide_input_in_errors=True)

    broker_url: SecretStr | None = Field(default=None, description="the broker, as a Celery URL")
    reply_url: SecretStr | None = Field(
        default=None, description="Redis/Valkey for replies; by default the broker's server"
    )
    state_dir: Path = Field(default=Path(".ion"), description="where a local stack keeps its files")

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
    max_queue_age_s: float = Field(default=10.0, gt=0, description="age of the oldest unanswered batch")

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

    def _local_broker_url(self) -> str:
        try:
            stack = json.loads((self.state_dir / "stack.json").read_text(encoding="utf-8"))
            return str(stack["broker_url"])
        except (OSError, ValueError, KeyError):
            raise Unavailable(
                "the fleet",
                f"no stack runs in {self.state_dir}; start one with `ion up` or set ION_BROKER_URL",
            ) from None
