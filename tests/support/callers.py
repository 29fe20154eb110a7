"""Callers of a gateway without pause, who note what became of each request, to the byte.

Plain sockets in an event loop of their own: a client library would hide at which byte a connection ended.
"""

import asyncio
import contextlib
import itertools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

_PAUSE_S = 0.02  # after a refusal
_MOST_BYTES = 2**20
_JOIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller posts; *prefer* is the header of that name."""

    path: str
    body: object
    prefer: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that came whole."""

    status: int
    location: str
    body: Any

    @property
    def code(self) -> str:
        """The code of the error, if it is one."""
        return "" if self.status < 400 else str(self.body["error"]["code"])


class Callers:
    """*count* callers at *port* of the loopback, who post what *next_one* makes of a running number.

    ``refused`` counts connections that were not made, ``closed`` those that ended before the first byte of a
    response, ``cut`` holds what came of responses that broke off.
    """

    def __init__(self, port: int, next_one: Callable[[int], Asked], count: int = 50) -> None:
        self.answers: list[Answer] = []
        self.refused = self.closed = 0
        self.cut: list[bytes] = []
        self._port, self._next_one, self._count = port, next_one, count
        self._numbers = itertools.count()
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), name="callers")

    def accepted(self) -> list[str]:
        """Return where the jobs are that were accepted so far."""
        return [answer.location for answer in self.answers if answer.status == 202]

    def statuses(self) -> set[int]:
        """Return which statuses were answered so far."""
        return {answer.status for answer in self.answers}

    def codes(self) -> set[str]:
        """Return which errors were answered so far."""
        return {answer.code for answer in self.answers} - {""}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(_JOIN_S)
        assert not self._thread.is_alive(), "a caller still waits for an answer"

    async def _all(self) -> None:
        await asyncio.gather(*(self._call_on() for _ in range(self._count)))

    async def _call_on(self) -> None:
        while not self._over.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=_MOST_BYTES)
            except OSError:
                self.refused += 1
                await asyncio.sleep(_PAUSE_S)
                continue
            while not self._over.is_set() and await self._ask(reader, writer):
                pass
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send one request and note what comes; say whether the connection is good for another one."""
        came = b""
        try:
            writer.write(_packed(self._next_one(next(self._numbers))))
            came = await reader.readuntil(b"\r\n\r\n")
            status, headers = _parsed(came)
            body = await reader.readexactly(int(headers["content-length"]))
        except asyncio.IncompleteReadError as error:
            came += error.partial
        except OSError:
            pass
        else:
            self.answers.append(Answer(status, headers.get("location", ""), json.loads(body)))
            return headers.get("connection") != "close"
        if came:
            self.cut.append(came)
        else:
            self.closed += 1
        return False


def _packed(asked: Asked) -> bytes:
    body = json.dumps(asked.body).encode()
    lines = [f"POST {asked.path} HTTP/1.1", "Host: gateway", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}"]
    lines += [f"Prefer: {asked.prefer}"] if asked.prefer else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def _parsed(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value for name, _, value in pairs}
