"""Settings of the embedded stack, from ``ION_*`` environment variables, and what children inherit."""

import os
from pathlib import Path
from typing import Literal, Self

import psutil
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from workers.contract.addresses import reply_url_of
from workers.contract.settings import IonSettings
from workers.observability.settings import LogFormat

MOST_WORKERS = 4  # by default; more is a choice, since each takes about 100 MB


def default_workers() -> int:
    """Return one worker per core this process may use, at most MOST_WORKERS."""
    affinity = getattr(psutil.Process(), "cpu_affinity", None)  # absent on macOS
    cores = len(affinity()) if affinity is not None else os.cpu_count()
    return min(cores or 1, MOST_WORKERS)


class LocalSettings(IonSettings):
    """What runs on this machine, and where.

    With ``broker_url`` given, no Valkey is started and the workers use that server.  With ``cache_url``
    given, no cache server is started; empty, it means no cache, like ``cache`` false.  An empty
    ``database_url`` means no database.  URLs may hold a password, hence the secret type.
    """

    model_config = SettingsConfigDict(env_prefix="ION_", frozen=True, hide_input_in_errors=True)

    state_dir: Path = Field(default=Path(".ion"), description="data, socket and lock of the stack")
    broker_url: SecretStr | None = Field(default=None, description="an external broker, as a Celery URL")
    reply_url: SecretStr | None = Field(default=None, description="external Redis/Valkey for replies")
    broker_memory_mb: int = Field(
        default=1024, ge=8, description="room of the embedded broker for queues and replies, in MiB"
    )
    cache: bool = Field(default=True, description="keep answers for the next who asks; false: compute each")
    cache_url: SecretStr | None = Field(default=None, description="external Redis/Valkey for cached answers")
    cache_memory_mb: int = Field(default=256, ge=8, description="room of the embedded cache server, in MiB")
    database_url: SecretStr | None = Field(
        default=None, description="SQLite or PostgreSQL for dead letters and bulk runs; default: ion.db here"
    )
    workers: int = Field(default_factory=default_workers, ge=1, le=256, description="worker processes")
    worker_pool: Literal["solo", "threads", "prefork"] = Field(default="solo", description="Celery's pool")
    worker_concurrency: int = Field(default=1, ge=1, le=256, description="batches at once per worker")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: LogFormat = Field(
        default="auto", description="json, human, or auto: human, behind each process's name"
    )
    start_timeout_s: float = Field(default=60.0, gt=0, description="patience with one process's start")
    stop_grace_s: float = Field(default=8.0, ge=0, description="time to finish before SIGKILL")
    beat: bool = Field(default=True, description="run Celery beat for periodic work; of several, one leads")
    gateway: bool = Field(
        default=False, description="run the HTTP gateway, see ION_GATEWAY_HOST and _PORT; `ion up` does"
    )
    flower: bool = Field(
        default=False, description="run Flower, see ION_FLOWER_HOST and _PORT; `ion up` does"
    )

    @field_validator("state_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().resolve()  # children and the socket's name need it whole

    @model_validator(mode="after")
    def _know_the_reply_store(self) -> Self:
        if self.broker_url is not None and self.reply_url is None:
            reply_url_of(self.broker_url.get_secret_value())  # raises where there is none
        return self

    @property
    def embeds_database(self) -> bool:
        """Whether the stack's database is a file in its directory.

        Beside an external broker it is not: other machines of the fleet could not look into that file, and
        dead letters are kept in one place.
        """
        return self.database_url is None and self.broker_url is None

    @property
    def embeds_cache(self) -> bool:
        """Whether the stack runs a cache server of its own.

        Beside an external broker it does not: the fleet may have other machines, and what is invalidated
        must be so for all of them, which takes one cache that all are told of.
        """
        return self.cache and self.cache_url is None and self.broker_url is None


def child_environment() -> dict[str, str]:
    """Return this process's environment, safe to start our modules with from any directory.

    Python and Celery look for modules in the current directory first, so a ``workers`` package or a
    ``celeryconfig.py`` of the caller's own project would be run in place of ours.  Our directory goes
    first and the current one last; it stays on the path, since Celery would otherwise put it in front.
    """
    ours = str(Path(__file__).resolve().parents[2])
    inherited = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    path = list(dict.fromkeys([ours, *inherited, str(Path.cwd())]))
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "SPT_NOENV": "1",  # setproctitle, which Celery uses where installed, must spare our marker
    }
