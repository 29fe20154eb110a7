"""``ion alerts channels`` and ``ion alerts digest``: where notices go, what became of them, and the day."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from producers.cli.alerts import Json
from producers.cli.collaborators import collaborators
from producers.cli.report import FAILED, OK, UNAVAILABLE, console, print_json, tell

if TYPE_CHECKING:
    from workers.monitoring.alerts.alert import Notice
    from workers.monitoring.notices.outbox import Tally

CHANNELS_EXAMPLES = ("ion alerts channels", "ion alerts channels --json")
DIGEST_EXAMPLES = ("ion alerts digest", "ion alerts digest --html > digest.html", "ion alerts digest --send")

DAY_S = 24 * 3_600


class ChannelRow(NamedTuple):
    """One channel: which levels go there, what became of the day's notices, and what is wrong now."""

    channel: str
    set: bool
    levels: tuple[str, ...]
    sent: int
    merged: int
    waiting: int
    failed: int
    last_ms: int | None
    why: str


def channels(context: typer.Context, *, as_json: Json = False) -> None:
    """Show where notices go, and what became of those of the last 24 hours.

    Which channels are set is read here, from this environment; what was sent, from the fleet's database.
    """
    from producers.cli.alerts_place import own_notifier  # noqa: PLC0415
    from producers.cli.dead_place import database_of  # noqa: PLC0415
    from workers.store.engine import open_store  # noqa: PLC0415
    from workers.store.outbox import SqlOutbox  # noqa: PLC0415

    there = own_notifier().there
    url, running = database_of(collaborators(context).fleet)
    with open_store(url, create=running) as store:
        tally = SqlOutbox(store).tally(int((time.time() - DAY_S) * 1000))
    rows = rows_of(there, tally)
    if as_json:
        print_json({"channels": [row_json(row) for row in rows]})
    else:
        _show(rows)


def digest(
    context: typer.Context,
    *,
    html: Annotated[bool, typer.Option("--html", help="Print the HTML of the mail.")] = False,
    send: Annotated[bool, typer.Option("--send", help="Send it by e-mail, now.")] = False,
    as_json: Json = False,
) -> None:
    """Show the digest of the last 24 hours, as it is mailed each day.

    With --send it goes out from here, by the mail settings of this environment.  Exit code 1: the mail server
    refused it; 2: none is set; 3: it did not answer.
    """
    import msgspec  # noqa: PLC0415

    from workers.monitoring.notices.channels.mail import bodies  # noqa: PLC0415
    from workers.monitoring.notices.channels.opening import links_of  # noqa: PLC0415
    from workers.monitoring.notices.settings import ChannelSettings  # noqa: PLC0415

    notice = _digest(context)
    assert notice.digest is not None  # noqa: S101 - that is what it is
    if as_json:
        alerts = [{"rule": alert.rule, "level": alert.level, "state": alert.state} for alert in notice.alerts]
        print_json({"said": notice.said, **msgspec.to_builtins(notice.digest), "alerts": alerts})
    elif not send or html:
        shown = bodies(notice, links_of(ChannelSettings()))
        print(shown.html if html else shown.text.rstrip())
    if send:
        raise typer.Exit(_send(notice))


def rows_of(there: Mapping[str, object], tally: Mapping[str, "Tally"]) -> list[ChannelRow]:
    """Return a row for each channel there is, and for those that notices once went to."""
    from workers.monitoring.alerts.alert import CHANNELS  # noqa: PLC0415
    from workers.monitoring.notices.outbox import Tally  # noqa: PLC0415
    from workers.monitoring.notices.routing import ROUTES  # noqa: PLC0415

    rows = []
    for name in (*CHANNELS, *sorted(set(tally) - set(CHANNELS))):
        one = tally.get(name, Tally())
        levels = tuple(level for level, routed in ROUTES.items() if name in routed)
        counts = (one.sent, one.merged, one.waiting, one.failed)
        rows.append(ChannelRow(name, name in there, levels, *counts, one.last_ms or None, one.why))
    return rows


def row_json(row: ChannelRow) -> dict[str, Any]:
    """Return *row* as ``--json`` prints it; its time in UTC."""
    from producers.cli.operator import when  # noqa: PLC0415

    fields = {name: value for name, value in row._asdict().items() if name != "last_ms"}
    return {**fields, "levels": list(row.levels), "last": when(row.last_ms)}


def _digest(context: typer.Context) -> "Notice":
    from producers.cli.dead_place import database_of  # noqa: PLC0415
    from workers.monitoring.alerts.alert import short_id  # noqa: PLC0415
    from workers.monitoring.history import Reader  # noqa: PLC0415
    from workers.monitoring.notices.digesting import digest_of_day  # noqa: PLC0415
    from workers.store.alerts import AlertStore  # noqa: PLC0415
    from workers.store.engine import open_store  # noqa: PLC0415
    from workers.store.metric_history import SqlHistory  # noqa: PLC0415
    from workers.store.outbox import SqlOutbox  # noqa: PLC0415

    now_s = time.time()
    url, running = database_of(collaborators(context).fleet)
    with open_store(url, create=running) as store:
        past, reader, outbox = AlertStore(store), Reader(SqlHistory(store)), SqlOutbox(store)
        return digest_of_day(past, reader, outbox, now_s, short_id("digest", now_s))


def _send(notice: "Notice") -> int:
    from persona_system.errors import InvalidInput  # noqa: PLC0415
    from producers.cli.alerts_place import own_notifier  # noqa: PLC0415
    from producers.cli.alerts_show import SETTINGS  # noqa: PLC0415
    from workers.monitoring.notices.channels.errors import ChannelError, Refused  # noqa: PLC0415

    mail = own_notifier().there.get("email")
    if mail is None:
        raise InvalidInput(
            "--send", "needs e-mail", f"set {SETTINGS['email']}; docs/notifications.md says how"
        )
    try:
        mail.send(notice)
    except ChannelError as error:
        tell(f"error: {error.why}")
        return FAILED if isinstance(error, Refused) else UNAVAILABLE
    tell("the digest was sent")
    return OK


def _show(rows: list[ChannelRow]) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from producers.cli.dead_filters import short_age  # noqa: PLC0415
    from producers.cli.dead_payload import printable  # noqa: PLC0415

    now_ms = time.time() * 1000
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("channel", "", "levels", "sent", "waiting", "failed", "last sent", "trouble"):
        right = heading in ("sent", "waiting", "failed")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in rows:
        state = ("set", "green") if row.set else ("not set here", "dim")
        counts: list[tuple[Any, str]] = [
            (row.sent + row.merged, ""),
            (row.waiting, "yellow" if row.waiting else ""),
            (row.failed, "bold red" if row.failed else ""),
        ]
        table.add_row(
            Text(printable(row.channel)),
            Text(*state),
            Text(", ".join(row.levels) if row.levels else "when no other is set"),
            *(Text(f"{count:,}", style) for count, style in counts),
            Text("never" if row.last_ms is None else f"{short_age(int(now_ms) - row.last_ms)} ago"),
            Text(printable(row.why), "red"),
        )
    console().print(table)
