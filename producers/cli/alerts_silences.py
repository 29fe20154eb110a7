"""``ion alerts silence``, ``unsilence`` and ``silences``: whom not to tell of what, for a while."""

import secrets
from typing import Annotated

import typer

from persona_system.errors import InvalidInput
from producers.cli.alerts import Json, Level
from producers.cli.collaborators import collaborators
from producers.cli.dead_filters import age_ms
from producers.cli.report import console, print_json

SILENCE_EXAMPLES = (
    'ion alerts silence --rule cpu_utilization --for 2h --why "load test"',
    'ion alerts silence --label region=eu --level medium --for 1d --why "moving the database"',
)
UNSILENCE_EXAMPLES = ("ion alerts unsilence 3f9a1c",)
SILENCES_EXAMPLES = ("ion alerts silences", "ion alerts silences --all --json")

_LONGEST_MS = 30 * 24 * 3_600_000
_LONGEST_WHY = 200


def silence(  # noqa: PLR0913 - the options of a command
    context: typer.Context,
    *,
    lasts: Annotated[str, typer.Option("--for", metavar="AGE", help="How long, such as 30m, 2h or 1d.")],
    why: Annotated[str, typer.Option(help="For whoever wonders.")],
    rule: Annotated[str | None, typer.Option(help="Alerts of this rule.")] = None,
    level: Annotated[Level | None, typer.Option(help="Alerts of this level.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="With this label; may be repeated.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All alerts.")] = False,
    as_json: Json = False,
) -> None:
    """Tell nobody of certain alerts for a while.

    They are judged and listed as ever.  What still goes on when the silence ends is told then; the end of
    what people were told of is told in any case.  The audit log notes who did it.
    """
    from producers.cli import alerts_show  # noqa: PLC0415 - this loads SQLAlchemy
    from producers.cli.alerts_place import reached  # noqa: PLC0415
    from producers.cli.operator import deed, now_ms  # noqa: PLC0415
    from workers.monitoring.alerts.silences import Silence  # noqa: PLC0415
    from workers.store.letters import cleaned  # noqa: PLC0415

    if (rule is None and level is None and not label) is not every:
        raise InvalidInput("--all", "or what to silence is needed, not both", "give --rule, --level, --label")
    _check_rule(rule)
    lasts_ms = age_ms("--for", lasts)
    if not 0 < lasts_ms <= _LONGEST_MS:
        raise InvalidInput("--for", "is too long or nothing", "give up to 30d")
    if not why.strip():
        raise InvalidInput("--why", "is empty", "say why, for whoever wonders")
    at_ms = now_ms()
    silence_id = secrets.token_hex(3)
    note = deed("alerts.silence", silence_id, at_ms)
    made = Silence(
        id=silence_id,
        rule=rule,
        level=None if level is None else level.value,
        labels=dict(_pair(one) for one in label or ()),
        made_s=at_ms / 1000,
        until_s=(at_ms + lasts_ms) / 1000,
        by=note.subject,
        why=cleaned(why.strip(), _LONGEST_WHY),
    )
    with reached(collaborators(context).fleet) as (alerts, log):
        log.append(deed("alerts.silence", f"{silence_id} {alerts_show.scope(made)}", at_ms))
        alerts.silence(made)
    if as_json:
        print_json(alerts_show.silence_json(made, at_ms / 1000))
    else:
        said = f"{silence_id} silences {alerts_show.scope(made)} for {lasts}"
        console().print(said, soft_wrap=True, markup=False)


def unsilence(
    context: typer.Context,
    silence_id: Annotated[str, typer.Argument(metavar="ID", help="Of a silence; may be cut short.")],
    *,
    as_json: Json = False,
) -> None:
    """End a silence before its time: what goes on is told within seconds."""
    from producers.cli import alerts_show  # noqa: PLC0415
    from producers.cli.alerts_place import reached  # noqa: PLC0415
    from producers.cli.operator import deed, now_ms  # noqa: PLC0415

    at_ms = now_ms()
    with reached(collaborators(context).fleet) as (alerts, log):
        silence_id = _the_one(silence_id, [one.id for one in alerts.silences(0)])
        log.append(deed("alerts.unsilence", silence_id, at_ms))
        lifted = alerts.lift(silence_id, at_ms / 1000)
    if as_json:
        print_json({} if lifted is None else alerts_show.silence_json(lifted, at_ms / 1000))
    else:
        console().print(f"{silence_id} silences nothing any more", soft_wrap=True)


def silences(
    context: typer.Context,
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    as_json: Json = False,
) -> None:
    """Show the silences that are in force: of what, until when, by whom and why."""
    from producers.cli import alerts_show  # noqa: PLC0415
    from producers.cli.alerts_place import reached  # noqa: PLC0415
    from producers.cli.operator import now_ms  # noqa: PLC0415

    now_s = now_ms() / 1000
    with reached(collaborators(context).fleet) as (alerts, _):
        found = [one for one in alerts.silences(0 if every else now_s) if every or one.holds(now_s)]
    if as_json:
        print_json({"silences": [alerts_show.silence_json(one, now_s) for one in found]})
    else:
        alerts_show.show_silences(found, now_s)


def _check_rule(rule: str | None) -> None:
    from workers.monitoring.alerts.deadman import RULE  # noqa: PLC0415
    from workers.monitoring.alerts.rules import all_rules  # noqa: PLC0415
    from workers.monitoring.alerts.settings import AlertSettings  # noqa: PLC0415

    if rule is not None and rule != RULE and rule not in all_rules(AlertSettings().alert_rules):
        raise InvalidInput("--rule", "names no rule", "`ion alerts rules --all` lists them")


def _the_one(begun: str, ids: list[str]) -> str:
    found = [one for one in ids if one.startswith(begun)] if begun else []
    if len(found) > 1 and begun not in found:
        raise InvalidInput("ID", "begins the ids of several silences", "give more of it")
    if not found:
        raise InvalidInput("ID", "is that of no silence", "`ion alerts silences --all` shows them")
    return begun if begun in found else found[0]


def _pair(label: str) -> tuple[str, str]:
    name, equals, value = label.partition("=")
    if not (name and equals and value):
        raise InvalidInput("--label", "is no label", "write NAME=VALUE, such as region=eu")
    return name, value
