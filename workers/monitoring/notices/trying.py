"""What is sent now, what later, and what never: the decisions about deliveries, without sending anything.

Units:   milliseconds since the Unix epoch; seconds of waits.
Errors:  none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.monitoring.alerts.alert import LEVELS, Notice, short_id
from workers.monitoring.notices.channels.errors import Away, Busy, ChannelError
from workers.monitoring.notices.outbox import Ended, Waiting
from workers.monitoring.notices.routing import EMAIL, LOG, PAGERDUTY, SENTRY, SLACK

WINDOW_S = 60
LIMITS: Mapping[str, int] = {SLACK: 20, EMAIL: 10, PAGERDUTY: 100, SENTRY: 60, LOG: 600}
"""Messages in ``WINDOW_S``.  Slack takes one a second and hides more; nobody reads more than ten mails."""
SUMMED_UP = frozenset(
    {SLACK, EMAIL}
)  # where what is beyond the limit becomes one message; elsewhere it waits

_FIRST_S, _LONGEST_S = (
    5.0,
    60.0,
)  # between tries: as often as rules are judged, and soon enough after an outage
_LONGEST_BUSY_S = 9 * 60.0  # shorter than what the outbox takes for a clock that has stepped


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that is due, with its notice."""

    waiting: Waiting
    notice: Notice


@dataclass(frozen=True, slots=True)
class Plan:
    """What a channel is to be sent now: *single* ones in this order, *together* as one; *later* ones wait."""

    single: tuple[Due, ...] = ()
    together: tuple[Due, ...] = ()
    later: tuple[Due, ...] = ()


def plan(channel: str, due: Sequence[Due], sent: int) -> Plan:
    """Return what of *due*, the oldest first, *channel* is sent, which had *sent* messages in the window."""
    room = max(0, LIMITS.get(channel, LIMITS[SLACK]) - sent)
    if len(due) <= room:
        return Plan(single=tuple(due))
    if channel not in SUMMED_UP or room == 0:
        return Plan(single=tuple(due[:room]), later=tuple(due[room:]))
    gravest_first = sorted(due, key=lambda one: LEVELS.index(one.notice.level))  # stable: else the oldest
    return Plan(single=tuple(gravest_first[: room - 1]), together=tuple(gravest_first[room - 1 :]))


def summary_of(notices: Sequence[Notice], now_s: float) -> Notice:
    """Return the one notice that stands for *notices*, of which there is one at least."""
    kinds: dict[str, int] = {}
    for notice in notices:
        kinds[notice.kind] = kinds.get(notice.kind, 0) + max(1, len(notice.alerts))
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    latest = {alert.id: alert for notice in notices for alert in notice.alerts}  # each as it was told last
    return Notice(
        id=short_id("summary", *(f"{notice.id} {notice.kind}" for notice in notices)),
        kind="summary",
        at_s=now_s,
        alerts=tuple(latest.values()),
        said=f"{len(notices)} notices were too many to be sent one by one: {said}",
    )


def after(error: ChannelError, waiting: Waiting, now_ms: int, give_up_s: float, chance: float) -> Ended:
    """Return what becomes of *waiting* after *error*; *chance*, in [0, 1), spreads tries."""
    asked, channel = (waiting.notice_id, waiting.channel)
    if not isinstance(error, Away):
        return Ended(asked, channel, "failed", now_ms, why=error.why)
    if now_ms - waiting.at_ms > give_up_s * 1000:
        return Ended(asked, channel, "failed", now_ms, why=f"given up: {error.why}")
    wait_s = wait_before(waiting.tries, chance)
    if isinstance(error, Busy):
        wait_s = min(max(error.wait_s, 1.0), _LONGEST_BUSY_S)
    return Ended(asked, channel, "waiting", now_ms, now_ms + int(wait_s * 1000), error.why)


def wait_before(tries: int, chance: float) -> float:
    """Return how long to wait after so many *tries* before this one: longer each time, a little at random."""
    return min(_FIRST_S * 2.0 ** min(tries, 10), _LONGEST_S) * (0.8 + 0.2 * chance)
