"""The HTTP gateway beside the stack: its settings, its command, and how it tells that it is ready.

Source: ``producers/gateway/settings.py``; its processes stop within ``drain_s`` and ``stop_grace_s``.
"""

import sys
from collections.abc import Mapping

from infra.local.commands import answers_http
from infra.local.errors import AddressTaken
from infra.local.process import ProcessSpec
from infra.local.settings import LocalSettings
from producers.errors import Unavailable
from producers.gateway.server.listening import listen
from producers.gateway.settings import GatewaySettings, is_loopback

_STOP_S = 4.0  # beyond what requests get: to end the rest and leave the broker


def gateway_beside(local: LocalSettings) -> GatewaySettings:
    """Return the settings of the gateway to the stack of *local*.

    It lets everybody in where that is only who uses this machine: on a loopback address, with a broker of
    the stack's own, and unless ION_GATEWAY_ANONYMOUS says otherwise.  It shows metrics, unless
    ION_GATEWAY_METRICS says otherwise.
    """
    settings = GatewaySettings()
    if "metrics" not in settings.model_fields_set:
        settings = settings.model_copy(update={"metrics": True})
    if "anonymous" in settings.model_fields_set or local.broker_url is not None:
        return settings
    return settings.model_copy(update={"anonymous": is_loopback(settings.host)})


def gateway_spec(settings: GatewaySettings, local: LocalSettings, env: Mapping[str, str]) -> ProcessSpec:
    """Return the gateway; *env* leads it to the fleet."""
    return ProcessSpec(
        name="gateway",
        argv=(sys.executable, "-m", "producers.gateway"),
        env={  # the rest it reads as we do
            **env,
            "ION_GATEWAY_ANONYMOUS": str(settings.anonymous),
            "ION_GATEWAY_METRICS": str(settings.metrics),
        },
        ready=lambda: answers_http(f"{settings.url}/livez"),
        where=settings.url,
        ready_timeout_s=local.start_timeout_s,
        stop_grace_s=settings.drain_s + settings.stop_grace_s + _STOP_S,
    )


def check_address(settings: GatewaySettings) -> None:
    """Raise AddressTaken if somebody else listens where the gateway is to listen."""
    try:
        listen(settings).close()
    except Unavailable as error:
        raise AddressTaken("gateway", error.what, error.why) from None
