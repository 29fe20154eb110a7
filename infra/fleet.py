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
            stack = LocalStack(LocalSettings())
            stack.start()
        except StackError as error:
            raise Unavailable("the stack", str(error)) from None
        try:
            yield _client(stack.urls.broker_url, stack.urls.reply_url)
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
        return _client(running.urls.broker_url, running.urls.reply_url)


def _client(broker_url: str, reply_url: str) -> "ClientSettings":
    from pydantic import SecretStr  # noqa: PLC0415

    from producers.settings import ClientSettings  # noqa: PLC0415

    settings = ClientSettings()
    return settings.model_copy(
        update={
            "broker_url": SecretStr(broker_url),
            "reply_url": SecretStr(reply_url) if settings.reply_url is None else settings.reply_url,
        }
    )


def sections() -> list[Section]:
    """Return the settings of every part, the workers' as the stack here would give them."""
    from pydantic import SecretStr  # noqa: PLC0415

    from infra.local.settings import LocalSettings  # noqa: PLC0415
    from infra.local.urls import resolve  # noqa: PLC0415
    from workers.settings import WorkerSettings  # noqa: PLC0415

    local = LocalSettings()
    if local.broker_url is not None:
        return [*client_sections(), Section("stack", local), Section("worker", WorkerSettings())]
    urls = resolve(local, stack_socket(local))
    worker = WorkerSettings(broker_url=SecretStr(urls.broker_url), reply_url=SecretStr(urls.reply_url))
    return [
        *client_sections(),
        Section("stack", local),
        Section("worker", worker, frozenset({"broker_url", "reply_url"})),
    ]


def stack_socket(settings: "LocalSettings") -> Path:
    """Return where the server of the stack here listens; raise InvalidInput when it cannot."""
    from infra.local.directory import socket_path  # noqa: PLC0415
    from infra.local.errors import UnsafeDirectory  # noqa: PLC0415

    try:
        return socket_path(settings.state_dir, Path(tempfile.gettempdir()).resolve())
    except UnsafeDirectory as error:
        raise InvalidInput(
            "ION_STATE_DIR", f"cannot hold a socket: {error.path} {error.problem}", error.fix
        ) from None
