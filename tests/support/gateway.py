"""A real gateway process for tests: a port of its own, in front of a real stack."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.wait import wait_until

_ROOT = Path(__file__).parents[2]
_START_S, _STOP_S = 30.0, 20.0


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that answers at *url*; *log* is what it has written so far, on stderr and stdout."""

    url: str
    port: int
    process: "subprocess.Popen[bytes]"
    log_file: Path

    def log(self) -> str:
        """Return what it has written."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def client(self, **given: object) -> httpx.Client:
        """Return a client of it."""
        return httpx.Client(base_url=self.url, timeout=20.0, **given)  # type: ignore[arg-type]

    def terminate(self) -> int:
        """Ask it to stop, as a supervisor does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_S)


@contextlib.contextmanager
def gateway(
    environment: Mapping[str, str], directory: Path, /, *, anonymous: bool = True, **settings: object
) -> Iterator[Running]:
    """Run a gateway to the stack that *environment* leads to; *settings* are those of GatewaySettings."""
    port = free_port()
    given = {"port": port, "anonymous": anonymous, **settings}
    variables = {f"ION_GATEWAY_{name.upper()}": str(value) for name, value in given.items()}
    log_file = directory / f"gateway-{port}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "producers.gateway"],
            cwd=_ROOT,
            env={**os.environ, **environment, **variables},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Running(f"http://127.0.0.1:{port}", port, process, log_file)
    try:
        wait_until(lambda: _answers(running), _START_S, "the gateway answers")
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _answers(running: Running) -> bool:
    if running.process.poll() is not None:
        raise AssertionError(f"the gateway ended:\n{running.log()}")
    try:
        httpx.get(f"{running.url}/livez", timeout=2.0)
    except httpx.TransportError:
        return False
    return True
