"""Settings of what operators see of a process, from ``ION_*``: the same for workers, beat and gateway."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from workers.contract.settings import IonSettings

LogFormat = Literal["auto", "json", "human"]


class ObservabilitySettings(IonSettings):
    """Where errors and traces go, and how logs are written.  The DSN holds a key, hence the secret type."""

    model_config = SettingsConfigDict(env_prefix="ION_", frozen=True, hide_input_in_errors=True)

    log_format: LogFormat = Field(
        default="auto", description="json, human, or auto: human on a terminal and under `ion up`, else json"
    )
    environment: str = Field(
        default="local",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
        description="what Sentry and traces call this installation: production, staging, ...",
    )
    sentry_dsn: SecretStr | None = Field(
        default=None, description="where unexpected errors, traces and the periodic work's check-ins are sent"
    )
    sentry_traces_sample_rate: float = Field(
        default=0.01, ge=0, le=1, description="share of requests and batches that Sentry gets a trace of"
    )
    otel: bool = Field(
        default=False, description="send OpenTelemetry spans, as the standard OTEL_* variables say"
    )

    @field_validator("sentry_dsn")
    @classmethod
    def _empty_is_no_dsn(cls, dsn: SecretStr | None) -> SecretStr | None:
        return dsn if dsn is not None and dsn.get_secret_value() else None
