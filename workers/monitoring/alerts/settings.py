"""Where the rules are: ``ION_ALERT_RULES``."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from workers.contract.settings import IonSettings


class AlertSettings(IonSettings):
    """What workers and commands that deal with alerts need to know of the rules."""

    model_config = SettingsConfigDict(env_prefix="ION_", frozen=True, hide_input_in_errors=True)

    alert_rules: Path | None = Field(
        default=None, description="TOML file that changes the alert rules or adds others; none: ours"
    )

    @field_validator("alert_rules", mode="before")
    @classmethod
    def _empty_is_none(cls, given: object) -> object:
        return given or None
