"""``ion gateway`` and the gateway of ``ion up``, as users run them."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import psutil
import pytest

from infra.local.state import find_running
from tests.support.gateway import free_port
from tests.support.processes import left_of
from tests.support.wait import wait_until

ION = Path(sys.executable).with_name("ion")
QUESTION = {"user_input": "배포가 또 실패했어요. 어떻게 해야 하죠?"}
START_S = 60.0
QUIET_STACK = {"ION_WORKERS": "1", "ION_FLOWER": "false"}
EVERYWHERE = "0.0.0.0"  # noqa: S104 - it is refused


class Command:
    """``ion`` with *words*, in a process of its own; what it says goes to a file."""

    def __init__(self, directory: Path, *words: str, **settings: str) -> None:
        self._log = directory / "said.txt"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ION_")}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [ION, *words],
                cwd=directory,
                env={**clean, **QUIET_STACK, "ION_STATE_DIR": str(directory / "ion"), **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        """Return what it has said so far, as one line."""
        return " ".join(self._log.read_text(encoding="utf-8").split())

    def serves(self, url: str) -> bool:
        """Say whether it serves at *url*; fail the test if it has ended."""
        assert self.process.poll() is None, self.said()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/livez", timeout=2).status_code == httpx.codes.OK
        return False

    def end(self, how: signal.Signals) -> int:
        """Ask it to stop, and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(30)


@contextlib.contextmanager
def ion(directory: Path, *words: str, **settings: str) -> Iterator[Command]:
    """Run ``ion`` within the block."""
    command = Command(directory, *words, **settings)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.end(signal.SIGTERM)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_gateway_serves_until_it_is_stopped(
    stack_env: Mapping[str, str], tmp_path: Path, port: int, processes: str, how: signal.Signals
) -> None:
    words = ("gateway", "--port", str(port), "--processes", processes)
    with ion(tmp_path, *words, **stack_env, ION_GATEWAY_ANONYMOUS="true") as command:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: command.serves(url), START_S, "the gateway serves")
        assert httpx.post(f"{url}/api/v2/process", json=QUESTION, timeout=20).json()["success"] is True
        assert command.end(how) == 0
    assert f"serving on {url}" in command.said()
    assert "Traceback" not in command.said()


def test_without_a_fleet_the_gateway_says_so_and_serves(tmp_path: Path, port: int) -> None:
    with ion(tmp_path, "gateway", ION_GATEWAY_PORT=str(port), ION_GATEWAY_ANONYMOUS="true") as command:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: command.serves(url), START_S, "the gateway serves")
        answer = httpx.post(f"{url}/api/v2/process", json=QUESTION, timeout=20)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert command.said().startswith("no fleet runs here yet")


def refused(directory: Path, *words: str, **settings: str) -> tuple[int, str]:
    """Return exit code and last line of an ``ion gateway`` that does not serve."""
    with ion(directory, "gateway", *words, **settings) as command:
        code = command.process.wait(30)
    assert "Traceback" not in command.said()
    return code, command.said().partition("error: ")[2]


def test_a_gateway_that_cannot_serve_says_why_in_a_line(tmp_path: Path, port: int) -> None:
    code, said = refused(tmp_path, "--host", EVERYWHERE, ION_GATEWAY_ANONYMOUS="true")
    assert (code, "anonymous use is for loopback addresses only" in said) == (3, True)

    code, said = refused(tmp_path, ION_GATEWAY_TLS_CERT="/none", ION_GATEWAY_TLS_KEY="/none")
    assert (code, "ION_GATEWAY_TLS_CERT" in said) == (3, True)

    with socket.create_server(("127.0.0.1", port)):
        code, said = refused(tmp_path, "--port", str(port))
    assert (code, f"127.0.0.1:{port}" in said, "ION_GATEWAY_PORT" in said) == (3, True, True)

    code, said = refused(tmp_path, ION_GATEWAY_PROCESSES="many")
    assert (code, said.startswith("ION_GATEWAY_PROCESSES is not valid")) == (2, True)


def test_up_brings_a_gateway_that_comes_back_when_it_dies(tmp_path: Path, port: int) -> None:
    with ion(tmp_path, "up", ION_GATEWAY_PORT=str(port)) as up:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: "Ctrl-C stops everything" in up.said(), START_S, "everything is up")
        assert f"curl {url}/api/v2/process" in up.said()
        assert httpx.post(f"{url}/api/v2/process", json=QUESTION, timeout=20).json()["success"] is True

        (first,) = gateways(up)
        first.kill()
        wait_until(lambda: "gateway ended (signal 9)" in up.said() and up.serves(url), START_S, "it is back")
        assert gateways(up) != [first]
        assert up.end(signal.SIGINT) == 0
    assert left_of(tmp_path / "ion") == []


def gateways(up: Command) -> list[psutil.Process]:
    """Return the gateways that *up* runs."""
    children = psutil.Process(up.process.pid).children(recursive=True)
    return [child for child in children if "producers.gateway" in child.cmdline()]


def test_up_does_not_begin_at_a_port_that_is_taken(tmp_path: Path, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)), ion(tmp_path, "up", ION_GATEWAY_PORT=str(port)) as up:
        assert up.process.wait(30) == 1
        assert f"127.0.0.1:{port} is not available" in up.said()
        assert "--no-gateway" in up.said()
    assert left_of(tmp_path / "ion") == []


@pytest.mark.parametrize(("words", "settings"), [(["--no-gateway"], {}), ([], {"ION_GATEWAY": "false"})])
def test_up_without_a_gateway(tmp_path: Path, port: int, words: list[str], settings: dict[str, str]) -> None:
    with (
        socket.create_server(("127.0.0.1", port)),
        ion(tmp_path, "up", *words, ION_GATEWAY_PORT=str(port), **settings) as up,
    ):
        wait_until(lambda: "Ctrl-C stops everything" in up.said(), START_S, "everything is up")
        assert find_running(tmp_path / "ion") is not None
        assert "curl" not in up.said()
        assert gateways(up) == []
