"""What people write for a broker, and what it means to redis-py, our transport and the reply store.

One form serves all three: redis-py's URLs (``redis://``, ``rediss://``, ``unix:///path?db=0``), and for
Sentinel, which redis-py has no URL for, ``sentinel://[user:password@]host:port,host:port/db?master_name=m``.
Which other parameters it may have: docs/brokers.md.

Source: kombu's URLs (``redis+socket:///path?virtual_host=0``, ``sentinel://a:1;sentinel://b:1``) in
kombu/transport/redis.py; redis-py's in redis/connection.py, ``parse_url``.
"""

from urllib.parse import parse_qsl, urlencode, urlsplit

STOCK = "stock+"  # before a URL: the transport that ships with kombu instead of ours

_TCP = {"redis": "redis", "valkey": "redis", "rediss": "rediss", "valkeys": "rediss"}
_SOCKET = frozenset({"redis+socket", "valkey+socket", "socket", "unix"})


class NoReplyStore(ValueError):
    """The broker is not Redis or Valkey, so the reply store has to be named: set ION_REPLY_URL."""


class BadAddress(ValueError):
    """A Redis or Valkey URL lacks something; says what, and never quotes it, for it may hold a password."""


def reply_url_of(broker_url: str) -> str:
    """Return the URL, in the form above, of the server that also is the broker at *broker_url*.

    One that has the form already stays as it is.
    Raises NoReplyStore for a broker of another kind, and BadAddress.
    """
    url = broker_url.removeprefix(STOCK)
    scheme = url.partition("://")[0]
    if scheme in _TCP:
        return _tcp(_TCP[scheme], url)
    if scheme in _SOCKET:
        return _socket(url)
    if scheme == "sentinel":
        return _sentinel(url)
    raise NoReplyStore(
        f"the broker is {scheme if '://' in url else 'of an unknown kind'}, which keeps no replies: "
        "set ION_REPLY_URL to a Redis or Valkey server"
    )


def is_redis(broker_url: str) -> bool:
    """Say whether *broker_url* is one of Redis or Valkey."""
    scheme = broker_url.removeprefix(STOCK).partition("://")[0]
    return scheme in _TCP or scheme in _SOCKET or scheme == "sentinel"


def tls_options(url: str) -> dict[str, str]:
    """Return how the ``rediss://`` *url* wants TLS; certificates are verified unless it says otherwise."""
    query = dict(parse_qsl(urlsplit(url).query))
    given = {name: value for name, value in query.items() if name.startswith("ssl_")}
    return {"ssl_cert_reqs": "required", **given}


def _tcp(scheme: str, url: str) -> str:
    parts = urlsplit(url)
    query = [(name, _verification(name, value)) for name, value in parse_qsl(parts.query)]
    return parts._replace(scheme=scheme, query=urlencode(query)).geturl()


def _verification(name: str, value: str) -> str:
    """Return redis-py's word for kombu's ``ssl_cert_reqs=CERT_REQUIRED``; everything else as it is."""
    return value.removeprefix("CERT_").lower() if name == "ssl_cert_reqs" else value


def _socket(url: str) -> str:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    database = query.pop("virtual_host", query.pop("db", "0"))
    return f"unix://{parts.netloc}{parts.path}?{urlencode({'db': database, **query})}"


def _sentinel(url: str) -> str:
    """Join the addresses of several sentinels into one URL; what follows the last one holds for all."""
    first, *others = [urlsplit(part) for part in url.split(";")]
    last = others[-1] if others else first
    query = [(name, _verification(name, value)) for name, value in parse_qsl(last.query)]
    if not dict(query).get("master_name"):
        raise BadAddress("a sentinel:// URL names its master: add ?master_name=NAME at its end")
    hosts = ",".join([first.netloc, *(other.netloc.rpartition("@")[2] for other in others)])
    return f"sentinel://{hosts}{last.path}?{urlencode(query)}"
