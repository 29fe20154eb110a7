"""Where replies go: the Redis or Valkey server behind a broker URL."""

from urllib.parse import parse_qs, urlsplit


class NoReplyStore(ValueError):
    """The broker is not Redis or Valkey, so the reply store has to be named: set ION_REPLY_URL."""


def reply_url_of(broker_url: str) -> str:
    """Return the redis-py URL of the server that also is the broker at *broker_url*.

    A Celery URL for a unix socket (``redis+socket:///path?virtual_host=0``) becomes redis-py's
    ``unix:///path?db=0``.  Raises NoReplyStore for a broker of another kind.
    """
    parts = urlsplit(broker_url)
    if parts.scheme in {"redis", "rediss", "valkey", "valkeys"}:
        return broker_url.replace("valkey", "redis", 1)
    if parts.scheme in {"redis+socket", "socket"}:
        query = parse_qs(parts.query)
        database = query.get("virtual_host", query.get("db", ["0"]))[0]
        return f"unix://{parts.path}?db={database}"
    raise NoReplyStore(
        f"the broker is {parts.scheme or 'of an unknown kind'}, which keeps no replies: "
        "set ION_REPLY_URL to a Redis or Valkey server"
    )
