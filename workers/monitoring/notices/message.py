"""A notice as every channel shows it: a title, and of each alert what it says, its facts and its links.

What is said of an alert comes from rules and numbers.  Labels may still be anything that a process measured
under, so each channel escapes what it is given.
"""

from dataclasses import dataclass
from typing import NamedTuple

from workers.monitoring.alerts.alert import LEVELS, Alert, Notice
from workers.monitoring.notices import wording

MOST_ITEMS = 8  # alerts that are shown in full; the others are counted
MOST_ROWS = 30  # alerts that a digest lists; the others are counted
_LONGEST_SAID = 600  # characters


@dataclass(frozen=True, slots=True)
class Links:
    """Where things are, as people reach them; None: no links.  Neither ends with a slash."""

    dashboards: str | None = None  # the gateway
    runbooks: str | None = None  # docs/operating.md

    def of(self, alert: Alert) -> tuple[tuple[str, str], ...]:
        """Return what to open because of *alert*: what it is called, and its address."""
        found: list[tuple[str, str]] = []
        if self.dashboards is not None:
            found.append(("Dashboard", f"{self.dashboards}/dashboards/{wording.dashboard_of(alert)}"))
        if self.runbooks is not None:
            found.append(("Runbook", f"{self.runbooks}#{anchor(alert.rule)}"))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Item:
    """One alert."""

    alert: Alert
    heading: str
    said: str
    facts: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    hint: str  # what to type


@dataclass(frozen=True, slots=True)
class Message:
    """One notice; *more*: how many alerts are not among the *items*."""

    notice: Notice
    mark: str
    title: str
    said: str
    items: tuple[Item, ...]
    more: int


def compose(notice: Notice, links: Links) -> Message:
    """Return *notice* as it is shown."""
    gravest_first = sorted(notice.alerts, key=lambda alert: LEVELS.index(alert.level))
    items = tuple(_item(alert, notice, links) for alert in gravest_first[:MOST_ITEMS])
    calm = notice.kind in ("resolved", "digest", "test")
    mark = wording.DONE if calm else wording.MARKS[notice.level]
    return Message(
        notice,
        mark,
        wording.title(notice),
        wording.plain(notice.said, _LONGEST_SAID),
        items,
        len(gravest_first) - len(items),
    )


def anchor(rule: str) -> str:
    """Return the anchor of a rule's runbook: its name, as headings are linked to."""
    return "".join(char if char.isalnum() or char in "_-" else "-" for char in rule.lower())


def _item(alert: Alert, notice: Notice, links: Links) -> Item:
    said = " ".join(part for part in (alert.about, alert.said) if part)
    hint = "" if notice.kind in ("resolved", "test") or not alert.open else f"ion alerts ack {alert.id}"
    return Item(
        alert,
        f"{alert.level}: {wording.subject(alert)}",
        wording.plain(said, _LONGEST_SAID),
        tuple(wording.facts(alert)),
        links.of(alert),
        hint,
    )


class Row(NamedTuple):
    """An alert of the day, in a line."""

    level: str
    what: str
    since: str
    state: str
    open: bool


@dataclass(frozen=True, slots=True)
class Day:
    """A digest as it is shown: its title, its alerts, and how many more there were."""

    title: str
    rows: tuple[Row, ...]
    more: int


def day_of(notice: Notice) -> Day:
    """Return the alerts of a digest as they are shown."""
    rows = tuple(_row(alert) for alert in notice.alerts[:MOST_ROWS])
    return Day(wording.title(notice), rows, len(notice.alerts) - len(rows))


def _row(alert: Alert) -> Row:
    what = f"{alert.level} {wording.subject(alert)}: {wording.measured(alert)}"
    if alert.resolved_s is not None:
        state = f"resolved after {wording.lasting(alert.resolved_s - alert.since_s)}"
    elif alert.acknowledged_s is not None:
        state = "acknowledged"
    else:
        state = "inhibited" if alert.inhibited_by else "silenced" if alert.silenced_by else "firing"
    return Row(alert.level, what, wording.moment(alert.since_s), state, alert.open)
