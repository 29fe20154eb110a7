"""A dashboard on a terminal, with rich: colours by tone, and courses as bars of text.

What colour says is said in words, too, for terminals and people without it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from workers.monitoring.alerts.alert import Level
from workers.monitoring.dashboards import words
from workers.monitoring.dashboards.axes import scale_of_chart, scale_of_stat
from workers.monitoring.dashboards.bars import bars
from workers.monitoring.dashboards.model import (
    AlertsPanel,
    ChartPanel,
    Dashboard,
    Panel,
    SharesPanel,
    StatPanel,
    TablePanel,
    Tone,
)

_STYLES: Mapping[Tone, str] = {
    "unknown": "dim",
    "plain": "bold",
    "medium": "bold yellow",
    "high": "bold dark_orange",
    "critical": "bold red",
}
_LEVELS: Mapping[Level, str] = {
    "low": "dim",
    "medium": _STYLES["medium"],
    "high": _STYLES["high"],
    "critical": _STYLES["critical"],
}
_COLOURS = ("blue", "yellow", "cyan", "magenta", "red", "white")
_STAT = 26  # characters
_LABEL = 18
_SHARE = 24


def drawn(board: Dashboard, width: int) -> RenderableType:
    """Return *board* for a terminal of *width* columns."""
    stats = [panel for panel in board.panels if isinstance(panel, StatPanel)]
    newest = words.NO_DATA if board.age_s is None else f"newest figure {words.age(board.age_s)}"
    head = Text.assemble(
        (board.title, "bold"),
        f"  {board.about}\n",
        (f"{words.moment(board.at_s)}, over {words.span(board.window_s)}, {newest}", "dim"),
    )
    parts: list[RenderableType] = [head, Text(), Columns([_stat(panel) for panel in stats], width=_STAT)]
    for panel in board.panels:
        if not isinstance(panel, StatPanel):
            parts += [Text(), Text(panel.title, "bold"), *_body(panel, board.at_s, width)]
    return Group(*parts)


def _stat(panel: StatPanel) -> RenderableType:
    number = words.spoken(panel.reading.value, panel.subject.unit)
    broken = next((one for one in panel.limits if one.tone == panel.tone), None)
    lines = [
        Text(panel.title, "dim"),
        Text(number, _STYLES[panel.tone]),
        Text(words.basis(panel.subject, panel.reading), "dim", overflow="ellipsis", no_wrap=True),
    ]
    if broken is not None:
        lines.append(Text(words.limit_words(broken, panel.subject.unit), _STYLES[panel.tone]))
    lines.append(Text(bars(panel.line.values, _STAT - 2, scale_of_stat(panel)), "blue"))
    return Padding(Group(*lines), (0, 0, 1, 0))


def _body(panel: Panel, now_s: float, width: int) -> Iterator[RenderableType]:
    match panel:
        case ChartPanel():
            yield from _chart(panel, width)
        case SharesPanel():
            yield from _shares(panel)
        case TablePanel():
            yield from _table(panel)
        case AlertsPanel():
            yield from _alerts(panel, now_s)
        case StatPanel():
            return


def _chart(panel: ChartPanel, width: int) -> Iterator[RenderableType]:
    if not panel.traces:
        yield Text("no data in this window", "dim")
        return
    made = words.made([trace.subject.how for trace in panel.traces], panel.step_s)
    limits = [words.limit_words(one, panel.unit) for one in panel.limits]
    yield Text("; ".join([f"{made}, {words.age(panel.age_s)}", *limits]), "dim")
    scale = scale_of_chart(panel)
    longest = max(12, min(72, width - _LABEL - 3 * 11 - 4))
    rows = (
        (
            Text(trace.label, overflow="ellipsis"),
            Text(bars(trace.values, longest, scale), _COLOURS[number % len(_COLOURS)]),
            *words.ends(trace),
        )
        for number, trace in enumerate(panel.traces)
    )
    yield _grid(("", "", "latest", "lowest", "highest"), rows, left=2)


def _shares(panel: SharesPanel) -> Iterator[RenderableType]:
    if not panel.shares:
        yield Text("no data in this window", "dim")
        return
    yield _over(panel.window_s, panel.age_s)
    rows = (
        (
            share.label,
            Text("█" * round((share.percent or 0) * _SHARE / 100), _COLOURS[number % len(_COLOURS)]),
            words.spoken(share.percent, "%"),
            words.spoken(share.reading.value, panel.unit),
        )
        for number, share in enumerate(panel.shares)
    )
    yield _grid(("", "", "share", panel.unit), rows, left=2)


def _table(panel: TablePanel) -> Iterator[RenderableType]:
    if not panel.rows:
        yield Text("no data in this window", "dim")
        return
    yield _over(panel.window_s, panel.age_s)
    rows = [
        [Text(row.label), *(_cell(words.spoken(cell.value, cell.unit), tone) for cell, tone in row.cells)]
        for row in panel.rows
    ]
    yield _grid((panel.by, *(column.label for column in panel.columns)), rows, left=1)


def _cell(text: str, tone: Tone) -> Text:
    if tone in ("plain", "unknown"):
        return Text(text, "" if tone == "plain" else "dim")
    return Text(f"{text} ({tone})", _STYLES[tone])


def _alerts(panel: AlertsPanel, now_s: float) -> Iterator[RenderableType]:
    warning = words.judged(panel.age_s)
    if warning:
        yield Text(warning, "yellow")
    elif not panel.alerts:
        yield Text("none: no rule is broken", "green")
    for alert in panel.alerts:
        state = words.alert_state(alert)
        since = words.span(max(0.0, now_s - alert.since_s))
        yield Text.assemble(
            (f"{alert.level:<9}", _LEVELS[alert.level]),
            (alert.rule, "bold"),
            f" ({state})" if state else "",
            f": {alert.said} ",
            (f"For {since}.", "dim"),
        )


def _over(window_s: int, age_s: float | None) -> Text:
    return Text(f"over {words.span(window_s)}, {words.age(age_s)}", "dim")


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str | Text]], left: int) -> Table:
    """Return a table, of which the first *left* columns hold text and the others numbers."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for place, head in enumerate(heads):
        first = place == 0
        table.add_column(
            head,
            justify="left" if place < left else "right",
            no_wrap=True,
            max_width=_LABEL if first else None,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return table
