"""Post something over HTTP, once, within a time, and tell what came of it in the words of ``errors``.

Units:   seconds.
Errors:  Refused, Busy, Away.
Source:  RFC 9110, sections 10.2.3 (Retry-After) and 15 (status codes).
"""

import email.utils
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from workers.monitoring.channels.errors import Away, Busy, Refused

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


@dataclass(frozen=True, slots=True)
class Poster:
    """Posts to one *url*, which may be a secret and is shown nowhere.  Keeps no connection open."""

    url: str = field(repr=False)
    timeout_s: float

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post *body*; return what was said to it, unless it was not taken."""
        import httpx  # noqa: PLC0415 - for those who have such a channel

        for name in ("httpx", "httpcore"):  # they log addresses, and ours are secrets
            logging.getLogger(name).setLevel(logging.WARNING)
        deadline = time.monotonic() + self.timeout_s
        trusting = not is_loopback(self.url)  # of proxies that the environment names
        try:
            with (
                httpx.Client(timeout=self.timeout_s, follow_redirects=False, trust_env=trusting) as client,
                client.stream("POST", self.url, content=body, headers=dict(headers)) as response,
            ):
                said = _read(response, deadline)
        except httpx.TimeoutException:
            raise Away(f"no answer within {self.timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Away(f"not reached: {type(error).__name__}") from None
        _check(response.status_code, said, response.headers.get("retry-after"), time.time())
        return Answer(response.status_code, said)


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
