"""Connections of an event loop to a Redis or Valkey server, alone or behind Sentinel, from one URL.

The counterpart of ``workers.transport.servers`` with redis-py's asyncio classes.
"""

from typing import Any

from redis.asyncio import ConnectionPool, Sentinel
from redis.asyncio.connection import Connection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff

from workers.contract.addresses import reply_url_of
from workers.transport.servers import SENTINEL_SCHEME, SentinelAddress

_TCP_ONLY = ("socket_keepalive", "socket_keepalive_options")


def open_async_pool(url: str, **options: Any) -> ConnectionPool:
    """Return a pool of connections to *url*; *options* are redis-py's, and the URL's own come first.

    Whoever opens it closes it.  Raises NoReplyStore or BadAddress, or ValueError for a URL that redis-py
    cannot read; that error may quote the URL.
    """
    url = reply_url_of(url)
    options = {"retry": Retry(NoBackoff(), 0), **options}
    if url.startswith(SENTINEL_SCHEME):
        return _master_pool(SentinelAddress.of(url), options)
    given: dict[str, Any] = {"connection_class": Connection, **parse_url(url)}
    if "path" in given:
        options = {name: value for name, value in options.items() if name not in _TCP_ONLY}
    return ConnectionPool(**{**options, **given})


class _MasterPool(SentinelConnectionPool):
    """Connections to the present master; closes those to the sentinels with its own."""

    async def aclose(self) -> None:
        """Close connections."""
        await super().aclose()
        await self.sentinel_manager.aclose()


def _master_pool(address: SentinelAddress, options: dict[str, Any]) -> ConnectionPool:
    kind = SentinelManagedSSLConnection if address.tls else SentinelManagedConnection
    sentinels = {**address.sentinel_options(), "retry": options["retry"]}
    pool: ConnectionPool = _MasterPool(  # type: ignore[no-untyped-call]
        address.query["master_name"],
        Sentinel(list(address.nodes), sentinel_kwargs=sentinels),
        connection_class=kind,
        **{**options, **address.master_options()},
    )
    return pool
