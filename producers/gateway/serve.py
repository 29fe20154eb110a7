"""Run the gateway until SIGTERM: one process, or several that share the port.

On SIGTERM a process first says that it is not ready and goes on answering for ``drain_s``, so that a load
balancer turns away; then it takes no more connections, finishes what is open, and ends.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from producers.errors import Unavailable
from producers.gateway.protocol import PatientProtocol
from producers.gateway.settings import GatewaySettings

_FACTORY = "producers.gateway.serve:from_environment"
_BACKLOG = 2_048  # connections that wait to be taken
_PARENT_CHECK_S = 1.0

logger = logging.getLogger(__name__)


def serve(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or Ctrl-C; raise Unavailable if the address cannot be had.

    Every process builds its gateway from the environment, so *settings* that differ from it matter for the
    address and the number of processes only.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    listener = _listen(settings)
    config = uvicorn.Config(
        _FACTORY,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.processes,
        loop="uvloop",
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # a line a request costs more than the request, and paths may name people
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        timeout_keep_alive=max(1, round(settings.idle_timeout_s)),
        timeout_graceful_shutdown=max(1, round(settings.stop_grace_s)),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    if settings.processes == 1:
        uvicorn.Server(config).run(sockets=[listener])
    else:
        Multiprocess(config, sockets=[listener]).run()


def from_environment() -> ASGIApp:
    """Return the gateway that this process's environment describes."""
    from producers.gateway.app import build_gateway  # noqa: PLC0415 - the parent of several needs none of it
    from producers.settings import ClientSettings  # noqa: PLC0415

    return build_gateway(GatewaySettings(), ClientSettings())


@contextlib.asynccontextmanager
async def stopping_well(drain: Callable[[], None], drain_s: float) -> AsyncIterator[None]:
    """Within the block, SIGTERM first calls *drain* and takes effect after *drain_s*.

    The server's own handler is in place when an application starts; a second SIGTERM reaches it at once.  A
    process whose parent is gone stops as well, since it would hold the port.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, stop = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

    def stop_now() -> None:
        if callable(stop):
            stop(signal.SIGTERM, None)

    def begin() -> None:
        drain()
        loop.call_later(drain_s, stop_now)

    def on_term(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, stop)
        loop.call_soon_threadsafe(begin)

    async def stop_with_parent(parent: int) -> None:
        while os.getppid() == parent:
            await asyncio.sleep(_PARENT_CHECK_S)
        logger.warning("the parent process is gone; stopping")
        begin()

    signal.signal(signal.SIGTERM, on_term)
    watching = asyncio.create_task(stop_with_parent(os.getppid()))
    try:
        yield
    finally:
        watching.cancel()


def _listen(settings: GatewaySettings) -> socket.socket:
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        reason = (error.strerror or type(error).__name__).lower()
        raise Unavailable(
            f"the address {place}", f"{reason}; choose another with --port or ION_GATEWAY_PORT"
        ) from None
    listener.set_inheritable(True)
    return listener
