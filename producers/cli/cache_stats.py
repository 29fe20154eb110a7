"""``ion cache stats``: how the jobs of the fleet ended, and how the store is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from persona_system.cache.inspection import SCAN_S
from producers.cache.counts import RATES, STORE, WAYS, Report, Usage, report_of
from producers.cache.place import Place
from producers.cli.doctor_cache import CacheServer, said_by

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

BRIEFLY_S = 0.1
EVERY_S = 1.0  # as often as processes hand on their counts
_MIB = 1024 * 1024
_LONGEST_BAR = 60  # characters
_STYLES = {  # a glyph of its own for each way, for terminals without colour
    "producer_local": ("█", "green"),
    "producer_shared": ("▓", "cyan"),
    "worker_local": ("▒", "blue"),
    "worker_shared": ("░", "magenta"),
    "computed": ("=", "yellow"),
    "bypassed": ("-", "red"),
}


@dataclass(frozen=True, slots=True)
class Stats:
    """The counts of all processes, and what the server says; *all_counted*: the walk came to its end."""

    report: Report
    server: CacheServer | None  # None: it may not be asked
    evicted: int
    answers: int
    all_counted: bool
    listening: int

    def as_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        server = None if self.server is None else {**asdict(self.server), "evicted": self.evicted}
        return {
            **self.report.as_json(),
            "server": server,
            "answers": self.answers,
            "all_counted": self.all_counted,
            "listening": self.listening,
        }


def read_stats(place: Place, count_for_s: float = SCAN_S) -> Stats:
    """Return what the store at *place* knows; counting its answers may take *count_for_s*."""
    look = place.look
    info = look.server()
    answers, all_counted = look.count_answers(count_for_s)
    return Stats(
        report_of(place.cache.stats()),
        said_by(info) if info else None,
        int(info.get("evicted_keys", 0)),
        answers,
        all_counted,
        look.listeners(),
    )


def watch(read: Callable[[], Stats], wait: Callable[[float], bool]) -> None:
    """Show what *read* gives, once a second, until *wait* says that it is enough."""
    from rich.live import Live  # noqa: PLC0415

    from producers.cli.report import console  # noqa: PLC0415

    out = console()
    with Live(stats_view(read(), out.width, brief=True), console=out, auto_refresh=False) as live:
        while not wait(EVERY_S):
            live.update(stats_view(read(), out.width, brief=True), refresh=True)


def stats_view(stats: Stats, width: int, *, brief: bool = False) -> "RenderableType":
    """Return *stats* for people, on a terminal of *width* columns; *brief*: what fits into 24 lines."""
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    usages = [usage for usage in stats.report.endpoints if usage.asked]
    parts: list[RenderableType] = []
    if usages:
        columns = usages if len(usages) == 1 else [*usages, stats.report.total]
        parts += [_rates(columns)] if brief else [_rates(columns), *_definitions(), Text(), _ways(columns)]
        parts += [Text(), *_bars(columns, width), Text()]
    else:
        parts += [Text("no job has ended since the counts began"), Text()]
    if not brief:
        parts += [_store(stats.report.store), Text(), *_others(stats.report)]
    return Group(*parts, _server(stats))


def _rates(columns: Sequence[Usage]) -> "RenderableType":
    """Return the hit rates, each above its denominator."""
    from rich.text import Text  # noqa: PLC0415

    table = _table("hit rate", [usage.endpoint for usage in columns])
    for name, (label, _) in RATES.items():
        cells = [_rate(usage, name) for usage in columns]
        table.add_row(Text(label, "bold" if name == "combined" else ""), *cells)
    return table


def _rate(usage: Usage, name: str) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    rate = usage.rates()[name]
    if rate.share is None:
        return Text("-", "dim")
    return Text.assemble(
        (f"{rate.share:.1%}", "bold green" if name == "combined" else ""), (f"\nof {rate.of:,}", "dim")
    )


def _definitions() -> list["Text"]:
    from rich.text import Text  # noqa: PLC0415

    return [Text(f"{label}: {of_what}", "dim") for label, of_what in RATES.values()]


def _ways(columns: Sequence[Usage]) -> "RenderableType":
    from rich.text import Text  # noqa: PLC0415

    table = _table("how jobs ended", [usage.endpoint for usage in columns])
    for way, label in WAYS.items():
        glyph, colour = _STYLES[way]
        counts = [f"{usage.ways[way]:,}" for usage in columns]
        table.add_row(Text.assemble((glyph, colour), f" {label}"), *counts)
    table.add_row(Text("all jobs", "bold"), *[Text(f"{usage.asked:,}", "bold") for usage in columns])
    table.add_row("  found, yet computed anew", *[f"{usage.refreshed:,}" for usage in columns])
    for name in dict.fromkeys(name for usage in columns for name in usage.others or {}):
        table.add_row(name, *[f"{(usage.others or {}).get(name, 0):,}" for usage in columns])
    return table


def _bars(columns: Sequence[Usage], width: int) -> list["Text"]:
    from rich.text import Text  # noqa: PLC0415

    label = max(len(usage.endpoint) for usage in columns) + 2
    longest = min(_LONGEST_BAR, max(10, width - label - 1))
    return [
        Text.assemble(
            f"{usage.endpoint:<{label}}",
            *[
                (_STYLES[way][0] * cells, _STYLES[way][1])
                for way, cells in bar_cells(usage.ways, longest).items()
            ],
        )
        for usage in columns
    ]


def bar_cells(ways: Mapping[str, int], length: int) -> dict[str, int]:
    """Return how many of *length* cells each way takes: in all exactly so many, by largest remainder."""
    total = sum(ways.values())
    if not total:
        return dict.fromkeys(ways, 0)
    exact = {way: count * length / total for way, count in ways.items()}
    cells = {way: int(share) for way, share in exact.items()}
    by_remainder = sorted(exact, key=lambda way: cells[way] - exact[way])
    for way in by_remainder[: length - sum(cells.values())]:
        cells[way] += 1
    return cells


def _store(counts: Mapping[str, int]) -> "RenderableType":
    table = _table("store", [""])
    table.add_column(style="dim", overflow="fold")
    for name, count in counts.items():
        table.add_row(name, f"{count:,}", STORE.get(name, ""))
    return table


def _others(report: Report) -> list["Text"]:
    """Return a line for each other part of the cache that counts something."""
    from rich.text import Text  # noqa: PLC0415

    lines = [
        Text.assemble((scope, "bold"), "  ", ", ".join(f"{name} {count:,}" for name, count in counts.items()))
        for scope, counts in report.others.items()
    ]
    return [*lines, Text()] if lines else []


def _server(stats: Stats) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    among = ", void ones among them" if stats.answers else ""
    answers = f"{'' if stats.all_counted else 'at least '}{stats.answers:,} answers{among}"
    heard = f"{stats.listening:,} {'process' if stats.listening == 1 else 'processes'} connected"
    if stats.server is None:
        return Text.assemble(("server", "bold"), f"  {answers}; {heard}; it does not tell its memory")
    server = stats.server
    limit = f"of {server.max_bytes / _MIB:,.0f} MiB" if server.max_bytes else "without a limit"
    memory = f"{server.used_bytes / _MIB:,.1f} MiB {limit}, {server.policy}, {stats.evicted:,} evicted"
    return Text.assemble((server.name, "bold"), f"  {heard}\n{answers}\n{memory}")


def _table(title: str, columns: Sequence[str]) -> "Table":
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")
    return table
