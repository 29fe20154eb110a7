"""Connections to a Redis or Valkey server, alone or behind Sentinel, from one URL.

URLs are what people write for a broker or a reply store (``workers.contract.addresses``).  TLS verifies
certificate and host name unless the URL says otherwise: redis-py's default, not kombu's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, parse_url
from redis.retry import Retry
from redis.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from workers.contract.addresses import reply_url_of

SENTINEL_PORT = 26379
SENTINEL_SCHEME = "sentinel://"

WrapConnection = Callable[[type[AbstractConnection]], type[AbstractConnection]]

_SENTINEL_OWN = ("master_name", "sentinel_username", "sentinel_password", "ssl")
_TCP_ONLY = ("socket_keepalive", "socket_keepalive_options", "socket_connect_timeout")
_NODE_TIMEOUT_S = 1.0  # for one sentinel; the next one knows as much


def open_redis(url: str, **options: Any) -> redis.Redis:
    """Return a client for the server at *url*, or for the master that its sentinels name.

    *options* are redis-py's for a connection.  Whoever opens it closes it.
    """
    return redis.Redis.from_pool(open_pool(url, **options))


def open_pool(url: str, wrap: WrapConnection | None = None, **options: Any) -> redis.ConnectionPool:
    """Return a pool of connections to *url*; *wrap* may derive another class of connection."""
    url = reply_url_of(url)
    if url.startswith(SENTINEL_SCHEME):
        return _master_pool(url, wrap, options)
    given = parse_url(url)
    kind = given.pop("connection_class", Connection)
    if "path" in given:
        options = {name: value for name, value in options.items() if name not in _TCP_ONLY}
    return redis.ConnectionPool(connection_class=kind if wrap is None else wrap(kind), **{**options, **given})


def shown(url: str) -> str:
    """Return *url* in kombu's words, which Flower understands: a socket's, and only one sentinel's."""
    if url.startswith("unix://"):
        return url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
    if not url.startswith(SENTINEL_SCHEME):
        return url.partition("?")[0]
    head, _, path = url.partition("?")[0].removeprefix(SENTINEL_SCHEME).partition("/")
    login, at, hosts = head.rpartition("@")
    return f"{SENTINEL_SCHEME}{login}{at}{hosts.split(',')[0]}/{path}"


class _MasterPool(SentinelConnectionPool):
    """Connections to the present master; closes those to the sentinels with its own."""

    def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        """Close connections; all of them, unless told to spare those in use."""
        super().disconnect(inuse_connections)
        if inuse_connections:
            self.sentinel_manager.close()


def _master_pool(url: str, wrap: WrapConnection | None, options: dict[str, Any]) -> redis.ConnectionPool:
    address = SentinelAddress.of(url)
    kind = SentinelManagedSSLConnection if address.tls else SentinelManagedConnection
    no_retry = {"retry": Retry(NoBackoff(), 0)}
    manager = Sentinel(list(address.nodes), sentinel_kwargs={**address.sentinel_options(), **no_retry})
    pool: redis.ConnectionPool = _MasterPool(  # type: ignore[no-untyped-call]
        address.query["master_name"],
        manager,
        connection_class=kind if wrap is None else wrap(kind),
        **{**options, **address.master_options()},
    )
    return pool


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """The parts of a ``sentinel://`` URL: *nodes* are sentinels, the credentials are the master's."""

    nodes: tuple[tuple[str, int], ...]
    database: int
    query: Mapping[str, str] = field(repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str) -> Self:
        """Take *url* apart."""
        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        return cls(
            nodes=tuple(_node(host) for host in hosts.split(",")),
            database=int(parts.path.strip("/") or 0),
            query=dict(parse_qsl(parts.query)),
            username=unquote(user) or None,
            password=unquote(password) or None,
        )

    @property
    def tls(self) -> bool:
        """Whether all of them speak TLS."""
        return self.query.get("ssl", "").lower() in {"1", "true", "yes"}

    def sentinel_options(self) -> dict[str, Any]:
        """Return redis-py's options for a client of one sentinel."""
        return {
            "username": self.query.get("sentinel_username"),
            "password": self.query.get("sentinel_password"),
            "socket_timeout": _NODE_TIMEOUT_S,
            "socket_connect_timeout": _NODE_TIMEOUT_S,
            "ssl": self.tls,
            **{name: value for name, value in self._given().items() if name.startswith("ssl_")},
        }

    def master_options(self) -> dict[str, Any]:
        """Return redis-py's options for a connection to the master."""
        return {
            **self._given(),
            "username": self.username,
            "password": self.password,
            "db": self.database,
        }

    def _given(self) -> dict[str, Any]:
        """Return the URL's own options, each as the type that redis-py wants."""
        extra = {name: value for name, value in self.query.items() if name not in _SENTINEL_OWN}
        return dict(parse_url(f"redis://?{urlencode(extra)}"))


def _node(host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    return parts.hostname or "localhost", parts.port or SENTINEL_PORT
