"""Who may come in: API keys, tokens, or anybody where the settings say so; and how often.

Credentials come as ``Authorization: Bearer <key or token>`` or ``X-API-Key: <key>``.  A refusal says nothing
about why, is counted by address before that, and is recorded.  Good credentials are let in whatever others at
the same address do: what guards a secret is that nobody can guess it, the limit guards us.
"""

from typing import Protocol

from producers.gateway.access.key_book import KeyBook
from producers.gateway.access.tokens import Tokens
from producers.gateway.call import Call
from producers.gateway.caller import ANONYMOUS, Caller
from producers.gateway.errors import Unauthenticated
from producers.gateway.ports import Audit
from workers.store.api_keys import split_key

_HOW = "send an API key (X-API-Key) or a token (Authorization: Bearer …)"


class Limits(Protocol):
    """Counts, and raises RateLimited beyond what is allowed."""

    async def caller(self, identity: str, jobs: int = 1) -> None:
        """Count *jobs* of a caller that is known."""

    async def address(self, address: str, jobs: int = 1) -> None:
        """Count *jobs* of an address without credentials."""

    async def refused(self, address: str) -> None:
        """Count refused credentials."""


class GuardedDoor:
    """Knows callers by *keys* and *tokens*; without *tokens*, none are taken."""

    def __init__(
        self, keys: KeyBook, tokens: Tokens | None, limits: Limits, audit: Audit, *, anonymous: bool
    ) -> None:
        self._keys, self._tokens, self._limits, self._audit = keys, tokens, limits, audit
        self._anonymous = anonymous

    async def admit(self, call: Call) -> Caller:
        """Return who calls, having counted one job; raise Unauthenticated, RateLimited or Unavailable."""
        credentials = _credentials(call)
        if credentials is None:
            if not self._anonymous:
                raise Unauthenticated(_HOW)
            await self._limits.address(call.address)
            return ANONYMOUS
        caller = await self._known(credentials)
        if caller is None:
            await self._limits.refused(call.address)
            await self._audit.record(call, "credentials", _key_id(credentials), allowed=False)
            raise Unauthenticated(f"these credentials are not known (any more); {_HOW}")
        await self._limits.caller(caller.identity)
        return caller

    async def count(self, call: Call, jobs: int) -> None:
        """Count *jobs* more of a caller that was let in; raise RateLimited."""
        if call.caller.proof == "none":
            await self._limits.address(call.address, jobs)
        else:
            await self._limits.caller(call.caller.identity, jobs)

    async def _known(self, credentials: str) -> Caller | None:
        if credentials.startswith("ion_"):
            return await self._keys.caller(credentials)
        return None if self._tokens is None else await self._tokens.caller(credentials)


def _credentials(call: Call) -> str | None:
    """Return what the caller shows; None: nothing.  What cannot be read, or is two things, is never known."""
    bearer, key = call.headers.get(b"authorization"), call.headers.get(b"x-api-key")
    if bearer is not None:
        scheme, _, bearer = bearer.partition(b" ")
        shown = bearer.strip() if scheme.lower() == b"bearer" and key in (None, bearer) else b""
    elif key is not None:
        shown = key if key.startswith(b"ion_") else b""
    else:
        return None
    return shown.decode("latin-1")


def _key_id(credentials: str) -> str:
    """Return the id of the key that was tried, which is public; nothing else is kept of credentials."""
    parts = split_key(credentials)
    return "" if parts is None else parts[0]
