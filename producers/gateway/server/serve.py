"""Run the gateway until SIGTERM or Ctrl-C: one process, or several that share the port.

On the signal a process first says that it is not ready, ends its event streams and goes on answering for
``drain_s``, so that a load balancer turns away.  Then it takes no more connections and finishes what is open.
What is still open after ``stop_grace_s`` more is answered with 503; jobs that were accepted go on elsewhere.
"""

import functools
import gc
import logging
import math
import signal
import socket
import ssl
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from persona_system.errors import PersonaError
from producers.errors import ProducerError, Unavailable
from producers.gateway.server.listening import listen
from producers.gateway.server.protocol import PatientProtocol
from producers.gateway.server.stopping import STOP_SIGNALS
from producers.gateway.settings import GatewaySettings
from workers.observability.logs import handler_of
from workers.observability.settings import ObservabilitySettings
from workers.store.errors import StoreError

if TYPE_CHECKING:
    from producers.settings import ClientSettings

LAST_S = 2.0  # for the responses of what was given up
_SILENCE_S = 30  # a process that does not answer its parent for so long hangs; a busy machine takes seconds

_GARBAGE = (10_000, 20, 50)  # requests leave few cycles: looking as often as by default takes 13 % of the CPU

logger = logging.getLogger(__name__)


def serve(settings: GatewaySettings, fleet: "ClientSettings") -> None:
    """Serve *fleet* until SIGTERM or Ctrl-C; raise Unavailable if the address cannot be had.

    Call it in the main thread.  It ends the process (exit code 3) when the gateway cannot be built.
    """
    _set_up_logging(settings)
    _check_certificate(settings)
    listener = listen(settings)
    logger.info("serving on %s", settings.url)
    if settings.processes > 1:
        with tempfile.TemporaryDirectory(prefix="ion-gateway-") as counts_dir:
            _serve_several(_config(settings, fleet, Path(counts_dir)), listener)
        return
    for number in STOP_SIGNALS:  # the server raises the signal that stopped it again when it has stopped
        signal.signal(number, _do_nothing)
    uvicorn.Server(_config(settings, fleet)).run(sockets=[listener])


def _config(
    settings: GatewaySettings, fleet: "ClientSettings", counts_dir: Path | None = None
) -> uvicorn.Config:
    return uvicorn.Config(
        functools.partial(_build, settings, fleet, counts_dir),
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
        timeout_graceful_shutdown=math.ceil(settings.stop_grace_s + LAST_S),
        timeout_worker_healthcheck=_SILENCE_S,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )


class _Processes(Multiprocess):
    """Several processes at one port."""

    def terminate_all(self) -> None:
        """Stop all; whoever connects is refused as soon as the last of them takes no more connections."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def _serve_several(config: uvicorn.Config, listener: socket.socket) -> None:
    together = _Processes(config, sockets=[listener])
    together.run()
    if any(process.exitcode == STARTUP_FAILURE for process in together.processes):
        sys.exit(STARTUP_FAILURE)


def _build(settings: GatewaySettings, fleet: "ClientSettings", counts_dir: Path | None) -> ASGIApp:
    """Return the gateway; end the process if there cannot be one, since trying again would not help."""
    from producers.gateway.app import build_gateway  # noqa: PLC0415 - the parent of several needs none of it

    _set_up_logging(settings)
    try:
        app = build_gateway(settings, fleet, counts_dir)
    except (ProducerError, PersonaError, StoreError) as error:
        logger.error("the gateway cannot start: %s", error)  # noqa: TRY400 - no fault of ours, no traceback
        sys.exit(STARTUP_FAILURE)
    gc.freeze()  # what there is by now stays for good
    gc.set_threshold(*_GARBAGE)
    return app


def _set_up_logging(settings: GatewaySettings) -> None:
    style = ObservabilitySettings().log_format
    handler = handler_of(sys.stderr, style, settings.region, "%(levelname)s %(name)s: %(message)s")
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    pass


def _check_certificate(settings: GatewaySettings) -> None:
    if settings.tls_cert is None or settings.tls_key is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or type(error).__name__
        raise Unavailable(
            "the TLS certificate", f"{reason}; set ION_GATEWAY_TLS_CERT and ION_GATEWAY_TLS_KEY to a PEM pair"
        ) from None
