"""What the commands are given by the program's root, since producers may not know of infra."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from producers.settings import ClientSettings

Tell = Callable[[str], None]
"""Says one line to the user, on stderr."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the doctor looked at: what was *found* and, unless all is well, what to do about it."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    fix: str = ""


class Fleet(Protocol):
    """Finds the fleet for a command, or makes one."""

    def reach(self, tell: Tell) -> AbstractContextManager["ClientSettings"]:
        """Give the settings of a client that reaches a fleet; raise Unavailable when there is none."""

    def find(self) -> "ClientSettings | None":
        """Return such settings if a fleet is there already."""


class ConfiguredFleet:
    """The Null of Fleet: the one that the client's own settings name, and none is ever started."""

    @contextmanager
    def reach(self, tell: Tell) -> Iterator["ClientSettings"]:  # noqa: ARG002 - the protocol's signature
        """Give the client's settings as they are."""
        from producers.settings import ClientSettings  # noqa: PLC0415

        yield ClientSettings()

    def find(self) -> "ClientSettings | None":
        """Return the client's settings if they name a broker."""
        from producers.settings import ClientSettings  # noqa: PLC0415

        settings = ClientSettings()
        return None if settings.broker_url is None else settings


@dataclass(frozen=True, slots=True)
class Section:
    """The settings of one part of the system; *assumed* fields were filled in to be able to show it."""

    name: str
    settings: "BaseModel"
    assumed: frozenset[str] = frozenset()


def client_sections() -> list[Section]:
    """Return the settings that producers have."""
    from producers.settings import ClientSettings  # noqa: PLC0415

    return [Section("client", ClientSettings())]


@dataclass(frozen=True, slots=True)
class Collaborators:
    """Everything a command may need from outside."""

    fleet: Fleet
    sections: Callable[[], Sequence[Section]] = client_sections
    checks: Callable[[], Iterable[Check]] = tuple


def collaborators(context: typer.Context) -> Collaborators:
    """Return what the root passed to the command of *context*."""
    given: Any = context.obj
    assert isinstance(given, Collaborators)  # noqa: S101 - the root's part of the bargain
    return given
