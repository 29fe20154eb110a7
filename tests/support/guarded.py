"""A real gateway that wants credentials, and an operator's key for it."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.gateway import Running, gateway
from workers.store.api_keys import ApiKeyStore, make_key
from workers.store.engine import open_store

_UNLIMITED = "100000/second"


@contextlib.contextmanager
def guarded_gateway(environment: Mapping[str, str], directory: Path) -> Iterator[tuple[Running, str]]:
    """Run a gateway with a database of its own, and give it with a key of the role admin.

    Nobody is limited, as tests ask more than people do.
    """
    url = f"sqlite:///{directory / 'keys.db'}"
    key, text = make_key("test", "admin", None, int(time.time() * 1000), None)
    with open_store(url) as store:
        ApiKeyStore(store).add(key)
        with gateway(
            {**environment, "ION_DATABASE_URL": url},
            directory,
            anonymous=False,
            rate_limit_key=_UNLIMITED,
            rate_limit_address=_UNLIMITED,
            rate_limit_refused=_UNLIMITED,
        ) as running:
            yield running, text
