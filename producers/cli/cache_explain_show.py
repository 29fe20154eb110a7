"""How an explanation is printed: as JSON, and as lines for people."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from persona_system.cache.gate import GatePolicy
from persona_system.cache.inspection import Stamp
from producers.cli.cache_explain import Explanation, is_anybodys
from producers.cli.cache_names import short_time

if TYPE_CHECKING:
    from rich.text import Text

_STYLES = {True: "bold green", False: "bold yellow"}


def as_json(found: Explanation, now: datetime) -> dict[str, Any]:
    """Return *found* as ``--json`` prints it; *now* turns ages into times of day."""
    question, kept = found.question, found.kept
    context = None
    if question.counts is not None:
        context = {
            "counts": list(question.counts),
            "ignored": list(question.ignored),
            "shared_by_all": is_anybodys(question),
        }
    return {
        "would_hit": found.would_hit,
        "why": found.why(),
        "id": question.request.hex(),
        "key": kept.key.hex(),
        "version": None if found.current is None else found.current.hex(),
        "own_version": question.version.hex(),
        "endpoint": found.endpoint,
        "store": {
            "state": str(kept.state),
            "size_bytes": kept.size_bytes,
            "age_s": kept.age_s,
            "due_in_s": kept.due_in_s,
            "served_for_s": kept.dead_in_s,
            "served_until": None if kept.dead_in_s is None else _moment(now, kept.dead_in_s).isoformat(),
            "refreshing": kept.refreshing,
            "other_versions": [version.hex() for version in found.elsewhere],
        },
        "own_tier": found.own_tier(),
        "tags": [_tag_json(found, stamp) for stamp in found.stamps],
        "context": context,
        "sampled": question.sampled,
    }


def show(found: Explanation, now: datetime) -> None:
    """Print *found* for people."""
    from rich.text import Text  # noqa: PLC0415

    from producers.cli.report import console  # noqa: PLC0415

    out = console()
    out.print(Text(found.why(), _STYLES[found.would_hit]))
    out.print()
    out.print(_facts(found, now))
    if found.stamps:
        out.print()
        out.print(_tags(found))


def _facts(found: Explanation, now: datetime) -> Any:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, said in _rows(found, now):
        table.add_row(label, Text(said))
    return table


def _rows(found: Explanation, now: datetime) -> list[tuple[str, str]]:
    question, kept = found.question, found.kept
    rows = [
        ("id", question.request.hex()),
        ("key", f"{kept.key.hex()} (version, then id)"),
        ("version", _version(found)),
        ("endpoint", found.endpoint or "unknown"),
        ("store", f"{kept.state}, {kept.size_bytes:,} bytes" if kept.size_bytes else str(kept.state)),
    ]
    if kept.age_s is not None:
        rows.append(("age", f"{short_time(kept.age_s)}, made at {_clock(now, -kept.age_s)}"))
    if kept.served and kept.due_in_s is not None and kept.dead_in_s is not None:
        refreshing = ", somebody is at it" if kept.refreshing and kept.due_in_s <= 0 else ""
        rows += [
            ("refresh", f"due {_when(now, kept.due_in_s)}{refreshing}"),
            ("served", f"until {_clock(now, kept.dead_in_s)}, for {short_time(kept.dead_in_s)}"),
        ]
    rows.append(("own tiers", found.own_tier()))
    if question.counts is not None:
        rows.append(("context", _context(found)))
    if question.sampled is not None:
        one = "this is one" if question.sampled else "this is none"
        rows.append(
            (
                "sample",
                f"a process whose look-ups rarely hit asks about one text in {GatePolicy().one_in}; {one}",
            )
        )
    return rows


def _version(found: Explanation) -> str:
    current, own = found.current, found.question.version
    if current is None:
        return f"unknown; this installation's answers have {own.hex()}"
    if current == own:
        return f"{current.hex()}, that of this installation, too"
    return f"{current.hex()}; this installation's is {own.hex()}, so its catalogue or code is another"


def _context(found: Explanation) -> str:
    question = found.question
    parts = [
        f"{verb} {', '.join(names)}"
        for verb, names in (("counts:", question.counts), ("ignored:", question.ignored))
        if names
    ]
    if is_anybodys(question):
        parts.append("no person is part of the key, all who ask the same share the answer")
    else:
        parts.append("the person is part of the key, two people never share the answer")
    return "; ".join(parts)


def _tags(found: Explanation) -> Any:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("tag", overflow="fold")
    for heading in ("stamp in it", "stamp now", ""):
        table.add_column(heading, no_wrap=True)
    for stamp in found.stamps:
        table.add_row(Text(found.name_of(stamp.tag)), _hex(stamp.stamped), _hex(stamp.now), _judged(stamp))
    return table


def _judged(stamp: Stamp) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    if stamp.stamped is None:
        return Text("expected", "dim")
    return Text("current", "green") if stamp.current else Text("invalidated", "yellow")


def _tag_json(found: Explanation, stamp: Stamp) -> dict[str, Any]:
    return {
        "name": found.question.names.get(stamp.tag),
        "digest": stamp.tag.hex(),
        "stamped": None if stamp.stamped is None else stamp.stamped.hex(),
        "now": None if stamp.now is None else stamp.now.hex(),
        "current": stamp.current,
    }


def _hex(stamp: bytes | None) -> str:
    return "-" if stamp is None else stamp.hex()


def _when(now: datetime, seconds: float) -> str:
    word = "in" if seconds > 0 else "since"
    return f"{word} {short_time(abs(seconds))} ({_clock(now, seconds)})"


def _clock(now: datetime, seconds: float) -> str:
    """Return the local time of day."""
    return f"{_moment(now, seconds).astimezone():%H:%M:%S}"


def _moment(now: datetime, seconds: float) -> datetime:
    return now.astimezone(UTC) + timedelta(seconds=seconds)
