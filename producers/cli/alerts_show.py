"""How alerts, rules and silences look: tables for people, objects for programs.  Times are in UTC."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from producers.cli.dead_filters import short_age
from producers.cli.dead_payload import printable
from producers.cli.operator import when
from producers.cli.report import console, tell
from workers.monitoring.alerts.alert import LEVELS, Alert
from workers.monitoring.alerts.rule import Rule
from workers.monitoring.alerts.silences import Silence
from workers.monitoring.notices.wording import figure, lasting

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from workers.monitoring.notices.notifier import Tested

SETTINGS = {  # what switches a channel on
    "slack": "ION_ALERT_SLACK_WEBHOOK_URL",
    "pagerduty": "ION_ALERT_PAGERDUTY_ROUTING_KEY",
    "email": "ION_ALERT_SMTP_HOST and ION_ALERT_SMTP_TO",
    "sentry": "ION_SENTRY_DSN",
}
_COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "blue"}
_STATES = {"firing": "red", "acknowledged": "yellow", "resolved": "green"}
_SHORT_ID = 8
_PASSED_ON = (  # of an alert, to programs as it is
    *("id", "rule", "level", "state", "cause", "labels", "collection", "how", "value", "unit", "comparison"),
    *("threshold", "window_s", "said", "about", "occurrences", "escalations", "acknowledged_by"),
    *("inhibited_by", "silenced_by"),
)


def gravest_first(alerts: Iterable[Alert]) -> list[Alert]:
    """Return *alerts* in the order of their levels: what people were told of first, then the latest."""

    def place(alert: Alert) -> tuple[int, bool, float, str, str]:
        level = LEVELS.index(alert.level)
        return (level, alert.told_s is None, -alert.fired_s, alert.rule, alert.id)

    return sorted(alerts, key=place)


def alert_json(alert: Alert) -> dict[str, Any]:
    """Return *alert* as ``--json`` prints it."""
    fields: dict[str, Any] = {name: getattr(alert, name) for name in _PASSED_ON}
    lists = {name: list(getattr(alert, name)) for name in ("along", "tags", "channels")}
    moments = ("since", "fired", "seen", "told", "acknowledged", "escalated", "resolved")
    return {**fields, **lists, **{name: _moment(getattr(alert, f"{name}_s")) for name in moments}}


def list_json(alerts: Sequence[Alert], evaluated_s: float | None, now_s: float) -> dict[str, Any]:
    """Return the open alerts, and how old the latest judgement is."""
    age_s = None if evaluated_s is None else round(max(0.0, now_s - evaluated_s), 1)
    return {
        "alerts": [alert_json(alert) for alert in alerts],
        "evaluated": _moment(evaluated_s),
        "evaluation_age_s": age_s,
    }


def silence_json(silence: Silence, now_s: float) -> dict[str, Any]:
    """Return *silence* as ``--json`` prints it."""
    return {
        "id": silence.id,
        "rule": silence.rule,
        "level": silence.level,
        "labels": silence.labels,
        "made": _moment(silence.made_s),
        "until": _moment(silence.until_s),
        "ended": _moment(silence.ended_s),
        "holds": silence.holds(now_s),
        "by": silence.by,
        "why": silence.why,
    }


def rule_json(rule: Rule) -> dict[str, Any]:
    """Return *rule* as ``--json`` prints it."""
    fields: dict[str, Any] = msgspec.to_builtins(rule)
    return {**fields, "how": rule.made, "unit": rule.unit}


def tested_json(tested: "Tested") -> dict[str, Any]:
    """Return what became of a test notice."""
    return {
        "channel": tested.channel,
        "state": tested.state,
        "why": tested.why,
        "took_ms": round(tested.took_ms),
    }


def show_list(alerts: Sequence[Alert], now_s: float, nothing: str) -> None:
    """Print a table of *alerts*."""
    if not alerts:
        tell(nothing)
        return
    table = _table("id", "level", "state", "rule", "where", "found", "for")
    for alert in alerts:
        until_s = now_s if alert.resolved_s is None else alert.resolved_s
        table.add_row(
            _text(alert.id[:_SHORT_ID]),
            _text(alert.level, _COLOURS[alert.level]),
            _state(alert),
            _text(alert.rule),
            _text(", ".join(alert.labels.values())),
            _text(_found(alert)),
            _text(lasting(until_s - alert.since_s)),
        )
    console().print(table)


def show_alert(alert: Alert, now_s: float) -> None:
    """Print all that is known of *alert*."""
    until_s = now_s if alert.resolved_s is None else alert.resolved_s
    rows = [
        ("alert", alert.id),
        ("rule", alert.rule),
        ("level", alert.level),
        ("state", _told_state(alert)),
        ("where", ", ".join(f"{name} {value}" for name, value in sorted(alert.labels.items()))),
        ("found", alert.said),
        ("about", alert.about),
        ("along with", ", ".join(alert.along)),
        ("since", f"{_moment(alert.since_s)}, for {lasting(until_s - alert.since_s)}"),
        ("told", _moment(alert.told_s) or "nobody yet"),
        (
            "escalated",
            f"{alert.escalations} times, last {_moment(alert.escalated_s)}" if alert.escalations else "",
        ),
        ("resolved", _moment(alert.resolved_s) or ""),
        ("what to do", f"docs/operating.md#{alert.rule}"),
    ]
    table = _table("", "")
    table.show_header = False
    for name, value in rows:
        if value:
            table.add_row(_text(name, "bold"), _text(value))
    console().print(table)


def show_rules(rules: Sequence[Rule]) -> None:
    """Print a table of *rules*."""
    table = _table("rule", "level", "fires when", "over", "judged")
    for rule in rules:
        table.add_row(
            _text(rule.name if rule.enabled else f"{rule.name} (off)"),
            _text(rule.level, _COLOURS[rule.level]),
            _text(_condition(rule)),
            _text(lasting(rule.window_s)),
            _text(f"{rule.occurrences} x each {lasting(rule.every_s)}"),
        )
    console().print(table)


def show_silences(silences: Sequence[Silence], now_s: float) -> None:
    """Print a table of *silences*."""
    if not silences:
        tell("nothing is silenced")
        return
    table = _table("id", "silences", "until", "by", "why")
    for silence in silences:
        until = _moment(silence.until_s) or ""
        if silence.ended_s is not None:
            until = f"lifted {_moment(silence.ended_s)}"
        elif not silence.holds(now_s):
            until = f"over since {until}"
        table.add_row(*(_text(cell) for cell in (silence.id, scope(silence), until, silence.by, silence.why)))
    console().print(table)


def show_tested(found: Sequence["Tested"]) -> None:
    """Print what became of test notices."""
    said = {"sent": "took it", "refused": "refused it", "away": "did not take it"}
    for one in found:
        why = f": {one.why}" if one.why else ""
        line = f"{one.channel} {said.get(one.state, one.state)} in {one.took_ms:.0f} ms{why}"
        console().print(printable(line), soft_wrap=True, markup=False)


def scope(silence: Silence) -> str:
    """Return what *silence* is about."""
    parts = [silence.rule or "", f"level {silence.level}" if silence.level else ""]
    parts += [f"{name}={value}" for name, value in sorted(silence.labels.items())]
    return ", ".join(part for part in parts if part) or "everything"


def acknowledged(alert: Alert) -> str:
    """Return a line on an alert that somebody wanted to acknowledge."""
    if alert.state == "resolved":
        return f"{alert.id} is resolved already"
    return f"{alert.id} {printable(alert.rule)}: acknowledged by {printable(alert.acknowledged_by or '')}"


def ago(seconds: float) -> str:
    """Return an age, such as ``3 min ago``."""
    return f"{short_age(int(seconds * 1000))} ago"


def _condition(rule: Rule) -> str:
    where = "".join(f" {value}" for _, value in sorted(rule.where.items()))
    limit = f"{rule.made} of {rule.collection}{where} {rule.comparison} {figure(rule.threshold, rule.unit)}"
    if not rule.absent_s:
        return limit
    absence = f"not measured for {lasting(rule.absent_s)}"
    never = rule.comparison == "below" and rule.threshold <= 0  # what is counted is never below 0
    return f"{rule.collection} {absence}" if never else f"{limit}, or {absence}"


def _found(alert: Alert) -> str:
    if alert.cause == "absence":
        return "not measured"
    return f"{figure(alert.value, alert.unit)}, {alert.comparison} {figure(alert.threshold, alert.unit)}"


def _state(alert: Alert) -> "Text":
    if alert.open and alert.silenced_by is not None:
        return _text("silenced", "dim")
    if alert.open and alert.inhibited_by is not None:
        return _text("inhibited", "dim")
    return _text(alert.state, _STATES[alert.state])


def _told_state(alert: Alert) -> str:
    said: str = alert.state
    if alert.acknowledged_by is not None:
        said += f", acknowledged by {alert.acknowledged_by} {_moment(alert.acknowledged_s)}"
    if alert.open and alert.silenced_by is not None:
        said += f", silenced by {alert.silenced_by}"
    if alert.open and alert.inhibited_by is not None:
        said += f", told by {alert.inhibited_by}"
    return said


def _table(*headings: str) -> "Table":
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=heading in ("id", "level", "rule"), overflow="fold")
    return table


def _text(cell: str, style: str = "") -> "Text":
    from rich.text import Text  # noqa: PLC0415

    return Text(printable(cell), style=style)


def _moment(at_s: float | None) -> str | None:
    return None if at_s is None else when(int(at_s * 1000))
