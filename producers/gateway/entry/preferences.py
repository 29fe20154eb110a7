"""What a caller prefers: to wait, for how long, or to come back later.

Source: RFC 7240 (Prefer), sections 4.1 (respond-async) and 4.3 (wait);
        draft-ietf-httpapi-idempotency-key-header.
"""

import re
from dataclasses import dataclass

from producers.gateway.call import Call
from producers.gateway.errors import WrongValue

_QUOTED = re.compile(r'"[^"]*"?')
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
    given = _read(prefer or "")
    respond_async = not given.get("respond-async", "not given")  # it has no value
    wait_s = _seconds(given["wait"], max_wait_s) if "wait" in given else None
    if wait_s == 0 and not respond_async:
        raise WrongValue("wait=0 leaves no time to answer; add respond-async", "Prefer")
    return Preferences(respond_async, wait_s, key)


def _read(prefer: str) -> dict[str, str]:
    """Return the preferences by name; the first of several with one name counts (RFC 7240, 2)."""
    given: dict[str, str] = {}
    for part in _QUOTED.sub(_without_marks, prefer).split(","):
        name, _, value = part.partition(";")[0].partition("=")
        given.setdefault(name.strip().lower(), value.strip())
    return given


def _without_marks(quoted: re.Match[str]) -> str:
    """Return a quoted text without what would end the preference that it belongs to."""
    return re.sub('[",;=]', "", quoted[0])


def _seconds(text: str, max_wait_s: float) -> float:
    if not (text.isascii() and text.isdigit()):
        raise WrongValue("wait takes whole seconds, e.g. wait=10", "Prefer")
    return min(float(text), max_wait_s)
