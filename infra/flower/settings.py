"""Settings of Flower, from ``ION_FLOWER_*`` environment variables or passed in."""

import ipaddress
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from workers.contract.settings import IonSettings

USER = "ion"  # whose password is made where none is given


class FlowerSettings(IonSettings):
    """Where Flower listens, whom it lets in, and how much it keeps.

    How it reaches the fleet is the workers' settings (``ION_BROKER_URL`` and the rest).
    """

    model_config = SettingsConfigDict(env_prefix="ION_FLOWER_", frozen=True, hide_input_in_errors=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=5555, ge=1, le=65_535, description="TCP port to listen on")
    basic_auth: SecretStr | None = Field(
        default=None, description="who may look, as user:password, several by commas; none: one is made"
    )
    read_only: bool = Field(default=True, description="look only; false: also stop workers, revoke tasks")
    cookie_secret: SecretStr | None = Field(
        default=None, description="signs sessions where Flower asks an OAuth provider; none: one is made"
    )
    max_tasks: int = Field(default=5_000, ge=100, le=100_000, description="rows kept, 5 kB each")
    save_every_s: int = Field(default=60, ge=5, description="how often its rows are written down")
    dashboards_url: str | None = Field(
        default=None, description="the gateway whose /dashboards to link to; `ion up` names its own"
    )

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - not bound here
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def users(self) -> str:
        """Who may look, by name."""
        if self.basic_auth is None:
            return USER
        return ", ".join(one.partition(":")[0] for one in self.basic_auth.get_secret_value().split(","))

    @field_validator("host")
    @classmethod
    def _is_address(cls, host: str) -> str:
        """Refuse an empty address, too: to Flower it means every interface."""
        if host != "localhost":
            ipaddress.ip_address(host)
        return host

    @field_validator("basic_auth")
    @classmethod
    def _names_users(cls, secret: SecretStr | None) -> SecretStr | None:
        given = [] if secret is None else secret.get_secret_value().split(",")
        if not all(user and password for user, _, password in (one.partition(":") for one in given)):
            raise ValueError("it takes user:password, several by commas")
        return secret

    @field_validator("dashboards_url")
    @classmethod
    def _is_link(cls, url: str | None) -> str | None:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("it takes an address with http:// or https://")
        return url.rstrip("/") if url else None

    @model_validator(mode="after")
    def _acts_at_home(self) -> Self:
        if not self.read_only and self.host not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError(
                "a Flower that may act speaks plain HTTP, so it stays on a loopback address; "
                "leave ION_FLOWER_READ_ONLY, or let a proxy with TLS reach it there"
            )
        return self
