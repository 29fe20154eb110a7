"""``ion doctor``: find out why something does not work, and say what to do."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from producers.cli.collaborators import Check, Collaborators, collaborators
from producers.cli.report import FAILED, OK, console, explain, print_json

DOCTOR_EXAMPLES = ("ion doctor", "ion doctor --json")

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the installation, the local stack and the fleet; exit code 1 when something fails."""
    checks = all_checks(collaborators(context))
    found = list(checks) if as_json else list(_shown(checks))
    failed = sum(check.status == "fail" for check in found)
    if as_json:
        print_json({"healthy": not failed, "checks": [asdict(check) for check in found]})
    else:
        warned = sum(check.status == "warn" for check in found)
        console().print(f"\n{len(found)} checks, {failed} failed, {warned} with a remark")
    raise typer.Exit(FAILED if failed else OK)


def all_checks(given: Collaborators) -> Iterator[Check]:
    """Yield every check as it is made; one that breaks is a failed check, and the next one follows."""
    from producers.cli.doctor_alerts import alert_checks  # noqa: PLC0415
    from producers.cli.doctor_dead import dead_checks  # noqa: PLC0415
    from producers.cli.doctor_fleet import fleet_checks  # noqa: PLC0415
    from producers.cli.doctor_gateway import gateway_checks  # noqa: PLC0415
    from producers.cli.doctor_installation import installation_checks  # noqa: PLC0415
    from producers.cli.doctor_notices import notice_checks  # noqa: PLC0415

    yield from guarded("installation", installation_checks())
    yield from guarded("local stack", given.checks())
    yield from guarded("fleet", fleet_checks(given.fleet))
    yield from guarded("dead letters", dead_checks(given.fleet))
    yield from guarded("alerts", alert_checks(given.fleet))
    yield from guarded("notifications", notice_checks(given.fleet))
    yield from guarded("gateway", gateway_checks())


def guarded(name: str, checks: Iterable[Check]) -> Iterator[Check]:
    """Yield *checks*; what they raise ends them as a failed check called *name*."""
    try:
        yield from checks
    except Exception as error:  # noqa: BLE001 - a doctor does not die of what the patient has
        trouble = explain(error)
        subject = f"{trouble.field} {trouble.problem}" if trouble.field else trouble.problem
        yield Check(name, "fail", subject, trouble.fix)


def _shown(checks: Iterable[Check]) -> Iterator[Check]:
    from rich.text import Text  # noqa: PLC0415

    out = console()
    for check in checks:
        status = (f"{check.status:<5}", _STYLES[check.status])
        out.print(Text.assemble(status, (f"{check.name:<18}", "bold"), check.found), soft_wrap=True)
        if check.fix and check.status != "ok":
            out.print(Text(f"{'':<23}-> {check.fix}"), soft_wrap=True)
        yield check
