"""``ion cache top``: which requests the fleet is asked most, by their ids; never what they say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from persona_system.cache.inspection import Inspection, Kept
from producers.cli.cache_names import endpoint_in, short_time
from workers.contract import names


@dataclass(frozen=True, slots=True)
class Favourite:
    """A request, how often it was asked, and what the store has for it."""

    request: bytes
    count: float  # asks, of which the older ones weigh less
    share: float  # of all asks that are still counted
    endpoint: str | None  # None: nothing in the store tells it
    kept: Kept | None  # None: no worker has said which answers are current

    def as_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        kept = self.kept
        return {
            "id": self.request.hex(),
            "count": self.count,
            "share": self.share,
            "endpoint": self.endpoint,
            "state": None if kept is None else str(kept.state),
            "served": kept is not None and kept.served,
            "age_s": None if kept is None else kept.age_s,
        }


def favourites(look: Inspection, most: int) -> tuple[list[Favourite], int]:
    """Return the *most* popular requests, and how many are counted in all."""
    popular = look.popular()
    total = sum(count for _, count in popular) or 1.0
    first = popular[:most]
    requests = [request for request, _ in first]
    version = look.note(names.CACHE_VERSION_NOTE)
    kept: Sequence[Kept | None] = (
        [None] * len(first) if version is None else look.answers([version + one for one in requests])
    )
    recipes = look.endpoints(requests)
    found = [
        Favourite(
            request, count, count / total, recipe if one is None else endpoint_in(one.stamps) or recipe, one
        )
        for (request, count), one, recipe in zip(first, kept, recipes, strict=True)
    ]
    return found, len(popular)


def show(found: Sequence[Favourite], counted: int) -> None:
    """Print *found* as a table."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from producers.cli.report import console  # noqa: PLC0415

    out = console()
    if not found:
        out.print("nothing is counted yet; processes hand on what they counted every 5 s")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("asked", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("id", "endpoint", "store", "age"):
        table.add_column(heading, no_wrap=True)
    for one in found:
        kept = one.kept
        state = "unknown" if kept is None else str(kept.state)
        age = "" if kept is None or kept.age_s is None else short_time(kept.age_s)
        style = "green" if kept is not None and kept.served else "yellow"
        table.add_row(
            f"{one.count:,.0f}",
            f"{one.share:.1%}",
            one.request.hex(),
            one.endpoint or "-",
            Text(state, style),
            age,
        )
    out.print(table)
    share = sum(one.share for one in found)
    out.print(
        f"\n{len(found):,} of {counted:,} counted requests, {share:.1%} of their asks; "
        "counts halve every hour.\nWhy one hits or not: ion cache explain --id ID",
        style="dim",
    )
