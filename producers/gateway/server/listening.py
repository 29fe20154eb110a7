"""The address that a server of ours listens on."""

import os
import socket

from producers.errors import Unavailable
from producers.gateway.settings import GatewaySettings

_BACKLOG = 2_048  # connections that wait to be taken


def listen(settings: GatewaySettings) -> socket.socket:
    """Return a socket that listens where *settings* say; raise Unavailable if the address cannot be had."""
    return listen_at(settings.host, settings.port, "ION_GATEWAY_PORT")


def listen_at(host: str, port: int, variable: str) -> socket.socket:
    """Return a socket that listens at *host* and *port*, which *variable* sets; raise Unavailable."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        resolving = isinstance(error, socket.gaierror) or error.errno is None
        reason = "no such address here" if resolving else os.strerror(error.errno or 0).lower()
        raise Unavailable(
            f"the address {host}:{port}",
            f"{reason}; set {variable} to another port",
        ) from None
    listener.set_inheritable(True)
    return listener
