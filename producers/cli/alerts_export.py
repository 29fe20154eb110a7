"""``ion alerts export``: the alert rules as files of Prometheus and Alertmanager."""

import enum
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from persona_system.errors import InvalidInput
from producers.cli.report import tell

if TYPE_CHECKING:
    from workers.monitoring.export.alertmanager import Receivers
    from workers.monitoring.notices.settings import ChannelSettings

EXPORT_EXAMPLES = (
    "ion alerts export prometheus -o /etc/prometheus/ion.rules.yml",
    "ion alerts export alertmanager -o /etc/prometheus/alertmanager.yml",
    "ion alerts export prometheus --rules my-rules.toml | promtool check rules",
)


class File(enum.StrEnum):
    """What can be exported."""

    PROMETHEUS = "prometheus"
    ALERTMANAGER = "alertmanager"


def export(
    file: Annotated[File, typer.Argument(help="A rule file, or who is told of which alert.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="Where to; default: stdout.")
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option("--rules", metavar="FILE", help="Rules of your own; default: those of ION_ALERT_RULES."),
    ] = None,
    faster: Annotated[
        float,
        typer.Option(min=1, max=1000, help="Divide windows and patience by this, to try an alert's way."),
    ] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write JSON, which both programs read as well.")
    ] = False,
) -> None:
    """Write the alert rules for Prometheus, or their routes for Alertmanager.

    The files say the same as the rules that the fleet judges itself (`ion alerts rules`).  Links, mail and
    addresses are those of ION_ALERT_*; secrets are never in them, but in files that they name.
    """
    from workers.monitoring.alerts.rules import load_rules  # noqa: PLC0415
    from workers.monitoring.alerts.settings import AlertSettings  # noqa: PLC0415 - so that help is quick
    from workers.monitoring.export.files import alertmanager_file, prometheus_file  # noqa: PLC0415
    from workers.monitoring.export.prometheus_rules import Options  # noqa: PLC0415
    from workers.monitoring.notices.settings import ChannelSettings  # noqa: PLC0415

    judged = load_rules(AlertSettings().alert_rules if rules is None else rules).values()
    settings = ChannelSettings()
    if file is File.PROMETHEUS:
        exported = prometheus_file(judged, Options(settings.runbooks_url or Options().runbooks, faster))
    else:
        exported = alertmanager_file(judged, receivers(settings), faster=faster)
    text = json.dumps(exported.document, ensure_ascii=False, indent=2) + "\n" if as_json else exported.text
    if output is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput("--output", f"cannot be written: {error.strerror}", "name another file") from None
    tell(f"wrote {output}")


def receivers(settings: "ChannelSettings") -> "Receivers":
    """Return where messages go, as far as *settings* say; the rest is to be filled in."""
    from workers.monitoring.export.alertmanager import Receivers  # noqa: PLC0415

    known = Receivers(
        slack_oncall=settings.slack_oncall,
        pagerduty_url=settings.pagerduty_url,
        smtp_tls=settings.smtp_security != "none",
        mail_from=settings.smtp_from,
    )
    if settings.smtp_host is None:
        return known
    smtp = f"{settings.smtp_host}:{settings.smtp_port}"
    return replace(known, smtp=smtp, mail_to=", ".join(settings.recipients))
