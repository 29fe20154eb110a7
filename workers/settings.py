"""Settings of a worker process, from ``ION_*`` environment variables."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from workers.contract.addresses import reply_url_of


class WorkerSettings(BaseSettings):
    """What a worker needs to know; ``broker_url`` is the only one without a default.

    URLs may hold a password, hence the secret type: it prints masked.
    """

    model_config = SettingsConfigDict(env_prefix="ION_", frozen=True, hide_input_in_errors=True)

    broker_url: SecretStr = Field(description="the broker, as a Celery URL")
    reply_url: SecretStr | None = Field(
        default=None, description="Redis/Valkey for replies; by default the broker's server"
    )
    reply_timeout_s: float = Field(default=2.0, gt=0, description="patience with the reply store")
    max_text_chars: int = Field(default=32_768, ge=1, description="longest message accepted")
    catalogue_dir: Path | None = Field(default=None, description="personas, matrix, templates; default: ours")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    ready_file: Path | None = Field(default=None, description="touched when ready, removed when not")
    sentry_dsn: SecretStr | None = Field(default=None, description="where unexpected errors are reported")

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
