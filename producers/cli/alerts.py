"""``ion alerts``: what is wrong, who has taken it on, and whether people would hear of it.

The commands' options only; what they show stands in ``alerts_show``.
"""

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from persona_system.errors import InvalidInput
from producers.cli.collaborators import collaborators
from producers.cli.dead_filters import since_ms
from producers.cli.report import FAILED, OK, UNAVAILABLE, console, print_json, tell

if TYPE_CHECKING:
    from workers.monitoring.alerts.alert import Alert
    from workers.store.alerts import AlertStore

LIST_EXAMPLES = ("ion alerts list", "ion alerts list --level critical --json")
SHOW_EXAMPLES = ("ion alerts show 5f2c9a0b", "ion alerts show 5f2c9a0b --json")
ACK_EXAMPLES = ("ion alerts ack 5f2c9a0b", "ion alerts ack --all")
HISTORY_EXAMPLES = ("ion alerts history", "ion alerts history --newer-than 30d --rule availability --json")
RULES_EXAMPLES = ("ion alerts rules", "ION_ALERT_RULES=my.toml ion alerts rules --json")
TEST_EXAMPLES = ("ion alerts test --channel slack", "ion alerts test --json")

LATE_S = 15  # without a look at the rules for so long, what is listed may be old


class Level(StrEnum):
    """How grave an alert is."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Channel(StrEnum):
    """Where notices go."""

    PAGERDUTY = "pagerduty"
    SLACK = "slack"
    EMAIL = "email"
    SENTRY = "sentry"
    LOG = "log"


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Rule = Annotated[str | None, typer.Option(help="Only of this rule; `ion alerts rules` lists them.")]
Levels = Annotated[Level | None, typer.Option(help="Only of this level.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Of an alert; may be cut short.")]


def list_alerts(
    context: typer.Context, *, level: Levels = None, rule: Rule = None, as_json: Json = False
) -> None:
    """Show the alerts that go on, the gravest first.

    An alert fires until somebody acknowledges it, and is resolved by itself when what it is about is over.
    """
    from producers.cli import alerts_show  # noqa: PLC0415 - this loads SQLAlchemy
    from producers.cli.alerts_place import reached  # noqa: PLC0415

    with reached(collaborators(context).fleet) as (alerts, _):
        found, evaluated_s = alerts.open_alerts(), alerts.evaluated_s()
    wanted = alerts_show.gravest_first(alert for alert in found if _is(alert, level, rule))
    now_s = time.time()
    if as_json:
        print_json(alerts_show.list_json(wanted, evaluated_s, now_s))
    else:
        alerts_show.show_list(wanted, now_s, "no alerts")
    if evaluated_s is None:
        tell("the rules were never judged: start a fleet with `ion up`, or workers with ION_DATABASE_URL")
    elif now_s - evaluated_s > LATE_S:
        silent = alerts_show.ago(now_s - evaluated_s)
        tell(f"the rules were last judged {silent}: what is listed may be old; see `ion doctor`")


def show(context: typer.Context, alert_id: Id, *, as_json: Json = False) -> None:
    """Show one alert: what was found, since when, what moved along, and who knows of it."""
    from producers.cli import alerts_show  # noqa: PLC0415
    from producers.cli.alerts_place import reached  # noqa: PLC0415

    with reached(collaborators(context).fleet) as (alerts, _):
        alert = the_one(alerts, alert_id)
    if as_json:
        print_json(alerts_show.alert_json(alert))
    else:
        alerts_show.show_alert(alert, time.time())


def ack(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Of alerts.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that are firing.")] = False,
    as_json: Json = False,
) -> None:
    """Take alerts on: they are not told again, and PagerDuty pages no further.

    They stay listed until they are resolved.  The audit log notes who did it.
    """
    from producers.cli import alerts_show  # noqa: PLC0415
    from producers.cli.alerts_place import reached  # noqa: PLC0415
    from producers.cli.operator import deed, now_ms  # noqa: PLC0415

    if bool(ids) == every:
        raise InvalidInput("ID", "and --all: one of them is needed", "name alerts, or give --all")
    at_ms = now_ms()
    taken = []
    with reached(collaborators(context).fleet) as (alerts, log):
        chosen = alerts.open_alerts() if every else [the_one(alerts, one) for one in ids or ()]
        for alert in chosen:
            if alert.state == "firing":
                note = deed("alerts.ack", f"{alert.id} {alert.rule}", at_ms)
                log.append(note)
                after = alerts.acknowledge(alert.id, note.subject, at_ms / 1000)
            else:
                after = alert
            taken.append(alert if after is None else after)
    if as_json:
        print_json({"alerts": [alerts_show.alert_json(alert) for alert in taken]})
        return
    for alert in taken:
        console().print(alerts_show.acknowledged(alert), soft_wrap=True, markup=False)
    if not taken:
        tell("no alert is firing")


def history(
    context: typer.Context,
    *,
    newer: Annotated[str, typer.Option("--newer-than", metavar="AGE", help="Such as 12h or 30d.")] = "7d",
    level: Levels = None,
    rule: Rule = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the alerts of the last days, the latest first; they are kept for 90 days."""
    from producers.cli import alerts_show  # noqa: PLC0415
    from producers.cli.alerts_place import reached  # noqa: PLC0415

    now_s = time.time()
    since_s = since_ms("--newer-than", newer, int(now_s * 1000)) / 1000
    with reached(collaborators(context).fleet) as (alerts, _):
        found = alerts.history(since_s, limit, rule, None if level is None else level.value)
    if as_json:
        print_json({"alerts": [alerts_show.alert_json(alert) for alert in found]})
    else:
        alerts_show.show_list(found, now_s, "no alerts in that time")


