"""Dead letters for people and programs: never with what people wrote, unless it is asked for."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from producers.cli.dead_filters import short_age
from producers.cli.dead_payload import Content, printable
from producers.cli.report import console, tell
from workers.store.letters import Counts, KeptLetter, State

if TYPE_CHECKING:
    from producers.cli.dead_retry import Retried

_SHORT_ID = 10  # characters that a person types; `show` says when they are not enough
_SOME_JOBS = 20


def list_json(found: Sequence[KeptLetter], total: int, counts: Counts) -> dict[str, Any]:
    """Return a list as ``--json`` prints it; *total* counts what the filters leave."""
    return {
        "letters": [letter_json(letter) for letter in found],
        "total": total,
        "counts": {
            "kept": counts.kept,
            "retried": counts.retried,
            "by_reason": counts.by_reason,
            "by_queue": counts.by_queue,
            "oldest": _time(counts.oldest_ms),
            "newest": _time(counts.newest_ms),
        },
    }


def letter_json(letter: KeptLetter) -> dict[str, Any]:
    """Return a letter as ``--json`` prints it; times in UTC."""
    return {
        "id": letter.id,
        "state": letter.state.value,
        "reason": letter.reason.value,
        "code": letter.code,
        "field": letter.field,
        "problem": letter.problem,
        "fix": letter.fix,
        "queue": letter.queue,
        "task": letter.task,
        "persona": letter.persona,
        "deliveries": letter.deliveries,
        "deaths": letter.deaths,
        "retries": letter.retries,
        "first": _time(letter.first_ms),
        "last": _time(letter.last_ms),
        "changed": _time(letter.changed_ms),
        "size_bytes": letter.size_bytes,
        "job_ids": letter.job_ids,
        "story": [
            {"at": _time(seen.at_ms), "what": seen.what, "worker": seen.worker} for seen in letter.story
        ],
    }


def show_list(found: Sequence[KeptLetter], total: int, counts: Counts, now_ms: int) -> None:
    """Print a table, and below it the counts of all that wait."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    out = console()
    if found:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("id", "died", "reason", "queue", "task", "jobs", "times", ""):
            table.add_column(heading, no_wrap=heading == "id", overflow="fold")
        for letter in found:
            cells = (
                letter.id[:_SHORT_ID],
                f"{short_age(now_ms - letter.last_ms)} ago",
                letter.reason.value,
                letter.queue,
                letter.task,
                f"{len(letter.job_ids):,}",
                f"{letter.deaths:,}",
                "sent again" if letter.state is State.RETRIED else "",
            )
            table.add_row(*(Text(printable(cell)) for cell in cells))
        out.print(table)
        if total > len(found):
            out.print(f"... and {total - len(found):,} more; see --limit", soft_wrap=True)
        out.print()
    out.print(summary(counts), soft_wrap=True, markup=False)


def summary(counts: Counts) -> str:
    """Return how many letters wait, and why."""
    again = f"; {counts.retried:,} sent again" if counts.retried else ""
    if not counts.kept:
        return f"no dead letters wait{again}"
    return f"{number(counts.kept)} {'waits' if counts.kept == 1 else 'wait'} ({_by(counts.by_reason)}){again}"


def number(count: int) -> str:
    """Return *count* with its noun."""
    return "1 dead letter" if count == 1 else f"{count:,} dead letters"


def show_letter(letter: KeptLetter, content: Content | None, now_ms: int) -> None:
    """Print all there is to say about *letter*, and *content* if it is given."""
    out = console()
    some = ", ".join(letter.job_ids[:_SOME_JOBS])
    more = len(letter.job_ids) - _SOME_JOBS
    facts = {
        "letter": letter.id,
        "reason": f"{letter.reason} ({letter.code}{': ' if letter.field else ''}{letter.field})",
        "problem": letter.problem,
        "fix": letter.fix,
        "state": "sent again since" if letter.state is State.RETRIED else "waits for you",
        "task": f"{letter.task or 'unknown'}, queue {letter.queue or 'unknown'}",
        "persona": letter.persona,
        "jobs": f"{len(letter.job_ids):,}: {some}{f' and {more:,} more' if more > 0 else ''}" if some else "",
        "size": f"{letter.size_bytes:,} bytes",
        "times": f"died {letter.deaths:,}, sent again {letter.retries:,}, delivered {letter.deliveries:,}",
        "died": f"{_time(letter.last_ms)}, {short_age(now_ms - letter.last_ms)} ago",
    }
    for name, fact in facts.items():
        if fact:
            out.print(f"{name:<9}{printable(fact)}", markup=False, soft_wrap=True)
    out.print("story")
    for seen in letter.story:
        worker = f" ({seen.worker})" if seen.worker else ""
        out.print(f"  {_time(seen.at_ms)}  {printable(seen.what + worker)}", markup=False, soft_wrap=True)
    if content is not None:
        out.print("payload")
        for line in content.lines():
            out.print(f"  {line}", markup=False, soft_wrap=True)


def show_retries(results: Sequence["Retried"]) -> None:
    """Print what became of each letter, refusals to stderr."""
    for result in results:
        if result.refused is not None:
            tell(f"error: {printable(str(result.refused))}")
    sent = [result for result in results if result.sent]
    jobs = sum(result.jobs for result in sent)
    noun = "1 job" if jobs == 1 else f"{jobs:,} jobs"
    console().print(f"{number(len(sent))} sent again ({noun})", soft_wrap=True)


def _by(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count:,} {printable(name)}" for name, count in ordered)


def _time(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
