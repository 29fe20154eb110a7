"""A TCP proxy that does to connections what networks do: silence, resets, delay, little bandwidth.

One thread with its own event loop; the target is a unix socket or (host, port).  ``black_hole`` holds
what is connected now open and silent, as a cut cable does; new connections get through, unless
``closed``.  Units: seconds, bytes per second.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Weather:
    """How the network is: each chunk is late by *delay_s*, and resets its connection with *reset_chance*."""

    delay_s: float = 0.0
    reset_chance: float = 0.0
    bytes_per_s: float | None = None
    refuses: bool = False


class _Link:
    """One client's connection and its counterpart at the target."""

    def __init__(self, ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self.ends = ends
        self.pumps: list[asyncio.Task[None]] = []
        self.silent = False

    def reset(self) -> None:
        """End both sides with RST, as a crashed host or a firewall does."""
        for writer in self.ends:
            raw: socket.socket = writer.get_extra_info("socket")
            if raw.family != socket.AF_UNIX:
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """Listens on ``port`` of the loopback between ``start`` and ``stop``."""

    def __init__(self, target: str | tuple[str, int], seed: int = 0) -> None:
        self.port = 0
        self.weather = Weather()
        self._target, self._random = target, random.Random(seed)
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        self._run(self._listen())

    def stop(self) -> None:
        """End every connection and the thread."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def change(self, **weather: Any) -> None:
        """Change the weather; see Weather."""
        self.weather = replace(self.weather, **weather)

    def black_hole(self) -> int:
        """Hold every present connection open and silent for good; return how many."""
        return self._on_links(lambda link: setattr(link, "silent", True))

    def reset_all(self) -> int:
        """Reset every present connection; return how many."""
        return self._on_links(_Link.reset)

    def _on_links(self, act: Callable[[_Link], None]) -> int:
        links: list[_Link] = []

        async def each() -> None:  # in the loop's thread
            links.extend(self._links)
            for link in links:
                act(link)

        self._run(each())
        return len(links)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            for pump in link.pumps:
                pump.cancel()  # which ends the link; asyncio complains of a cancelled server callback
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.weather.refuses:
            writer.transport.abort()
            return
        try:
            if isinstance(self._target, str):
                far_reader, far_writer = await asyncio.open_unix_connection(self._target)
            else:
                far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:  # the target is down: so is the way to it
            writer.transport.abort()
            return
        link = _Link((writer, far_writer))
        self._links.add(link)
        link.pumps = [
            asyncio.ensure_future(self._pump(link, reader, far_writer)),
            asyncio.ensure_future(self._pump(link, far_reader, writer)),
        ]
        try:
            await asyncio.wait(link.pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.discard(link)
            for pump in link.pumps:
                pump.cancel()
            await asyncio.gather(*link.pumps, return_exceptions=True)
            for end in link.ends:
                end.transport.abort()

    async def _pump(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                weather = self.weather
                if link.silent:
                    await asyncio.Event().wait()  # for ever: neither data nor the end gets through
                if self._random.random() < weather.reset_chance:
                    link.reset()
                    return
                if weather.delay_s:
                    await asyncio.sleep(weather.delay_s)
                if weather.bytes_per_s is not None:
                    await asyncio.sleep(len(chunk) / weather.bytes_per_s)
                writer.write(chunk)
                await writer.drain()
            if link.silent:
                await asyncio.Event().wait()
