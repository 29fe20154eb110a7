"""``ion dashboard``: the five dashboards in a terminal, as files, and for Grafana."""

import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from persona_system.errors import InvalidInput
from producers.cli.collaborators import collaborators
from producers.cli.report import UNAVAILABLE, console, print_json, tell

if TYPE_CHECKING:
    from producers.dashboards import Dashboards
    from workers.monitoring.dashboards.model import Dashboard

NAMES: Mapping[str, str] = {
    "overview": "Is all well, and if not, where to look.",
    "performance": "How fast answers come, and why.",
    "reliability": "What goes wrong, how often, where.",
    "cache": "What the answer cache saves.",
    "infrastructure": "Workers, machines, queues, database.",
}
"""Their names and what each is for; written out, so that ``ion --help`` need not load their definitions."""

LIST_EXAMPLES = ("ion dashboard list", "ion dashboard list --json")
EXPORT_EXAMPLES = ("ion dashboard export grafana -o grafana/",)

EVERY_S = 5.0  # as often as processes report
_NOTHING = "nothing has been measured in the last {window}; start a stack with `ion up` and send it something"


class Format(StrEnum):
    """How a dashboard is written."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"
    MD = "md"


class Window(StrEnum):
    """What a dashboard looks back on."""

    HOUR = "1h"
    HOURS_6 = "6h"
    DAY = "24h"
    DAYS_3 = "72h"


class Target(StrEnum):
    """For whom dashboards are exported."""

    GRAFANA = "grafana"


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def examples_of(name: str) -> Sequence[str]:
    """Return examples of ``ion dashboard NAME``."""
    return (
        f"ion dashboard {name}",
        f"ion dashboard {name} --window 24h --watch",
        f"ion dashboard {name} --format html > {name}.html",
        f"ion dashboard {name} --json",
    )


def command_of(name: str) -> Callable[..., None]:
    """Return the command that shows the dashboard *name*."""

    def show(
        context: typer.Context,
        *,
        how: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TEXT,
        window: Annotated[Window, typer.Option(help="How far to look back.")] = Window.HOUR,
        watching: Annotated[
            bool, typer.Option("--watch", help="Show it anew every 5 seconds, until Ctrl-C.")
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Show the dashboard as it is now: each number with the span that it is over, and its age.

        Figures that break an alert rule say so.  Where nothing was measured there is "no data".
        """
        how = Format.JSON if as_json else how
        if watching and how is not Format.TEXT:
            problem = f"and --format {how} exclude each other"
            raise InvalidInput("--watch", problem, "leave one of them out")
        from workers.monitoring.dashboards.ahead import WINDOWS_S  # noqa: PLC0415

        with _opened(context) as dashboards:
            if watching:
                _watch(lambda: dashboards.built(name, WINDOWS_S[window]))
                return
            board = dashboards.built(name, WINDOWS_S[window])
        _write(board, how)
        if board.age_s is None:
            tell(_NOTHING.format(window=window))
            raise typer.Exit(UNAVAILABLE)

    return show


def list_dashboards(*, as_json: Json = False) -> None:
    """Show which dashboards there are, and what question each answers."""
    from workers.monitoring.dashboards.definitions import DASHBOARDS  # noqa: PLC0415

    if as_json:
        found = [{"name": one.name, "title": one.title, "about": one.about} for one in DASHBOARDS.values()]
        print_json({"dashboards": found})
        return
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, show_header=False)
    for one in DASHBOARDS.values():
        table.add_row(f"[bold]{one.name}[/]", one.about)
    console().print(table)


def export(
    target: Annotated[Target, typer.Argument(help="For whom.")],
    directory: Annotated[
        Path,
        typer.Option("-o", "--output", file_okay=False, help="Where the files go; it is made if need be."),
    ],
    *,
    as_json: Json = False,
) -> None:
    """Write all dashboards as files that Grafana imports, over a Prometheus that scrapes the gateway."""
    from workers.monitoring.dashboards.grafana import files  # noqa: PLC0415

    _ = target
    written = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files().items():
            (directory / name).write_text(text, encoding="utf-8")
            written.append(str(directory / name))
    except OSError as error:
        fix = "name a directory that you may write to"
        raise InvalidInput("--output", f"cannot be written to ({error.strerror})", fix) from None
    if as_json:
        print_json({"files": written})
    else:
        for file in written:
            console().print(file, soft_wrap=True)


def _opened(context: typer.Context) -> "Dashboards":
    from producers.dashboards import Dashboards, rules_in_effect  # noqa: PLC0415
    from producers.settings import ClientSettings  # noqa: PLC0415

    settings = collaborators(context).fleet.find() or ClientSettings()
    return Dashboards(settings.database_address(), rules_in_effect())


def _write(board: "Dashboard", how: Format) -> None:
    match how:
        case Format.TEXT:
            from workers.monitoring.dashboards.text import drawn  # noqa: PLC0415

            out = console()
            out.print(drawn(board, out.width))
        case Format.JSON:
            from workers.monitoring.dashboards.as_json import as_json  # noqa: PLC0415

            print_json(as_json(board))
        case Format.HTML:
            from workers.monitoring.dashboards.html import page  # noqa: PLC0415

            print(page(board), end="")
        case Format.MD:
            from workers.monitoring.dashboards.markdown import markdown  # noqa: PLC0415

            print(markdown(board), end="")


def _watch(build: "Callable[[], Dashboard]") -> None:
    """Show what *build* gives every few seconds, until Ctrl-C; say so while the database is away."""
    from rich.console import Group  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from producers.cli.interruption import Interruption, on_signals  # noqa: PLC0415
    from workers.monitoring.dashboards.text import drawn  # noqa: PLC0415
    from workers.store.errors import StoreError  # noqa: PLC0415

    out, stop = console(), Interruption()
    view: Any = drawn(build(), out.width)
    with on_signals(stop), Live(view, console=out, auto_refresh=False, vertical_overflow="crop") as live:
        while not stop.wait(EVERY_S):
            try:
                view = drawn(build(), out.width)
                live.update(view, refresh=True)
            except StoreError as error:
                at = time.strftime("%H:%M:%S")
                live.update(Group(Text(f"{at}: {error}; trying again", "bold red"), view), refresh=True)
