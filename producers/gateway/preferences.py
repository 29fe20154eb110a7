"""What a caller prefers: to wait, for how long, or to come back later.

Source: RFC 7240 (Prefer), sections 4.1 (respond-async) and 4.3 (wait); draft-ietf-httpapi-idempotency-key-header.
"""

import re
from dataclasses import dataclass

from producers.gateway.call import Call
from producers.gateway.errors import WrongValue

_WAIT = re.compile(r'wait\s*=\s*"?([^"]*)"?', re.IGNORECASE)
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Preferences:
    """*wait_s*: how long the caller waits; None: as long as it takes.  Preferences not known are ignored."""

    respond_async: bool = False
    wait_s: float | None = None
    idempotency_key: str | None = None

    def applied(self) -> tuple[tuple[str, str], ...]:
        """Return the header that tells what was heeded, if anything was."""
        told = ["respond-async"] if self.respond_async else []
        if self.wait_s is not None:
            told.append(f"wait={self.wait_s:g}")
        return (("preference-applied", ", ".join(told)),) if told else ()


_NONE = Preferences()


def preferences_of(call: Call, max_wait_s: float) -> Preferences:
    """Return what the headers of *call* say; a longer wait is cut to *max_wait_s*.  Raises WrongValue."""
    prefer, key = call.header("prefer"), call.header("idempotency-key")
    if prefer is None and key is None:
        return _NONE
    if key is not None:
        key = key.strip().strip('"')  # the draft has it quoted, most callers do not
        if not _KEY.fullmatch(key):
            raise WrongValue("is no key; send 1 to 255 visible ASCII characters", "Idempotency-Key")
    respond_async, wait_s = False, None
    for part in (prefer or "").split(","):
        token = part.partition(";")[0].strip()
        if token.lower() == "respond-async":
            respond_async = True
        elif found := _WAIT.fullmatch(token):
            wait_s = _seconds(found[1], max_wait_s)
    if wait_s == 0 and not respond_async:
        raise WrongValue("wait=0 leaves no time to answer; add respond-async", "Prefer")
    return Preferences(respond_async, wait_s, key)


def _seconds(text: str, max_wait_s: float) -> float:
    if not (text.isascii() and text.isdigit()):
        raise WrongValue("wait takes whole seconds, e.g. wait=10", "Prefer")
    return min(float(text), max_wait_s)
