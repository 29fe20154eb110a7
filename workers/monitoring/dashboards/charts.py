"""Charts as SVG, drawn for any width: texts and strokes keep their size, only the course is stretched.

Colours and fonts come from the style sheet of the page (``assets/dashboards.css``), by class, since a strict
Content-Security-Policy allows no styles in place.  The texts in them are ours or escaped.

Units:  pixels of height; per mille of width.
"""

from collections.abc import Iterable, Sequence
from html import escape

from workers.monitoring.dashboards.axes import Scale, moments, runs, scale_of_chart, scale_of_stat
from workers.monitoring.dashboards.model import ChartPanel, StatPanel
from workers.monitoring.dashboards.words import clock, day, ends, limit_words, made, span, ticks
from workers.monitoring.history import HOUR_S

WIDTH = 1000
COLOURS = 6  # classes c0 to c5 of the style sheet
_TOP, _HEIGHT, _BELOW = 14, 160, 24
_SPARK = 36
_DAY_S = 24 * HOUR_S


def chart(panel: ChartPanel, key: str) -> str:
    """Return the chart of *panel*; *key* makes the ids of its texts unlike those of other charts."""
    scale = scale_of_chart(panel)
    limits = [limit for limit in panel.limits if scale.holds(limit.value)]
    heights = {limit: _TOP + _HEIGHT * (1 - scale.share(limit.value)) for limit in limits}
    parts = [
        (
            f'<svg class="chart" width="100%" height="{_TOP + _HEIGHT + _BELOW}" role="img" '
            f'aria-labelledby="{key}-t {key}-d">'
        ),
        f'<title id="{key}-t">{escape(panel.title)}</title>',
        f'<desc id="{key}-d">{escape(described(panel))}</desc>',
        *_grid(scale, panel.unit),
        *_moments(panel),
        *(
            f'<line class="limit {limit.tone}" x1="0" x2="100%" y1="{height:.1f}" y2="{height:.1f}"/>'
            for limit, height in heights.items()
        ),
        (
            f'<svg x="0" y="{_TOP}" width="100%" height="{_HEIGHT}" viewBox="0 0 {WIDTH} {_HEIGHT}" '
            'preserveAspectRatio="none">'
        ),
        *_courses([trace.values for trace in panel.traces], scale, _HEIGHT),
        "</svg>",
        "</svg>",
    ]
    return "".join(parts)


def spark(panel: StatPanel) -> str:
    """Return the course of *panel* without axes; its number is beside it, so it says nothing to listeners."""
    scale = scale_of_stat(panel)
    return (
        f'<svg class="spark" width="100%" height="{_SPARK}" viewBox="0 0 {WIDTH} {_SPARK}" '
        'preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(_courses([panel.line.values], scale, _SPARK, inset=2))}</svg>"
    )


def described(panel: ChartPanel) -> str:
    """Return in words what the chart shows, for those who do not see it."""
    if not panel.traces:
        return f"No data in the last {span(panel.window_s)}."
    ways = [trace.subject.how for trace in panel.traces]
    told = [f"{made(ways, panel.step_s)}, over the last {span(panel.window_s)}"]
    for trace in panel.traces:
        latest, low, high = ends(trace)
        told.append(
            f"{trace.label}: from {low} to {high}, at last {latest}" if low else f"{trace.label}: {latest}"
        )
    told += [limit_words(limit, panel.unit) for limit in panel.limits]
    return "; ".join(told) + "."


def _grid(scale: Scale, unit: str) -> Iterable[str]:
    values = scale.ticks()
    for value, label in zip(values, ticks(values, unit), strict=True):
        height = _TOP + _HEIGHT * (1 - scale.share(value))
        yield f'<line class="grid" x1="0" x2="100%" y1="{height:.1f}" y2="{height:.1f}"/>'
        yield f'<text class="tick" x="-8" y="{height + 4:.1f}" text-anchor="end">{escape(label)}</text>'


def _moments(panel: ChartPanel) -> Iterable[str]:
    end_s = panel.start_s + panel.step_s * max((len(trace.values) for trace in panel.traces), default=0)
    if end_s == panel.start_s:
        end_s = panel.start_s + panel.window_s
    for at_s in moments(panel.start_s, end_s):
        share = (at_s - panel.start_s) / (end_s - panel.start_s)
        anchor = "start" if share < 0.03 else "end" if share > 0.96 else "middle"
        label = day(at_s) if end_s - panel.start_s > _DAY_S and at_s % _DAY_S == 0 else clock(at_s)
        yield (
            f'<text class="tick" x="{100 * share:.2f}%" y="{_TOP + _HEIGHT + 17}" '
            f'text-anchor="{anchor}">{label}</text>'
        )


def _courses(
    courses: Sequence[Sequence[float | None]], scale: Scale, height: int, inset: int = 0
) -> Iterable[str]:
    for number, values in enumerate(courses):
        colour = f"c{number % COLOURS}"
        for run in runs(values):
            points = [
                (
                    (place + 0.5) * WIDTH / len(values),
                    inset + (height - 2 * inset) * (1 - scale.share(value)),
                )
                for place, value in run
            ]
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            if len(courses) == 1 and len(points) > 1 and scale.low == 0:  # else its area would mislead
                first, last = points[0][0], points[-1][0]
                yield f'<path class="area {colour}" d="M{first:.1f},{height} L{line} L{last:.1f},{height}Z"/>'
            end = "" if len(points) > 1 else " h0.1"  # a lone value is a dot
            yield f'<path class="course {colour}" d="M{line}{end}"/>'
