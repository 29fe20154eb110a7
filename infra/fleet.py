"""The fleet of a command on this machine, and the settings of every part of it."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from persona_system.errors import InvalidInput
from producers.cli.collaborators import Section, Tell, client_sections

if TYPE_CHECKING:
    from infra.local.settings import LocalSettings
    from infra.local.urls import StackUrls
    from producers.settings import ClientSettings

STARTING = "no stack is running here, starting one for this command; `ion up` keeps one running"


class LocalFleet:
    """The fleet that is configured, else the stack that runs here, else one started for a command."""

    @contextlib.contextmanager
    def reach(self, tell: Tell) -> Iterator["ClientSettings"]:
        """Give the settings of a client that reaches it; raise Unavailable when it does not start."""
        from infra.local.errors import StackError  # noqa: PLC0415
        from infra.local.settings import LocalSettings  # noqa: PLC0415
        from infra.local.stack import LocalStack  # noqa: PLC0415
        from producers.errors import Unavailable  # noqa: PLC0415

        settings = self.find()
        if settings is not None:
            yield settings
            return
        tell(STARTING)
        try:
            # a command is over before anything periodic is due, and beat takes time to start
            stack = LocalStack(LocalSettings().model_copy(update={"beat": False}))
            stack.start()
        except StackError as error:
            raise Unavailable("the stack", str(error)) from None
        try:
            yield _client(stack.urls)
        finally:
            stack.stop()

    def find(self) -> "ClientSettings | None":
        """Return the settings of a client that reaches the fleet that is there already."""
        from infra.local.state import find_running  # noqa: PLC0415
        from producers.errors import Unavailable  # noqa: PLC0415
        from producers.settings import ClientSettings  # noqa: PLC0415

        settings = ClientSettings()
        if settings.broker_url is not None:
            return settings
        running = find_running(settings.state_dir)
        if running is None:
            return None
        if running.urls is None:
            raise Unavailable("the fleet", "the stack here uses an external broker; set ION_BROKER_URL to it")
        return _client(running.urls)


def _client(urls: "StackUrls") -> "ClientSettings":
    """Return the settings of a client of the stack at *urls*; servers that were named win over its own."""
    from pydantic import SecretStr  # noqa: PLC0415

    from producers.settings import ClientSettings  # noqa: PLC0415

    settings = ClientSettings()
    update = {"broker_url": SecretStr(urls.broker_url)}
    if settings.reply_url is None:
        update["reply_url"] = SecretStr(urls.reply_url)
    if settings.cache_url is None and urls.cache_url is not None:
        update["cache_url"] = SecretStr(urls.cache_url)
    if settings.database_url is None and urls.database_url is not None:
        update["database_url"] = SecretStr(urls.database_url)
    return settings.model_copy(update=update)


def sections() -> list[Section]:
    """Return the settings of every part, the workers' as the stack here would give them."""
    from infra.flower.settings import FlowerSettings  # noqa: PLC0415
    from infra.local.settings import LocalSettings  # noqa: PLC0415
    from infra.local.urls import resolve  # noqa: PLC0415
    from producers.gateway.settings import GatewaySettings  # noqa: PLC0415
    from workers.monitoring.alerts.settings import AlertSettings  # noqa: PLC0415
    from workers.monitoring.notices.settings import ChannelSettings  # noqa: PLC0415
    from workers.settings import WorkerSettings  # noqa: PLC0415

    local = LocalSettings()
    others = [
        *client_sections(),
        Section("gateway", GatewaySettings()),
        Section("flower", FlowerSettings()),
        Section("alerts", ChannelSettings()),
        Section("rules", AlertSettings()),
        Section("stack", local),
    ]
    if local.broker_url is not None:
        return [*others, Section("worker", WorkerSettings())]
    urls = resolve(local, *stack_sockets(local))
    worker = WorkerSettings.model_validate(
        {
            "broker_url": urls.broker_url,
            "reply_url": urls.reply_url,
            "cache_url": urls.cache_url,
            "database_url": urls.database_url,
        }
    )
    assumed = {"broker_url", "reply_url"}
    assumed |= {"cache_url"} if local.embeds_cache else set()
    assumed |= {"database_url"} if local.embeds_database else set()
    return [*others, Section("worker", worker, frozenset(assumed))]


def stack_sockets(settings: "LocalSettings") -> tuple[Path, Path]:
    """Return where the server and the cache server here listen; raise InvalidInput when they cannot."""
    from infra.local.commands import CACHE_SOCKET  # noqa: PLC0415
    from infra.local.directory import socket_path  # noqa: PLC0415
    from infra.local.errors import UnsafeDirectory  # noqa: PLC0415

    try:
        temp_dir = Path(tempfile.gettempdir()).resolve()
        return (
            socket_path(settings.state_dir, temp_dir),
            socket_path(settings.state_dir, temp_dir, CACHE_SOCKET),
        )
    except UnsafeDirectory as error:
        raise InvalidInput(
            "ION_STATE_DIR", f"cannot hold a socket: {error.path} {error.problem}", error.fix
        ) from None
