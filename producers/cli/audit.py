"""``ion audit``: who did, or was refused, what an operator may have to answer for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from producers.cli.dead_filters import since_ms
from producers.cli.report import console, print_json, tell

if TYPE_CHECKING:
    from workers.store.audit import Entry

AUDIT_EXAMPLES = ("ion audit", "ion audit --since 7d --json", "ion audit purge --older-than 400d")
PURGE_EXAMPLES = ("ion audit purge --older-than 400d",)

_SECONDS = len("2026-03-01T09:30:00")  # in UTC

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def audit(
    context: typer.Context,
    *,
    since: Annotated[str, typer.Option(metavar="AGE", help="Such as 30m, 24h or 7d.")] = "24h",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many.")] = 1_000,
    as_json: Json = False,
) -> None:
    """Show the audit log, the newest entries first.

    It has what admins did over HTTP, what callers were refused, and what was done with keys here.
    """
    if context.invoked_subcommand is not None:
        return
    from producers.cli.operator import database, now_ms  # noqa: PLC0415
    from workers.store.audit import AuditStore  # noqa: PLC0415

    after_ms = since_ms("--since", since, now_ms())
    with database() as store:
        log = AuditStore(store)
        found, total = log.find(after_ms, limit), log.count(after_ms)
    if as_json:
        print_json({"entries": [entry_json(entry) for entry in found], "total": total})
    else:
        _show(found, total)


def purge(
    *,
    older: Annotated[str, typer.Option("--older-than", metavar="AGE", help="Such as 400d.")],
    as_json: Json = False,
) -> None:
    """Delete old entries for good.  That this was done is an entry, too."""
    from producers.cli.operator import database, deed, now_ms  # noqa: PLC0415
    from workers.store.audit import AuditStore  # noqa: PLC0415

    at_ms = now_ms()
    before_ms = since_ms("--older-than", older, at_ms)
    with database() as store:
        deleted = AuditStore(store).purge(before_ms, deed("audit.purge", f"older than {older}", at_ms))
    if as_json:
        print_json({"deleted": deleted})
    else:
        console().print(f"{deleted:,} deleted", soft_wrap=True)


def entry_json(entry: "Entry") -> dict[str, Any]:
    """Return *entry* as ``--json`` prints it; its time in UTC."""
    from producers.cli.operator import when  # noqa: PLC0415

    return {
        "at": when(entry.at_ms),
        "subject": entry.subject,
        "role": entry.role,
        "proof": entry.proof,
        "action": entry.action,
        "target": entry.target,
        "allowed": entry.allowed,
        "request_id": entry.request_id,
        "address": entry.address,
    }


def _show(found: "Sequence[Entry]", total: int) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from producers.cli.dead_payload import printable  # noqa: PLC0415
    from producers.cli.operator import when  # noqa: PLC0415

    if not found:
        tell("nothing was recorded in that time")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("at", "who", "did", "to", "", "from"):
        table.add_column(heading, no_wrap=heading in ("at", "did", ""), overflow="fold")
    for entry in found:
        who = f"{entry.subject} ({entry.role})" if entry.subject else "unknown"
        allowed = "" if entry.allowed else "refused"
        at = (when(entry.at_ms) or "")[:_SECONDS]
        cells = (at, who, entry.action, entry.target, allowed, entry.address)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    out = console()
    out.print(table)
    if total > len(found):
        out.print(f"... and {total - len(found):,} more; see --limit", soft_wrap=True)
