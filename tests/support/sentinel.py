"""A master, a replica and three sentinels of our own, on free ports of the loopback."""

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.support.rabbit import free_port
from tests.support.valkey import VALKEY
from tests.support.wait import wait_until

MASTER = "ion-test"
PASSWORD = "for the servers"  # noqa: S105 - of servers that live for one test
SENTINEL_PASSWORD = "for the sentinels"  # noqa: S105
_QUORUM = 2


class Failover:
    """The servers, by port; ``url`` is what people would write."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.servers = [free_port(), free_port()]
        self.sentinels = [free_port() for _ in range(3)]
        nodes = [f"sentinel://:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.sentinels[0]}"]
        nodes += [f"sentinel://127.0.0.1:{port}" for port in self.sentinels[1:]]
        secret = SENTINEL_PASSWORD.replace(" ", "%20")
        self.url = f"{';'.join(nodes)}/0?master_name={MASTER}&sentinel_password={secret}"

    def start(self) -> None:
        """Start all; return when each sentinel knows the master, its replica and the other sentinels."""
        first, second = self.servers
        self._start_server(first)
        self._start_server(second, "--replicaof", "127.0.0.1", str(first))
        wait_until(lambda: self._is_replica_in_step(second), 60, "the replica follows")
        for port in self.sentinels:
            self._start_sentinel(port, first)
        wait_until(
            lambda: all(map(self._knows_all, self.sentinels)),
            60,
            "the sentinels know each other",
        )

    def master(self) -> int:
        """Return the port of the master, as the sentinels have it."""
        with self._sentinel(self.sentinels[0]) as sentinel:
            return int(sentinel.sentinel_get_master_addr_by_name(MASTER)[1])

    def kill(self, port: int) -> None:
        """End a server as a crash would."""
        process = self._processes.pop(port)
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    def stop(self) -> None:
        """End all that still run."""
        for port in list(self._processes):
            self.kill(port)

    def _start_server(self, port: int, *more: str) -> None:
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(self._directory),
            "dbfilename": f"{port}.rdb",
            "save": "",
            "requirepass": PASSWORD,
            "masterauth": PASSWORD,
            "repl-diskless-sync-delay": "0",
            "logfile": str(self._directory / f"{port}.log"),
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._processes[port] = subprocess.Popen([VALKEY, *words, *more])
        wait_until(lambda: self._answers(port, PASSWORD), 30, "the server answers")

    def _start_sentinel(self, port: int, master: int) -> None:
        file = self._directory / f"sentinel-{port}.conf"
        file.write_text(
            f'port {port}\nbind 127.0.0.1\ndir "{self._directory}"\nlogfile "{file}.log"\n'
            f'requirepass "{SENTINEL_PASSWORD}"\nsentinel sentinel-pass "{SENTINEL_PASSWORD}"\n'
            f"sentinel monitor {MASTER} 127.0.0.1 {master} {_QUORUM}\n"
            f'sentinel auth-pass {MASTER} "{PASSWORD}"\n'
            f"sentinel down-after-milliseconds {MASTER} 1500\nsentinel failover-timeout {MASTER} 10000\n"
        )
        self._processes[port] = subprocess.Popen([VALKEY, str(file), "--sentinel"])
        wait_until(lambda: self._answers(port, SENTINEL_PASSWORD), 30, "the sentinel answers")

    def _answers(self, port: int, password: str) -> bool:
        with (
            redis.Redis(port=port, password=password) as client,
            contextlib.suppress(redis.RedisError),
        ):
            return bool(client.ping())
        return False

    def _is_replica_in_step(self, port: int) -> bool:
        with redis.Redis(port=port, password=PASSWORD) as client:
            return bool(client.info("replication")["master_link_status"] == "up")

    def _knows_all(self, port: int) -> bool:
        with self._sentinel(port) as sentinel:
            state = sentinel.sentinel_masters().get(MASTER)
        return bool(state) and state["num-slaves"] == 1 and state["num-other-sentinels"] == 2

    def _sentinel(self, port: int) -> redis.Redis:
        return redis.Redis(port=port, password=SENTINEL_PASSWORD)


@contextlib.contextmanager
def failover() -> Iterator[Failover]:
    """Run the five of them."""
    with tempfile.TemporaryDirectory(prefix="ion") as directory:
        made = Failover(Path(directory))
        try:
            made.start()
            yield made
        finally:
            made.stop()
