"""Where the broker and the reply store are, in the words of each client library.

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

    def environment(self) -> dict[str, str]:
        """Return the variables that tell a worker or a client where the servers are."""
        return {"ION_BROKER_URL": self.broker_url, "ION_REPLY_URL": self.reply_url}


def socket_urls(socket: Path) -> StackUrls:
    """Return the URLs of a server that listens on *socket*, an absolute path."""
    path = quote(str(socket))
    return StackUrls(f"redis+socket://{path}?virtual_host=0", f"unix://{path}?db=0")


def resolve(settings: LocalSettings, socket: Path) -> StackUrls:
    """Return the URLs in effect: the ones given, else those of the embedded server on *socket*."""
    if settings.broker_url is None:
        embedded = socket_urls(socket)
        if settings.reply_url is None:
            return embedded
        return StackUrls(embedded.broker_url, settings.reply_url.get_secret_value())
    broker = settings.broker_url.get_secret_value()
    if settings.reply_url is not None:
        return StackUrls(broker, settings.reply_url.get_secret_value())
    return StackUrls(broker, reply_url_of(broker))