def rules(
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that are switched off, too.")] = False,
    as_json: Json = False,
) -> None:
    """Show the rules that alerts come from: ours, as the file of ION_ALERT_RULES changes them.

    A file that cannot be used ends with 2, and is told by its rule and field; workers go on with ours then.
    """
    from producers.cli import alerts_show  # noqa: PLC0415
    from workers.monitoring.alerts.rules import all_rules  # noqa: PLC0415
    from workers.monitoring.alerts.settings import AlertSettings  # noqa: PLC0415

    found = [rule for rule in all_rules(AlertSettings().alert_rules).values() if rule.enabled or every]
    if as_json:
        print_json({"rules": [alerts_show.rule_json(rule) for rule in found]})
    else:
        alerts_show.show_rules(found)


def send_test(
    *,
    channel: Annotated[
        list[Channel] | None, typer.Option(help="Only this one; may be repeated. Default: all that are set.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send a test notice, and say what became of it.

    It goes out from here with the settings of this environment, not from a worker.  Exit code 1: a channel
    refused it; 2: it is not configured; 3: it did not answer.
    """
    from producers.cli import alerts_show  # noqa: PLC0415
    from producers.cli.alerts_place import own_notifier  # noqa: PLC0415

    notifier = own_notifier()
    names = list(dict.fromkeys(channel)) if channel else sorted(notifier.there)
    for name in names:
        if name not in notifier.there:
            fix = f"set {alerts_show.SETTINGS[str(name)]}; docs/notifications.md says how"
            raise InvalidInput("--channel", f"{name} is not configured", fix)
    found = [notifier.test_channel(str(name)) for name in names]
    if as_json:
        print_json({"channels": [alerts_show.tested_json(one) for one in found]})
    else:
        alerts_show.show_tested(found)
    states = {one.state for one in found}
    raise typer.Exit(FAILED if "refused" in states else UNAVAILABLE if "away" in states else OK)


def the_one(alerts: "AlertStore", alert_id: str) -> "Alert":
    """Return the alert of this id, or the only one whose id begins so; raise InvalidInput."""
    found = alerts.find(alert_id) if alert_id else []
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInput("ID", "begins the ids of several alerts", "give more of it")
    raise InvalidInput("ID", "is that of no alert", "`ion alerts list` and `ion alerts history` show them")


def _is(alert: "Alert", level: Level | None, rule: str | None) -> bool:
    return level in (None, alert.level) and rule in (None, alert.rule)
