"""A real gateway process for tests: a port of its own, in front of a real stack."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from infra.local.stack import LocalStack
from tests.support.wait import wait_until

_ROOT = Path(__file__).parents[2]
UNLIMITED = "1000000/second"  # of a test's callers, who do what a thousand would
_START_S, _STOP_S = 30.0, 20.0
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


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
    environment: Mapping[str, str],
    directory: Path,
    /,
    *,
    anonymous: bool = True,
    program: str = "producers.gateway",
    **settings: object,
) -> Iterator[Running]:
    """Run a gateway to the stack that *environment* leads to; *settings* are those of GatewaySettings."""
    port = free_port()
    given = {"port": port, "anonymous": anonymous, **settings}
    variables = {f"ION_GATEWAY_{name.upper()}": str(value) for name, value in given.items()}
    log_file = directory / f"gateway-{port}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", program],
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


@contextlib.contextmanager
def standing_still(stack: LocalStack) -> Iterator[None]:
    """Hold the workers of *stack* where they are: what is sent meanwhile waits."""
    pids = [row.pid for row in stack.processes() if row.name.startswith("worker") and row.pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def environment_of(stack: LocalStack) -> dict[str, str]:
    """Return the variables that lead a gateway to *stack*."""
    return {**stack.urls.environment(), "ION_STATE_DIR": str(stack.settings.state_dir)}


def shape(value: object) -> object:
    """Return what *value* consists of: names of types for values, and ``timestamp`` for UTC in ISO 8601."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        parts: list[object] = []
        for part in map(shape, value):
            parts += [] if part in parts else [part]
        return parts
    if isinstance(value, str) and _TIMESTAMP.fullmatch(value):
        return "timestamp"
    return "number" if type(value) in (int, float) else type(value).__name__


def follow(client: httpx.Client, url: str, after: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield (id, event, data) of each server-sent event at *url*, until the stream ends."""
    headers = {"Last-Event-ID": after} if after else {}
    with client.stream("GET", f"{url}/events", headers=headers) as answer:
        assert answer.status_code == httpx.codes.OK, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        event: dict[str, str] = {}
        for line in answer.iter_lines():
            if not line and event:
                yield event["id"], event["event"], json.loads(event["data"])
                event = {}
            elif line and not line.startswith(":"):
                name, _, text = line.partition(": ")
                event[name] = text


def ended(client: httpx.Client, url: str) -> Any:
    """Return the state of the job at *url* once it has ended."""
    state: Any = {}

    def has_ended() -> bool:
        answer = client.get(url)
        state.update(answer.json())
        return answer.status_code == httpx.codes.OK and state["status"] != "pending"

    wait_until(has_ended, 30.0, "the job ended")
    return state


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
