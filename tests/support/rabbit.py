"""A RabbitMQ node of our own, to stop and kill: its name, ports and data are apart from the machine's."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.support.wait import wait_until

_START_S = 120.0
_END_S = 30.0


def rabbitmq_scripts() -> Path | None:
    """Return the directory of RabbitMQ's own scripts (Debian's wrappers insist on their user), if any."""
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    if found and shutil.which("erl"):
        return found[-1].parent
    return None


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RabbitNode:
    """One node; its data survives ``stop`` and ``kill``, and goes with its directory."""

    def __init__(self, scripts: Path, directory: Path) -> None:
        self._scripts, self._directory = scripts, directory
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"
        plugins = directory / "plugins"
        plugins.write_text("[].\n")
        self._env = {
            **os.environ,
            "HOME": str(directory),  # the cookie's place
            "RABBITMQ_NODENAME": f"ion-{uuid.uuid4().hex[:8]}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "RABBITMQ_CONFIG_FILE": str(directory / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "none.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "generated"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        }

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        self._process = subprocess.Popen(
            [str(self._scripts / "rabbitmq-server")],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self._listens, _START_S, "RabbitMQ takes connections")

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def control(self, *arguments: str) -> str:
        """Run RabbitMQ's own command on it and return what that says."""
        command = [str(self._scripts / "rabbitmqctl"), "--quiet", *arguments]
        return subprocess.run(
            command, env=self._env, check=True, capture_output=True, text=True, timeout=120
        ).stdout

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        try:
            process.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):  # the helpers it started
                os.killpg(process.pid, signal.SIGKILL)
        wait_until(lambda: not self._lives(process.pid), _END_S, "RabbitMQ has ended")

    def _lives(self, group: int) -> bool:
        """Say whether something of it is left: the shell that began it ends before the node does."""
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return self._listens()
        return True

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


@contextlib.contextmanager
def rabbit_node() -> Iterator[RabbitNode]:
    """Run a node of our own; RuntimeError where RabbitMQ is not installed."""
    scripts = rabbitmq_scripts()
    if scripts is None:
        raise RuntimeError("RabbitMQ is not installed here")
    with tempfile.TemporaryDirectory(prefix="ion", ignore_cleanup_errors=True) as directory:
        node = RabbitNode(scripts, Path(directory))
        try:
            node.start()
            yield node
        finally:
            node.kill()
