"""Flower beside the stack: its settings, its command, and how it tells that it is ready.

Source: ``infra/flower``; ``celery flower --help`` 2.2.
"""

from collections.abc import Mapping
from pathlib import Path

import infra.flower
from infra.flower.settings import FlowerSettings
from infra.local.commands import CELERY, answers_http
from infra.local.errors import AddressTaken
from infra.local.process import ProcessSpec
from infra.local.settings import LocalSettings
from producers.errors import Unavailable
from producers.gateway.server.listening import listen_at
from producers.gateway.settings import GatewaySettings

CONFIGURATION = Path(infra.flower.__file__).with_name("flowerconfig.py")


def flower_command() -> tuple[str, ...]:
    """Return Flower's command; what it may and keeps is in its configuration."""
    return (*CELERY, "flower", f"--conf={CONFIGURATION}")


def flower_beside(gateway: GatewaySettings | None) -> FlowerSettings:
    """Return the settings of the Flower of a stack, whose links lead to its *gateway*, if it has one."""
    settings = FlowerSettings()
    if "dashboards_url" in settings.model_fields_set or gateway is None:
        return settings
    return settings.model_copy(update={"dashboards_url": gateway.url})


def check_address(settings: FlowerSettings) -> None:
    """Raise AddressTaken if somebody else listens where Flower is to listen."""
    try:
        listen_at(settings.host, settings.port, "ION_FLOWER_PORT").close()
    except Unavailable as error:
        raise AddressTaken("flower", error.what, error.why) from None


def flower_spec(settings: FlowerSettings, local: LocalSettings, env: Mapping[str, str]) -> ProcessSpec:
    """Return Flower, which nobody waits for: the fleet answers without it."""
    return ProcessSpec(
        name="flower",
        argv=flower_command(),
        env={**env, "ION_FLOWER_DASHBOARDS_URL": settings.dashboards_url or ""},  # the rest it reads as we do
        ready=lambda: answers_http(f"{settings.url}/healthcheck"),
        where=f"{settings.url}, user {settings.users}",
        ready_timeout_s=local.start_timeout_s,
        stop_grace_s=3.0,  # to write its rows down
        awaited=False,
    )
