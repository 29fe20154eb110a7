"""A gateway inside the test's own process, on a real port: for a door, or a cache, of the test's choice."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import httpx
import uvicorn
from starlette.types import ASGIApp

from producers.gateway.app import build_gateway
from producers.gateway.call import Call
from producers.gateway.caller import Caller
from producers.gateway.settings import GatewaySettings
from producers.settings import ClientSettings
from tests.support.wait import wait_until

ADMIN = Caller("root", "admin", "key")
APP = Caller("shop", "service", "key")


class DoorFor:
    """Lets everybody in as *caller*."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def admit(self, call: Call) -> Caller:
        _ = call
        return self._caller

    async def count(self, call: Call, jobs: int) -> None:
        _ = call, jobs


def gateway_for(caller: Caller, fleet: ClientSettings) -> ASGIApp:
    """Return a gateway to *fleet* to which everybody is *caller*."""
    made = build_gateway(GatewaySettings(anonymous=True), fleet)
    made._door = DoorFor(caller)  # type: ignore[attr-defined]  # the outermost layer, which asks it
    return made


@contextlib.contextmanager
def served(app: ASGIApp) -> Iterator[httpx.Client]:
    """Serve *app* from a thread, and give a client of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), 30, "the gateway serves")
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=20.0) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
