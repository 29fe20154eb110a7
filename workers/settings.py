"""Settings of a worker process, from ``ION_*`` environment variables."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from workers.contract.addresses import reply_url_of
from workers.contract.settings import REGION
from workers.observability.settings import ObservabilitySettings


class WorkerSettings(ObservabilitySettings):
    """What a worker needs to know; ``broker_url`` is the only one without a default.

    URLs may hold a password, hence the secret type: it prints masked.
    """

    model_config = SettingsConfigDict(env_prefix="ION_", frozen=True, hide_input_in_errors=True)

    broker_url: SecretStr = Field(description="the broker, as a Celery URL")
    reply_url: SecretStr | None = Field(
        default=None, description="Redis/Valkey for replies; by default the broker's server"
    )
    reply_timeout_s: float = Field(default=2.0, gt=0, description="patience with the reply store")
    region: str = Field(
        default="local", pattern=REGION, description="where this worker runs: us, eu, asia, or your own name"
    )
    max_text_chars: int = Field(default=32_768, ge=1, description="longest message accepted")
    catalogue_dir: Path | None = Field(default=None, description="personas, matrix, templates; default: ours")
    hard_limit_s: float = Field(default=20.0, gt=0, description="a job that takes longer ends its worker")
    monitoring: bool = Field(
        default=True, description="measure the work, and report it to the reply store every 5 s"
    )
    trail: bool = Field(default=True, description="note of each batch what `ion jobs trace` shows")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    ready_file: Path | None = Field(default=None, description="touched when ready, removed when not")

    database_url: SecretStr | None = Field(
        default=None, description="SQLite or PostgreSQL for dead letters; none: they stay on their queue"
    )
    dead_retention_days: float = Field(
        default=30.0, gt=0, description="how long a dead letter is kept after it last changed"
    )
    dead_max_letters: int = Field(
        default=100_000, ge=1, description="dead letters kept; beyond them the oldest go"
    )

    cache_url: SecretStr | None = Field(
        default=None, description="Redis/Valkey for cached answers; none: every answer is computed"
    )
    cache_timeout_ms: float = Field(
        default=100.0,
        gt=0,
        description="patience with the cache server; beyond it, the cache is off until the server is back",
    )
    cache_entries: int = Field(default=1_500, ge=0, description="answers kept in the process itself; 0: none")
    cache_mb: float = Field(default=4.0, gt=0, description="memory for the answers kept in the process")
    cache_warm: int = Field(default=1_500, ge=0, description="most asked answers fetched at the start")
    cache_prefetch: bool = Field(default=True, description="compute what will probably be asked next")

    @field_validator("cache_url", "database_url")
    @classmethod
    def _empty_is_none(cls, url: SecretStr | None) -> SecretStr | None:
        return url if url is not None and url.get_secret_value() else None  # ION_CACHE_URL= switches it off

    @model_validator(mode="after")
    def _know_the_reply_store(self) -> Self:
        if self.reply_url is None:
            reply_url_of(self.broker_url.get_secret_value())  # raises where there is none
        return self

    @property
    def effective_reply_url(self) -> str:
        """The reply store's redis-py URL: the given one, or the broker's own server."""
        if self.reply_url is not None:
            return self.reply_url.get_secret_value()
        return reply_url_of(self.broker_url.get_secret_value())
