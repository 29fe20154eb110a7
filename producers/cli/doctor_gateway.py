"""What the doctor checks of the HTTP gateway that the environment describes, if it runs.

Units: latencies in milliseconds.
"""

import http.client
import ssl
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from producers.cli.collaborators import Check

if TYPE_CHECKING:
    from producers.gateway.settings import GatewaySettings

_DOOR = "gateway's door"
_PATIENCE_S = 2.0
_ASKED = "/api/v2/personas"  # takes credentials, and no fleet


def gateway_checks() -> Iterator[Check]:
    """Yield whether the gateway answers, and whom it lets in."""
    from producers.gateway.settings import GatewaySettings  # noqa: PLC0415

    settings = GatewaySettings()
    try:
        started = time.perf_counter()
        live, _ = _get(settings, "/livez")
        took_ms = (time.perf_counter() - started) * 1000
        asked, ours = _get(settings, _ASKED)
    except ConnectionRefusedError:
        yield Check("gateway", "ok", f"none runs at {settings.url}; `ion gateway` or `ion up` starts one")
        return
    except (OSError, http.client.HTTPException) as error:
        fix = "look at its log; another program at its port? then set ION_GATEWAY_PORT to another one"
        yield Check("gateway", "warn", f"{settings.url} does not answer: {type(error).__name__}", fix)
        return
    if live != HTTPStatus.OK or not ours:
        fix = "set ION_GATEWAY_PORT to the gateway's port, or to a free one"
        yield Check("gateway", "warn", f"what answers at {settings.url} is no gateway", fix)
        return
    yield Check("gateway", "ok", f"answers at {settings.url} in {took_ms:.1f} ms")
    keys = 0 if asked == HTTPStatus.OK else _usable_keys()
    yield door_check(anonymous=asked == HTTPStatus.OK, keys=keys, tokens=settings.jwt_keys is not None)


def door_check(*, anonymous: bool, keys: int, tokens: bool) -> Check:
    """Check whom the gateway lets in: everybody if *anonymous*, else who has one of *keys*, or a token."""
    if anonymous:
        fix = "for more than a trial, unset ION_GATEWAY_ANONYMOUS and create keys with `ion keys create`"
        return Check(_DOOR, "warn", "lets in everybody on this machine, without credentials", fix)
    if not keys and not tokens:
        fix = "create one with `ion keys create NAME --role service`"
        return Check(_DOOR, "warn", "lets in nobody: there is no key", fix)
    found = f"takes {keys:,} key{'' if keys == 1 else 's'}"
    return Check(_DOOR, "ok", f"{found}, and tokens" if tokens else found)


def _usable_keys() -> int:
    """Return how many keys are good now; raise StoreError."""
    from producers.cli.operator import database, now_ms  # noqa: PLC0415
    from workers.store.api_keys import ApiKeyStore  # noqa: PLC0415

    with database() as store:
        if store.file is not None and not store.file.exists():
            return 0
        return len(ApiKeyStore(store).usable(now_ms()))


def _get(settings: "GatewaySettings", path: str) -> tuple[int, bool]:
    """Return the status of *path*, and whether it is a gateway of ours that says so."""
    parts = urlsplit(settings.url)
    host, port = parts.hostname or "", parts.port
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE_S)
    if parts.scheme == "https":
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # whether it answers, not whether it is trusted
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=_PATIENCE_S, context=trusting)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("X-API-Version") is not None
    finally:
        connection.close()
