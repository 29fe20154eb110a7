"""Settings of the HTTP gateway, from ``ION_GATEWAY_*`` environment variables or passed in."""

import ipaddress
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from producers.gateway.access.rate_notation import parse_rate
from workers.contract.settings import REGION, IonSettings

_ON_THIS_MACHINE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - every interface has the loopback's


class GatewaySettings(IonSettings):
    """Where the gateway listens, whom it lets in, and what it refuses.

    How it reaches the fleet is the client's settings (``ION_BROKER_URL`` and the rest).
    """

    model_config = SettingsConfigDict(env_prefix="ION_GATEWAY_", frozen=True, hide_input_in_errors=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=1, le=65_535, description="TCP port to listen on")
    processes: int = Field(default=1, ge=1, le=64, description="processes that share the port")
    tls_cert: Path | None = Field(default=None, description="certificate chain (PEM); none: plain HTTP")
    tls_key: Path | None = Field(default=None, description="the certificate's private key (PEM)")
    trusted_proxies: str = Field(
        default="", description="addresses or networks whose X-Forwarded-For is believed, by commas"
    )

    anonymous: bool = Field(
        default=False, description="let everybody in, as a service; for a demo on a loopback address only"
    )
    jwt_keys: str | None = Field(
        default=None, description="file or https:// URL of the JWKS that signs the tokens; none: no tokens"
    )
    jwt_issuer: str | None = Field(default=None, description="the iss that a token must have")
    jwt_audience: str | None = Field(default=None, description="the aud that a token must have")
    jwt_role_claim: str = Field(default="role", description="the claim that holds user, service or admin")

    rate_limit_key: str = Field(
        default="1000/second", description="jobs of one key or token subject, e.g. 600/minute"
    )
    rate_limit_address: str = Field(
        default="1000/second", description="jobs of one address without credentials"
    )
    rate_limit_refused: str = Field(default="30/minute", description="refused credentials of one address")

    max_body_kb: int = Field(default=4_096, ge=1, le=65_536, description="largest request body, in KiB")
    max_header_kb: int = Field(default=8, ge=1, le=64, description="all headers of a request, in KiB")
    body_timeout_s: float = Field(default=10.0, gt=0, description="patience with a request's body")
    idle_timeout_s: float = Field(default=30.0, gt=0, description="how long an idle connection is kept")
    max_wait_s: float = Field(default=60.0, gt=0, description="longest wait that a caller may ask for")
    async_deadline_s: float = Field(
        default=300.0, gt=0, description="time to live of a job that nobody waits for (respond-async)"
    )
    drain_s: float = Field(
        default=0.0, ge=0, description="how long it is not ready, yet answers, before it stops"
    )
    stop_grace_s: float = Field(default=6.0, gt=0, description="time for open requests when it stops")

    cors_origins: tuple[str, ...] = Field(
        default=(),
        description='origins of web apps that may call, as a JSON list, e.g. ["https://a.example"]',
    )
    docs: bool = Field(default=True, description="serve the documentation at /docs, /redoc and /openapi.json")
    metrics: bool = Field(default=False, description="serve /metrics for Prometheus")
    dashboards: bool = Field(default=True, description="serve the dashboards at /dashboards")
    region: str = Field(
        default="local",
        pattern=REGION,
        description="what /api/v2/status calls this place",
    )

    @property
    def url(self) -> str:
        """Where this machine reaches the gateway."""
        host = _ON_THIS_MACHINE.get(self.host, self.host)
        scheme = "http" if self.tls_cert is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @field_validator("rate_limit_key", "rate_limit_address", "rate_limit_refused")
    @classmethod
    def _is_rate(cls, notation: str) -> str:
        parse_rate(notation)
        return notation

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.anonymous and not is_loopback(self.host):
            raise ValueError(
                "anonymous use is for loopback addresses only; create keys with `ion keys create`, "
                "or set ION_GATEWAY_HOST=127.0.0.1"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together; set both or none")
        if "*" in self.cors_origins:
            raise ValueError("cors_origins takes origins, not *; name the web apps that may call")
        return self


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach *host*."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
