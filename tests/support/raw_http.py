"""HTTP by hand over a socket, for what no client library would send; and a small server to send it to."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from producers.gateway.server.protocol import PatientProtocol
from tests.support.wait import wait_until

PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def refusal(self) -> dict[str, Any]:
        """Return what was wrong, having checked the form in which it is told."""
        assert self.headers["content-type"] == "application/json"
        told = json.loads(self.body)
        assert list(told) == ["success", "error", "request_id", "timestamp"]
        assert list(told["error"]) == ["code", "message", "field"]
        assert told["success"] is False
        assert told["request_id"] == self.headers["x-request-id"]
        error: dict[str, Any] = told["error"]
        return error

    def code(self) -> str:
        """Return the code of a refusal."""
        code: str = self.refusal()["code"]
        return code


class Line:
    """One connection to a server on this machine."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(("127.0.0.1", port))
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> "Line":
        """Send *data*; that the server has hung up shows when it is asked for its answer."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)
        return self

    def answer(self, method: str = "GET") -> Answer:
        """Return the next response; *method* is that of the request, since HEAD has no body."""
        status = int(self._line().split(b" ")[1])
        headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if method == "HEAD" or status in (100, 204):
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, b"".join(self._chunks()))
        return Answer(status, headers, self._file.read(int(headers["content-length"])))

    def is_closed(self) -> bool:
        """Tell whether the server hangs up, without another byte."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def is_closed_though_it_gets(self, data: bytes, every_s: float = 0.02) -> bool:
        """Tell whether the server hangs up on whoever sends *data* over and over."""
        deadline = time.monotonic() + PATIENCE_S
        self.socket.settimeout(every_s)
        while time.monotonic() < deadline:
            try:
                self.socket.sendall(data)
                if self.socket.recv(65_536) == b"":
                    return True
            except TimeoutError:
                continue
            except OSError:
                return True
        return False

    def _line(self) -> bytes:
        line = self._file.readline()
        assert line.endswith(b"\r\n"), f"the connection ended after {line!r}"
        return line[:-2]

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line(), 16):
            yield self._file.read(size)
            self._line()
        self._line()


def ask(port: int, data: bytes, method: str = "GET") -> Answer:
    """Return the response to *data*, on a connection of its own."""
    with Line(port) as line:
        return line.send(data).answer(method)


@dataclass(frozen=True, slots=True)
class SmallServer:
    """A server in a thread of this process."""

    port: int
    server: uvicorn.Server

    def connections(self) -> int:
        """Return how many callers it has."""
        return len(self.server.server_state.connections)

    def tasks(self) -> int:
        """Return how many requests are under way."""
        return len(self.server.server_state.tasks)


@contextlib.contextmanager
def serving(app: ASGIApp, protocol: type[PatientProtocol], keep_alive_s: int = 30) -> Iterator[SmallServer]:
    """Serve *app* with *protocol* on a port of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=1_024) as listener:
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            loop="uvloop",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=keep_alive_s,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="small server")
        thread.start()
        try:
            wait_until(lambda: server.started, PATIENCE_S, "the server listens")
            yield SmallServer(listener.getsockname()[1], server)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
