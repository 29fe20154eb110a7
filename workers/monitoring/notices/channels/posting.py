"""Post something over HTTP, once, within a time, and tell what came of it in the words of ``errors``.

Units:   seconds.
Errors:  Refused, Busy, Away.
Source:  RFC 9110, sections 10.2.3 (Retry-After) and 15 (status codes).
"""

import email.utils
import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from workers.monitoring.notices.channels.errors import Away, Busy, Refused

if TYPE_CHECKING:
    import httpx

_MOST_BYTES = 4_096  # of an answer; they are a word or a small object
_MOST_SAID = 120  # characters of it in what is told to operators
_LONGEST_S = 3_600.0  # nobody is waited for longer, whatever they ask for
_USUAL_S = 30.0  # to wait for one who is busy and does not say how long
_AGAIN = frozenset({408, 425, 429})  # of those that are the sender's fault, these pass


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to a message that it took."""

    status: int
    said: str


class Poster:
    """Posts to one *url*, which may be a secret and is shown nowhere.  Keeps no connection open."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url, self._timeout_s = url, timeout_s
        self._tls: ssl.SSLContext | None = None

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post *body*; return what was said to it, unless it was not taken."""
        import httpx  # noqa: PLC0415 - for those who have such a channel

        for name in ("httpx", "httpcore"):  # they log addresses, and ours are secrets
            logging.getLogger(name).setLevel(logging.WARNING)
        deadline = time.monotonic() + self._timeout_s
        options: dict[str, Any] = {"timeout": self._timeout_s, "follow_redirects": False}
        options["trust_env"] = not is_loopback(self._url)  # of proxies
        options["verify"] = self._trusted() if self._url.startswith("https:") else False
        try:
            with (
                httpx.Client(**options) as client,
                client.stream("POST", self._url, content=body, headers=dict(headers)) as response,
            ):
                said = _read(response, deadline)
        except httpx.TimeoutException:
            raise Away(f"no answer within {self._timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Away(f"not reached: {type(error).__name__}") from None
        _check(response.status_code, said, response.headers.get("retry-after"), time.time())
        return Answer(response.status_code, said)

    def _trusted(self) -> ssl.SSLContext:
        """Return whom this machine trusts, read from its files once."""
        import httpx  # noqa: PLC0415 - likewise

        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        return self._tls


def is_loopback(url: str) -> bool:
    """Tell whether *url* is one of this machine, which no proxy stands in front of."""
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")


def retry_after_s(given: str | None, now_s: float) -> float:
    """Return how long to wait, from a header with seconds or a date; a sensible while without one."""
    if given is None:
        return _USUAL_S
    try:
        wait_s = float(given)
    except ValueError:
        try:
            wait_s = email.utils.parsedate_to_datetime(given).timestamp() - now_s
        except ValueError:
            return _USUAL_S
    return min(max(wait_s, 1.0), _LONGEST_S) if wait_s == wait_s else _USUAL_S  # noqa: PLR0124 - NaN


def _read(response: "httpx.Response", deadline: float) -> str:
    """Return the beginning of the answer, in time; what drips is left."""
    read = b""
    for part in response.iter_bytes():
        read += part
        if len(read) >= _MOST_BYTES or time.monotonic() > deadline:
            break
    text = read[:_MOST_BYTES].decode(errors="replace")
    return "".join(char if char.isprintable() else " " for char in text)[:_MOST_SAID].strip()


def _check(status: int, said: str, retry_after: str | None, now_s: float) -> None:
    if 200 <= status < 300:
        return
    why = f"status {status}" + (f": {said}" if said else "")
    if status == 429 or (status == 503 and retry_after is not None):
        raise Busy(why, retry_after_s(retry_after, now_s))
    if status >= 500 or status in _AGAIN:
        raise Away(why)
    raise Refused(why)
