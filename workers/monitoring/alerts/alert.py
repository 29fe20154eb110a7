"""Alerts, the notices that tell of them, and the port through which notices leave.

    firing ──► acknowledged ──► resolved
       └────────────────────────────▲

An alert is one rule's, of one group of labels, from its first breach to its end.  When the same comes back
later, it is another alert.  Nothing here holds what people wrote: names, labels and numbers only.

Units:   moments in seconds since the Unix epoch; values in *unit*.
Errors:  none.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

import msgspec

from workers.monitoring.notices.digest import Digest

Level = Literal["critical", "high", "medium", "low"]
LEVELS: tuple[Level, ...] = ("critical", "high", "medium", "low")  # the gravest first

CHANNELS = ("pagerduty", "slack", "email", "sentry", "log")  # what a rule may name

State = Literal["firing", "acknowledged", "resolved"]
Cause = Literal["breach", "absence"]  # beyond its limit, or not measured any more
Comparison = Literal["above", "below"]
NoticeKind = Literal["fired", "escalated", "acknowledged", "resolved", "digest", "summary", "test"]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong.  *said* is a sentence on it; *along*: the collections that moved at the same time.

    *since_s* is when it was first judged so, *fired_s* when that was often enough, *seen_s* when it was last
    judged so.  *told_s* is when people were told of it; None: not yet, because a graver one of the same says
    it (*inhibited_by*: that rule), it is silenced (*silenced_by*: the silence's id) or it came back too soon.
    """

    id: str
    rule: str
    level: Level
    labels: dict[str, str]
    state: State = "firing"
    cause: Cause = "breach"
    collection: str
    how: str
    value: float | None
    unit: str
    comparison: Comparison
    threshold: float
    window_s: int
    said: str
    along: tuple[str, ...] = ()
    about: str = ""
    channels: tuple[str, ...] = ()  # the rule's own; none: those of its level
    tags: tuple[str, ...] = ()
    since_s: float
    fired_s: float
    seen_s: float
    occurrences: int = 1
    acknowledged_s: float | None = None
    acknowledged_by: str | None = None
    resolved_s: float | None = None
    told_s: float | None = None
    escalations: int = 0
    escalated_s: float | None = None
    inhibited_by: str | None = None
    silenced_by: str | None = None

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return self.state != "resolved"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One message to people about *alerts*, which belong together; *said* is what a digest or a test says.

    *id* is the same when the same notice is sent again.  A summary stands for what is too much to be sent one
    by one.
    """

    id: str
    kind: NoticeKind
    at_s: float
    alerts: tuple[Alert, ...] = ()
    said: str = ""
    digest: Digest | None = None

    @property
    def level(self) -> Level:
        """The gravest level among the alerts."""
        return gravest(alert.level for alert in self.alerts) if self.alerts else "low"


class Notifier(Protocol):
    """Decides who hears of what, and sends it.

    Whoever evaluates puts notices for ``channels`` into the outbox, together with the change that they tell
    of, then calls ``deliver``.
    """

    def channels(self, notice: Notice) -> Sequence[str]:
        """Return the names of the channels that *notice* goes to."""

    def overdue(self, alerts: Sequence[Alert], now_s: float) -> Sequence[Alert]:
        """Return those of the open *alerts* that nobody has taken on in time: they are told again."""

    def deliver(self) -> None:
        """Send what is due in the outbox; return within seconds.  Raises StoreError only."""


class NullNotifier:
    """Tells nobody."""

    def channels(self, notice: Notice) -> Sequence[str]:  # noqa: ARG002 - the protocol's signature
        """Return none."""
        return ()

    def overdue(self, alerts: Sequence[Alert], now_s: float) -> Sequence[Alert]:  # noqa: ARG002 - likewise
        """Return none."""
        return ()

    def deliver(self) -> None:
        """Do nothing."""


def gravest(levels: Iterable[Level]) -> Level:
    """Return the gravest of *levels*, of which there is one at least."""
    return min(levels, key=LEVELS.index)


def short_id(*parts: object) -> str:
    """Return an id that is the same for the same *parts*."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=6).hexdigest()
