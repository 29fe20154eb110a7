"""Everything that deciding who may come in takes, put together and opened and closed as one."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from time import time
from typing import TYPE_CHECKING, Self

from producers.gateway.access import key_book, token_keys, tokens
from producers.gateway.access.audit import AuditLog
from producers.gateway.access.door import GuardedDoor
from producers.gateway.access.key_book import KeyBook, KeyReader
from producers.gateway.access.rates import Rates
from producers.gateway.access.token_keys import Jwks, TokenKey
from producers.gateway.access.tokens import Rules, Tokens
from producers.gateway.settings import GatewaySettings
from producers.gateway.snapshot import Snapshot
from workers.store.api_keys import ApiKeyStore
from workers.store.audit import AuditStore
from workers.store.engine import open_store

if TYPE_CHECKING:
    from producers.settings import ClientSettings


class Entrance:
    """The *door* and the *audit* log that *settings* describe, on the database of *fleet*.

    It connects within ``opened``.  Raises UnusableUrl and InvalidInput for settings that cannot be used.
    """

    def __init__(self, settings: GatewaySettings, fleet: "ClientSettings") -> None:
        self._database = open_store(fleet.database_address())
        self._rates = Rates(settings, fleet)
        keys = ApiKeyStore(self._database)
        reader = KeyReader(lambda: keys.usable(int(time() * 1000)))
        self._keys = Snapshot(key_book.WHAT, reader.read, key_book.RHYTHM)
        self._jwks: Snapshot[Mapping[str, TokenKey]] | None = None
        taken: Tokens | None = None
        if settings.jwt_keys is not None:
            self._jwks = Snapshot(token_keys.WHAT, Jwks(settings.jwt_keys).read, tokens.RHYTHM)
            rules = Rules(settings.jwt_issuer, settings.jwt_audience, settings.jwt_role_claim)
            rules.warn()
            taken = Tokens(self._jwks, rules)
        self.audit = AuditLog(AuditStore(self._database).append)
        self.door = GuardedDoor(
            KeyBook(self._keys), taken, self._rates, self.audit, anonymous=settings.anonymous
        )

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Keep the copies of keys up to date within the block, and give everything back after it."""
        async with contextlib.AsyncExitStack() as closing:
            closing.callback(self._database.close)
            closing.push_async_callback(self._rates.close)
            closing.push_async_callback(self.audit.close)
            await closing.enter_async_context(self._keys)
            if self._jwks is not None:
                await closing.enter_async_context(self._jwks)
            yield self
