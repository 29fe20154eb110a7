"""What the gateway's layers need of each other, as protocols, each with its Null."""

from typing import Protocol

from producers.gateway.call import Call
from producers.gateway.caller import ANONYMOUS, Caller


class Door(Protocol):
    """Decides who may come in, and how often."""

    async def admit(self, call: Call) -> Caller:
        """Return who calls, having counted one job; raise Unauthenticated or RateLimited."""

    async def count(self, call: Call, jobs: int) -> None:
        """Count *jobs* more of a caller that was let in; raise RateLimited."""


class OpenDoor:
    """Lets everybody in, as often as they like."""

    async def admit(self, call: Call) -> Caller:  # noqa: ARG002 - the protocol's signature
        """Let in."""
        return ANONYMOUS

    async def count(self, call: Call, jobs: int) -> None:
        """Count nothing."""


class Meter(Protocol):
    """Counts what comes in and goes out."""

    def began(self) -> None:
        """Take note of a request."""

    def answered(self, call: Call, status: int) -> None:
        """Take note of a response; *status* 0: there was none, since the caller had gone."""


class NoMeter:
    """Counts nothing."""

    def began(self) -> None:
        """Count nothing."""

    def answered(self, call: Call, status: int) -> None:
        """Count nothing."""


class Audit(Protocol):
    """Keeps who did what that an operator may have to answer for."""

    async def record(self, call: Call, action: str, target: str, *, allowed: bool) -> None:
        """Keep that the caller of *call* did, or was refused, *action* on *target*.

        Raises Unavailable when it cannot be kept; then an action that was to follow must not.
        """


class NoAudit:
    """Keeps nothing."""

    async def record(self, call: Call, action: str, target: str, *, allowed: bool) -> None:
        """Keep nothing."""
