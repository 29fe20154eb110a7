"""Where the broker, the reply store, the cache and the database are, in the words of each client library.

Source: kombu reads ``redis+socket:///path?virtual_host=0`` (kombu/transport/redis.py, ``_connparams``),
redis-py reads ``unix:///path?db=0``; both decode percent signs in the path.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from infra.local.settings import LocalSettings
from workers.contract.addresses import reply_url_of

DATABASE_FILE = "ion.db"


@dataclass(frozen=True, slots=True)
class StackUrls:
    """The servers of a stack.  External ones may hold a password, so they are not in the repr."""

    broker_url: str = field(repr=False)  # for Celery and kombu
    reply_url: str = field(repr=False)  # for redis-py
    cache_url: str | None = field(default=None, repr=False)  # for redis-py; None: there is no cache
    database_url: str | None = field(default=None, repr=False)  # for SQLAlchemy; None: there is none

    def environment(self) -> dict[str, str]:
        """Return the variables that tell a worker or a client where the servers are.

        Without a cache or a database its variable is empty, so that one from outside does not reach them.
        """
        return {
            "ION_BROKER_URL": self.broker_url,
            "ION_REPLY_URL": self.reply_url,
            "ION_CACHE_URL": "" if self.cache_url is None else self.cache_url,
            "ION_DATABASE_URL": "" if self.database_url is None else self.database_url,
        }


def socket_url(socket: Path) -> str:
    """Return the redis-py URL of a server that listens on *socket*, an absolute path."""
    return f"unix://{quote(str(socket))}?db=0"


def socket_urls(socket: Path, cache_url: str | None = None, database_url: str | None = None) -> StackUrls:
    """Return the URLs of a stack whose server listens on *socket*, an absolute path."""
    broker_url = f"redis+socket://{quote(str(socket))}?virtual_host=0"
    return StackUrls(broker_url, socket_url(socket), cache_url, database_url)


def resolve(settings: LocalSettings, socket: Path, cache_socket: Path) -> StackUrls:
    """Return the URLs in effect: the ones given, else those of the embedded servers."""
    embedded = socket_urls(socket, _cache_url(settings, cache_socket), _database_url(settings))
    if settings.broker_url is None:
        broker, reply = embedded.broker_url, embedded.reply_url
    else:
        broker = settings.broker_url.get_secret_value()
        reply = "" if settings.reply_url is not None else reply_url_of(broker)
    if settings.reply_url is not None:
        reply = settings.reply_url.get_secret_value()
    return replace(embedded, broker_url=broker, reply_url=reply)


def _database_url(settings: LocalSettings) -> str | None:
    if settings.embeds_database:
        return f"sqlite:///{settings.state_dir / DATABASE_FILE}"
    return None if settings.database_url is None else settings.database_url.get_secret_value() or None


def _cache_url(settings: LocalSettings, cache_socket: Path) -> str | None:
    if settings.embeds_cache:
        return socket_url(cache_socket)
    if not settings.cache or settings.cache_url is None:
        return None
    return settings.cache_url.get_secret_value() or None
