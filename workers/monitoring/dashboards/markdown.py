"""A dashboard as Markdown, for tickets, reports and chats: tables, and courses as bars of text.

Names that come from labels are escaped, so that they stay text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

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

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#+!|~-])")
_WIDTH = 24  # characters of a course
_BAD = ("medium", "high", "critical")


def markdown(board: Dashboard) -> str:
    """Return *board* as a Markdown document."""
    age = words.age(board.age_s) if board.age_s is not None else words.NO_DATA
    over = f"Over {words.span(board.window_s)} until {words.moment(board.at_s)}; newest figure: {age}."
    head = [f"# {board.title}", "", f"{board.about} {over}", ""]
    return "\n".join([*head, *_panels(board)]).rstrip() + "\n"


def _panels(board: Dashboard) -> Iterator[str]:
    stats = [panel for panel in board.panels if isinstance(panel, StatPanel)]
    if stats:
        yield from _grid(("", "", "made", "course", ""), (_stat(panel) for panel in stats))
    for panel in board.panels:
        if not isinstance(panel, StatPanel):
            yield from (f"## {panel.title}", "", *_body(panel, board.at_s))


def _stat(panel: StatPanel) -> tuple[str, ...]:
    broken = [one for one in panel.limits if one.tone == panel.tone]
    return (
        panel.title,
        f"**{words.spoken(panel.reading.value, panel.subject.unit)}**",
        words.basis(panel.subject, panel.reading),
        bars(panel.line.values, _WIDTH, scale_of_stat(panel)),
        f"**{words.limit_words(broken[0], panel.subject.unit)}**" if broken else "",
    )


def _body(panel: Panel, now_s: float) -> Iterator[str]:
    match panel:
        case ChartPanel():
            yield from _chart(panel)
        case SharesPanel():
            yield from _shares(panel)
        case TablePanel():
            yield from _table(panel)
        case AlertsPanel():
            yield from _alerts(panel, now_s)
        case StatPanel():
            return


def _chart(panel: ChartPanel) -> Iterator[str]:
    if not panel.traces:
        yield from ("No data in this window.", "")
        return
    made = words.made([trace.subject.how for trace in panel.traces], panel.step_s)
    yield from (f"{_capital(made)}, {words.age(panel.age_s)}.", "")
    scale = scale_of_chart(panel)
    rows = (
        (escaped(trace.label), bars(trace.values, _WIDTH, scale), *words.ends(trace))
        for trace in panel.traces
    )
    yield from _grid(("", "course", "latest", "lowest", "highest"), rows)
    if panel.limits:
        told = "; ".join(words.limit_words(one, panel.unit) for one in panel.limits)
        yield from (f"{_capital(told)}.", "")


def _shares(panel: SharesPanel) -> Iterator[str]:
    if not panel.shares:
        yield from ("No data in this window.", "")
        return
    yield from (_over(panel.window_s, panel.age_s), "")
    rows = (
        (escaped(one.label), words.spoken(one.percent, "%"), words.spoken(one.reading.value, panel.unit))
        for one in panel.shares
    )
    yield from _grid(("", "share", panel.unit), rows)


def _table(panel: TablePanel) -> Iterator[str]:
    if not panel.rows:
        yield from ("No data in this window.", "")
        return
    yield from (_over(panel.window_s, panel.age_s), "")
    rows = (
        (escaped(row.label), *(_toned(words.spoken(cell.value, cell.unit), tone) for cell, tone in row.cells))
        for row in panel.rows
    )
    yield from _grid((escaped(panel.by), *(escaped(column.label) for column in panel.columns)), rows)


def _alerts(panel: AlertsPanel, now_s: float) -> Iterator[str]:
    warning = words.judged(panel.age_s)
    if warning:
        yield from (f"{warning}.", "")
    elif not panel.alerts:
        yield from ("None: no rule is broken.", "")
    for alert in panel.alerts:
        where = f" ({escaped(words.alert_state(alert))})" if words.alert_state(alert) else ""
        since = words.span(max(0.0, now_s - alert.since_s))
        yield f"- **{alert.level}** {escaped(alert.rule)}{where}: {escaped(alert.said)} For {since}."
    if panel.alerts:
        yield ""


def _over(window_s: int, age_s: float | None) -> str:
    return f"Over {words.span(window_s)}, {words.age(age_s)}."


def _toned(text: str, tone: Tone) -> str:
    return f"**{text}** ({tone})" if tone in _BAD else text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'|'.join('---' for _ in heads)}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def escaped(text: str) -> str:
    """Return *text* so that Markdown shows it as it is, in one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
