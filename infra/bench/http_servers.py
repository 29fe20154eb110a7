"""The servers that are measured, as processes: the gateway before a stack of its own, and the bare one.

Units: MB are 10^6 bytes.
"""

import http.client
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.local.process import ProcessSpec
from infra.local.settings import LocalSettings, child_environment
from infra.local.stack import LocalStack, ignore_line
from infra.local.supervisor import Supervisor
from workers.store.api_keys import ApiKeyStore, make_key
from workers.store.engine import open_store

_MB = 1_000_000
_NO_LIMIT = "1000000/second"  # counted as every other
_UVICORN = ("--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers at *url*."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """Return the CPU time that it has taken so far, of all its processes."""
        parent = psutil.Process(self.pid)
        times = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
        return float(sum(time.user + time.system for time in times))

    def memory_mb(self) -> dict[str, float]:
        """Return what it takes: resident, and of that its own alone."""
        memory = psutil.Process(self.pid).memory_full_info()
        return {"rss": round(memory.rss / _MB, 1), "uss": round(memory.uss / _MB, 1)}


@contextmanager
def fleet() -> Iterator[Mapping[str, str]]:
    """Run two workers with a cache; give the environment that leads to them."""
    with tempfile.TemporaryDirectory(prefix="ion-bench-") as directory:
        local = LocalSettings(
            state_dir=Path(directory),
            broker_url=None,
            reply_url=None,
            cache=True,
            cache_url=None,
            workers=2,
            beat=False,
            log_level="WARNING",
        )
        with LocalStack(local) as stack:
            yield stack.urls.environment()


def new_api_key(fleet: Mapping[str, str]) -> str:
    """Return an API key for the gateways to *fleet*."""
    key, text = make_key("bench", "service", None, int(time.time() * 1000), None)
    store = open_store(fleet["ION_DATABASE_URL"])
    try:
        ApiKeyStore(store).add(key)
    finally:
        store.close()
    return text


@contextmanager
def gateway(fleet: Mapping[str, str], processes: int = 1) -> Iterator[Server]:
    """Run a gateway to *fleet* that lets everybody in, with a key or without, within limits nobody meets."""
    port = free_port()
    settings = {
        "PORT": port,
        "PROCESSES": processes,
        "ANONYMOUS": True,
        "RATE_LIMIT_KEY": _NO_LIMIT,
        "RATE_LIMIT_ADDRESS": _NO_LIMIT,
    }
    environment = {f"ION_GATEWAY_{name}": str(value) for name, value in settings.items()}
    with _running(
        "gateway", ("producers.gateway",), port, "/api/v2/health", {**fleet, **environment}
    ) as server:
        yield server


@contextmanager
def bare() -> Iterator[Server]:
    """Run the bare server."""
    port = free_port()
    command = ("uvicorn", "infra.bench.http_bare:app", "--port", str(port), *_UVICORN)
    with _running("bare", command, port, "/openapi.json", {}) as server:
        yield server


@contextmanager
def _running(
    name: str, command: tuple[str, ...], port: int, path: str, environment: Mapping[str, str]
) -> Iterator[Server]:
    spec = ProcessSpec(
        name=name,
        argv=(sys.executable, "-m", *command),
        env=environment,
        ready=lambda: _answers(port, path),
    )
    supervisor = Supervisor([[spec]], ignore_line, inherited=child_environment())
    try:
        supervisor.start()
        pid = supervisor.status()[0].pid
        if pid is None:
            raise RuntimeError(f"{name} has ended")
        yield Server(f"http://127.0.0.1:{port}", pid)
    finally:
        supervisor.stop()


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
