"""A course of figures as one line of text: eight heights of a bar, and blanks for gaps."""

from collections.abc import Sequence

from workers.monitoring.dashboards.axes import Scale

_HEIGHTS = "▁▂▃▄▅▆▇█"


def bars(values: Sequence[float | None], width: int, scale: Scale) -> str:
    """Return *values* as at most *width* characters; neighbours that share one are averaged."""
    return "".join(
        " " if value is None else _HEIGHTS[round(scale.share(value) * (len(_HEIGHTS) - 1))]
        for value in _squeezed(values, width)
    ).rstrip()


def _squeezed(values: Sequence[float | None], width: int) -> list[float | None]:
    if len(values) <= width:
        return list(values)
    few: list[float | None] = []
    for place in range(width):
        first, last = place * len(values) // width, (place + 1) * len(values) // width
        known = [value for value in values[first:last] if value is not None]
        few.append(sum(known) / len(known) if known else None)
    return few
