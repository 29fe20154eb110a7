"""The tables of docs/metrics.md, made from the metrics and collections themselves.

python -m tests.support.metric_docs   # writes them into the page
"""

from collections.abc import Iterator
from pathlib import Path

from workers.monitoring.figures import COLLECTIONS, Collection, How, Part
from workers.monitoring.metrics import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
_HOWS: dict[How, str] = {
    "sum": "sum",
    "rate": "a second",
    "avg": "average",
    "p50": "p50",
    "p95": "p95",
    "p99": "p99",
    "high": "highest",
    "share": "share",
    "rest": "100 - share",
}


def with_tables(page: str) -> str:
    """Return *page* with its tables as they are to be."""
    for name, lines in (("metrics", _metrics()), ("collections", _collections())):
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
        before, _, rest = page.partition(begin)
        page = "".join((before, begin, *(f"{line}\n" for line in lines), end, rest.partition(end)[2]))
    return page


def _metrics() -> Iterator[str]:
    yield "| metric | kind | unit | labels beside `region` | |"
    yield "|---|---|---|---|---|"
    for metric in METRICS.values():
        told = (f"`{metric.name}`", metric.kind.value, metric.unit, _code(metric.labels), metric.about)
        yield f"| {' | '.join(told)} |"


def _collections() -> Iterator[str]:
    yield "| collection | type | unit | made of | told apart by | |"
    yield "|---|---|---|---|---|---|"
    for collection in COLLECTIONS.values():
        yield (
            f"| `{collection.name}` | {collection.type.value} | {collection.unit} | {_made_of(collection)} "
            f"| {_code(collection.by)} | {collection.about} |"
        )


def _made_of(collection: Collection) -> str:
    per = f" per {_parts(collection.per)}" if collection.per else ""
    where = f" in {collection.region}" if collection.region is not None else ""
    return f"{_HOWS[collection.how]} of {_parts(collection.of)}{per}{where}"


def _parts(parts: tuple[Part, ...]) -> str:
    return " + ".join(f"`{part.metric.name}{_where(part)}`" for part in parts)


def _where(part: Part) -> str:
    wanted = [f"{label}={value}" for label, value in part.where.items()]
    wanted += [f"{label}≠{value}" for label, value in part.unless.items()]
    return f"{{{', '.join(wanted)}}}" if wanted else ""


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), encoding="utf-8")
