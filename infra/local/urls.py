"""Where the broker, the reply store and the cache are, in the words of each client library.

Source: kombu reads ``redis+socket:///path?virtual_host=0`` (kombu/transport/redis.py, ``_connparams``),
redis-py reads ``unix:///path?db=0``; both decode percent signs in the path.
"""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from infra.local.settings import LocalSettings
from workers.contract.addresses import reply_url_of


@dataclass(frozen=True, slots=True)
class StackUrls:
    """The servers of a stack.  External ones may hold a password, so they are not in the repr."""

    broker_url: str = field(repr=False)  # for Celery and kombu
    reply_url: str = field(repr=False)  # for redis-py
    cache_url: str | None = field(default=None, repr=False)  # for redis-py; None: there is no cache

    def environment(self) -> dict[str, str]:
        """Return the variables that tell a worker or a client where the servers are.

        Without a cache its variable is empty, so that one from outside does not reach them.
        """
        return {
            "ION_BROKER_URL": self.broker_url,
            "ION_REPLY_URL": self.reply_url,
            "ION_CACHE_URL": "" if self.cache_url is None else self.cache_url,
        }


def socket_url(socket: Path) -> str:
    """Return the redis-py URL of a server that listens on *socket*, an absolute path."""
    return f"unix://{quote(str(socket))}?db=0"


def socket_urls(socket: Path, cache_url: str | None = None) -> StackUrls:
    """Return the URLs of a stack whose server listens on *socket*, an absolute path."""
    return StackUrls(f"redis+socket://{quote(str(socket))}?virtual_host=0", socket_url(socket), cache_url)


def resolve(settings: LocalSettings, socket: Path, cache_socket: Path) -> StackUrls:
    """Return the URLs in effect: the ones given, else those of the embedded servers."""
    cache_url = _cache_url(settings, cache_socket)
    if settings.broker_url is None:
        embedded = socket_urls(socket, cache_url)
        if settings.reply_url is None:
            return embedded
        return StackUrls(embedded.broker_url, settings.reply_url.get_secret_value(), cache_url)
    broker = settings.broker_url.get_secret_value()
    if settings.reply_url is not None:
        return StackUrls(broker, settings.reply_url.get_secret_value(), cache_url)
    return StackUrls(broker, reply_url_of(broker), cache_url)


def _cache_url(settings: LocalSettings, cache_socket: Path) -> str | None:
    if settings.embeds_cache:
        return socket_url(cache_socket)
    if not settings.cache or settings.cache_url is None:
        return None
    return settings.cache_url.get_secret_value() or None
