"""``ion jobs trace``: follow one job from its sender to its end."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from producers.cli.collaborators import Fleet, collaborators
from producers.cli.report import FAILED, console, print_json

if TYPE_CHECKING:
    from producers.cli.jobs_timeline import Timeline
    from producers.settings import ClientSettings

TRACE_EXAMPLES = (
    "ion jobs trace 9b2f6c0d1e4a5b37-1f",
    "ion jobs trace order-4711 --json",
)


def trace(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(metavar="JOB_ID", help="As the client or the gateway told it.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show one job's way: when it was accepted, in which batch it went, who took it, and how it ended.

    Durable jobs can be followed for an hour, others while they are among their client's latest 1,000 batches.
    Exit codes: 0 something is known, 1 nothing is, 2 no id, 3 the fleet cannot be asked.
    """
    from producers.cli.jobs_facts import look_for  # noqa: PLC0415
    from producers.cli.jobs_timeline import timeline_of  # noqa: PLC0415
    from producers.requests import check_job_id  # noqa: PLC0415

    fleet = collaborators(context).fleet
    settings = _settings(fleet)
    facts = look_for(check_job_id(job_id), settings, _database(fleet))
    found = timeline_of(facts)
    link = _link(settings, found.trace_id)
    if as_json:
        print_json(timeline_json(found, link))
    else:
        _print(found, link)
    if not facts.known:
        raise typer.Exit(FAILED)


def timeline_json(found: "Timeline", link: str | None) -> dict[str, Any]:
    """Return a timeline as ``--json`` prints it; times in UTC."""
    return {
        "job_id": found.job_id,
        "status": found.status,
        "request_id": found.request_id,
        "trace_id": found.trace_id,
        "trace_url": link,
        "timeline": [
            {"at": _time(one.at_ms), "what": one.what, "told": one.told, **one.fields}
            for one in found.moments
        ],
        "notes": found.notes,
    }


def _print(found: "Timeline", link: str | None) -> None:
    out = console()
    out.print(f"job {found.job_id}: {found.status}", markup=False, soft_wrap=True)
    for one in found.moments:
        out.print(f"  {_time(one.at_ms)}  {one.what:<11}  {one.told}", markup=False, soft_wrap=True)
    for note in found.notes:
        out.print(f"  {note}", markup=False, soft_wrap=True, style="dim")
    if found.trace_id is not None:
        out.print(f"  trace {found.trace_id}{f'  {link}' if link else ''}", markup=False, soft_wrap=True)


def _settings(fleet: Fleet) -> "ClientSettings":
    found = fleet.find()
    if found is not None:
        return found
    from producers.settings import ClientSettings  # noqa: PLC0415

    return ClientSettings()  # its urls() say that there is no fleet


def _database(fleet: Fleet) -> str | None:
    from producers.cli.dead_place import database_of  # noqa: PLC0415
    from producers.errors import Unavailable  # noqa: PLC0415

    try:
        return database_of(fleet)[0]
    except Unavailable:
        return None


def _link(settings: "ClientSettings", trace_id: str | None) -> str | None:
    if settings.trace_url is None or trace_id is None:
        return None
    return settings.trace_url.replace("{trace_id}", trace_id)


def _time(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
